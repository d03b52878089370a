package alerts_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"aftershock/alerts"
	amail "aftershock/alerts/mail"
	"aftershock/internal/servers"
)

// TestMailSignsIn goes through the ways to sign in and to encrypt, at a real server.
func TestMailSignsIn(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	signIn := func(mechanism string) func(*amail.Config) {
		return func(c *amail.Config) { c.Username, c.PasswordFile, c.Mechanism = "ana", password, mechanism }
	}
	for _, tc := range []struct {
		name, options string
		set           func(*amail.Config)
		secure        bool
		user, says    string
	}{
		{"STARTTLS", "", nil, true, "", ""},
		{"TLS from the start", "tls", func(c *amail.Config) { c.ImplicitTLS = &yes }, true, "", ""},
		{"no TLS at all", "cleartext", func(c *amail.Config) { c.RequireTLS = &no }, false, "", ""},
		{"TLS where there is", "", func(c *amail.Config) { c.RequireTLS = &no }, true, "", ""},
		{"no STARTTLS", "cleartext", nil, false, "", "does not support STARTTLS"},
		{"an unknown certificate", "", func(c *amail.Config) { c.TLS = nil }, false, "", "certificate"},
		{"another's certificate", "", func(c *amail.Config) { c.TLS.ServerName = "elsewhere.example" }, false, "", "elsewhere.example"},
		{"plain", "auth=PLAIN", signIn("plain"), true, "ana by PLAIN", ""},
		{"login", "auth=LOGIN", signIn("login"), true, "ana by LOGIN", ""},
		{"cram-md5", "auth=CRAM-MD5", signIn("cram-md5"), true, "ana by CRAM-MD5", ""},
		{"what there is", "auth=CRAM-MD5", signIn(""), true, "ana by CRAM-MD5", ""},
		{"the first of all", "auth=CRAM-MD5,LOGIN,PLAIN", signIn(""), true, "ana by PLAIN", ""},
		{"not what there is", "auth=PLAIN", signIn("login"), false, "", "LOGIN"},
		{"nobody", "auth=PLAIN", nil, false, "", "authentication Required"},
		{"a wrong password", "auth=PLAIN", func(c *amail.Config) { c.Username, c.Password = "ana", "hunter2" }, false, "", "who are you?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := servers.SMTP(t, strings.Fields(tc.options)...)
			r := mailReceiver(server, "ana@example.org")
			if tc.set != nil {
				tc.set(r.Mail)
			}
			err := sender(t, everything(r)).Deliver(t.Context(), "mail", story())
			mails := server.Mails()
			if tc.says != "" {
				var failed *alerts.Error
				if !errors.As(err, &failed) || failed.Permanent() || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %v, want %q, to be tried again, and no password", err, tc.says)
				}
				if len(mails) != 0 {
					t.Error("a mail was sent all the same")
				}
				return
			}
			if err != nil || len(mails) != 1 {
				t.Fatalf("got %v and %d mails, want one", err, len(mails))
			}
			if got := mails[0]; got.Secure != tc.secure || got.User != tc.user || got.From != "aftershock@example.org" {
				t.Errorf("got secure %v, user %q, from %s; want %v, %q", got.Secure, got.User, got.From, tc.secure, tc.user)
			}
		})
	}
}

// TestMailPasswordInTheClear: a password isn't told to whoever has no TLS, even
// where mail may go without it. 127.0.0.2 isn't taken for this very machine.
func TestMailPasswordInTheClear(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("this machine has no 127.0.0.2: %v", err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var got bytes.Buffer
		_, _ = io.WriteString(conn, "220 here\r\n")
		for b := make([]byte, 1024); ; {
			n, err := conn.Read(b)
			got.Write(b[:n])
			if err != nil {
				heard <- got.String()
				return
			}
			answer := "250 fine\r\n"
			if strings.HasPrefix(string(b[:n]), "EHLO") {
				answer = "250-here\r\n250 AUTH PLAIN LOGIN\r\n"
			}
			_, _ = io.WriteString(conn, answer)
		}
	}()
	no := false
	r := alerts.Receiver{Name: "mail", Mail: &amail.Config{
		Smarthost: l.Addr().String(), From: "a@example.org", To: []string{"b@example.org"}, Username: "ana", Password: "hunter2", RequireTLS: &no,
	}}
	err = sender(t, everything(r)).Deliver(t.Context(), "mail", story())
	if err == nil || !strings.Contains(err.Error(), "unencrypted") {
		t.Errorf("got %v, want that the connection is unencrypted", err)
	}
	if got := <-heard; !strings.HasPrefix(got, "EHLO") || strings.Contains(got, "AUTH") {
		t.Errorf("the server heard %q", got)
	}
}

