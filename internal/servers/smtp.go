package servers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// SMTPServer is a running mail server.
type SMTPServer struct {
	*Server
	// Addr is HOST:PORT, CAFile the certificate that vouches for it.
	Addr, CAFile string
}

// Mail is a mail that the server took: who sent it to whom, over TLS or not, signed
// in as whom by what, and its text as it came.
type Mail struct {
	From   string   `json:"from"`
	To     []string `json:"to"`
	Secure bool     `json:"secure"`
	User   string   `json:"user"`
	Text   []byte   `json:"-"`
}

// SMTP starts nodemailer's mail server, which knows STARTTLS and has a certificate for
// localhost and 127.0.0.1. tools/smtp/server.mjs has the options, and what it makes of
// recipients called refused@ and busy@.
func SMTP(t testing.TB, options ...string) *SMTPServer {
	t.Helper()
	dir := filepath.Join(ToolsDir(), "smtp")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "smtp-server")); err != nil {
		t.Fatalf("find the mail server: not in %s: run make tools", dir)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("find Node: not in the PATH: run make tools")
	}
	s := &SMTPServer{Server: &Server{t: t, Dir: t.TempDir(), stop: syscall.SIGTERM}}
	s.CAFile = filepath.Join(s.Dir, "cert.pem")
	key := filepath.Join(s.Dir, "key.pem")
	certify(t, s.CAFile, key)
	s.command = func(port int) *exec.Cmd {
		return program(node, append([]string{filepath.Join(dir, "server.mjs"), strconv.Itoa(port), s.CAFile, key, s.Dir}, options...)...)
	}
	s.ready = func() error {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	s.launch(loopback)
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	return s
}

// Mails are those that the server took, in their order.
func (s *SMTPServer) Mails() []Mail {
	s.t.Helper()
	names, err := filepath.Glob(filepath.Join(s.Dir, "*.eml"))
	if err != nil {
		s.t.Fatal(err)
	}
	var mails []Mail
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			s.t.Fatal(err)
		}
		how, text, _ := bytes.Cut(b, []byte("\n"))
		m := Mail{Text: text}
		if err := json.Unmarshal(how, &m); err != nil {
			s.t.Fatalf("read %s: %v", name, err)
		}
		mails = append(mails, m)
	}
	return mails
}

// certify writes a certificate that vouches for itself, and its key.
func certify(t testing.TB, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}