// TestMailRecipients: who is refused keeps nobody from the mail, and who has it isn't
// sent it again.
func TestMailRecipients(t *testing.T) {
	to := func(m []servers.Mail) []string {
		var all []string
		for _, one := range m {
			all = append(all, one.To...)
		}
		slices.Sort(all)
		return all
	}
	var failed *alerts.Error

	server := servers.SMTP(t)
	s := sender(t, everything(mailReceiver(server, "ana@example.org", "busy@example.org", "refused@example.org")))
	err := s.Deliver(t.Context(), "mail", story())
	if !errors.As(err, &failed) || failed.Permanent() || !strings.Contains(err.Error(), "come back later") || !strings.Contains(err.Error(), "no such mailbox") {
		t.Errorf("got %v, want both refusals, to be tried again", err)
	}
	if got := fmt.Sprint(to(server.Mails())); got != "[ana@example.org]" {
		t.Errorf("got mail to %s, want to ana", got)
	}
	if err := s.Deliver(t.Context(), "mail", story()); err != nil {
		t.Errorf("the second try: %v", err)
	}
	if got := fmt.Sprint(to(server.Mails())); got != "[ana@example.org busy@example.org]" {
		t.Errorf("got mail to %s, want one to each", got)
	}

	alone := sender(t, everything(mailReceiver(server, "refused@example.org")))
	if err := alone.Deliver(t.Context(), "mail", story()); !errors.As(err, &failed) || !failed.Permanent() {
		t.Errorf("refused by all: got %v, want a permanent error", err)
	}
}

// TestMailTrouble: a server that is slow, silent or gone is waited for no longer than
// the time limit, and the mail is to be tried again.
func TestMailTrouble(t *testing.T) {
	for name, talk := range map[string]func(net.Conn){
		"silent":       func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"drips":        func(c net.Conn) { drip(c, "220 here and there and everywhere\r\n") },
		"hangs up":     func(net.Conn) {},
		"no SMTP":      func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") },
		"endless":      func(c net.Conn) { drown(c) },
		"not now":      func(c net.Conn) { _, _ = io.WriteString(c, "421 too busy\r\n") },
		"not for you":  func(c net.Conn) { _, _ = io.WriteString(c, "554 no service for you \x1b[31m\r\n") },
		"resets":       func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
		"ends halfway": func(c net.Conn) { _, _ = io.WriteString(c, "220 here\r\n250-he") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					talk(conn)
					_ = conn.Close()
				}
			}()
			s := sender(t, everything(alerts.Receiver{Name: "mail", Mail: &amail.Config{
				Smarthost: l.Addr().String(), From: "a@example.org", To: []string{"b@example.org"}, Timeout: 500 * time.Millisecond,
			}}))
			start := time.Now()
			err = s.Deliver(t.Context(), "mail", story())
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s, want it bounded by the time limit", took)
			}
			var failed *alerts.Error
			if !errors.As(err, &failed) || failed.Permanent() {
				t.Errorf("got %v, want an error that may pass", err)
			}
			if text := fmt.Sprint(err); strings.ContainsAny(text, "\n\x1b") || len(text) > 700 {
				t.Errorf("got %q, want one short line", text)
			}
		})
	}
}

func drip(w io.Writer, text string) {
	for _, b := range []byte(text) {
		if _, err := w.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func drown(w io.Writer) {
	for {
		if _, err := w.Write(bytes.Repeat([]byte("220-more\r\n"), 1000)); err != nil {
			return
		}
	}
}

// A password file that isn't there is told of at the start.
func TestMailPasswordFile(t *testing.T) {
	c := everything(alerts.Receiver{Name: "mail", Mail: &amail.Config{
		Smarthost: "127.0.0.1:9", From: "a@example.org", To: []string{"b@example.org"}, Username: "ana", PasswordFile: "/does/not/exist",
		TLS: &config.TLSConfig{},
	}})
	c.SetDefaults()
	if _, err := alerts.New(c, quiet(), nil); err == nil || !strings.Contains(err.Error(), "read the mail password") {
		t.Errorf("got %v, want that the password can't be read", err)
	}
}
