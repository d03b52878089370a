// Package parcel makes the upgrade package of the story as its vendor would: with scripts
// that assume sudo and a unit that is no more, statements that lock a live table, a cron
// entry against a host that is retired, loose versions, binaries of long ago, a setting that
// has to be there and isn't, and a certificate that nobody knows. Mended, it has none of
// that.
package parcel

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed files
var files embed.FS

// Name is what the package's file is called.
const Name = "Full-upgrade-package-dten.zip"

// Signer signs the package; Chain is its certificate and those above it.
type Signer struct {
	Key   *ecdsa.PrivateKey
	Chain []*x509.Certificate
}

// Parcel is what goes into the package.
type Parcel struct {
	// Mended leaves out the faults.
	Mended bool
	// Built is when the vendor says that it was built.
	Built time.Time
	// Binaries are the programs by name, with the service that they are.
	Binaries []Binary
	// Signer signs the manifest; nil leaves it unsigned.
	Signer *Signer
}

// Binary is a program of the package.
type Binary struct {
	Name, Service string
	Content       []byte
}

// cycles is how much older than the package its binaries are.
const cycles = 3 * 365 * 24 * time.Hour

// Write writes the package.
func (p Parcel) Write(w io.Writer) error {
	content, err := p.content()
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(content)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: p.Built}
		h.SetMode(0o644)
		if strings.HasPrefix(name, "bin/") || strings.HasSuffix(name, ".sh") {
			h.SetMode(0o755)
		}
		if strings.HasPrefix(name, "bin/") && !p.Mended {
			h.Modified = p.Built.Add(-cycles)
		}
		f, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := f.Write(content[name]); err != nil {
			return err
		}
	}
	return z.Close()
}

// content are the files of the package by path.
func (p Parcel) content() (map[string][]byte, error) {
	dir := "files/faulty"
	if p.Mended {
		dir = "files/mended"
	}
	all := map[string][]byte{}
	err := fs.WalkDir(files, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(name)
		all[strings.TrimPrefix(name, dir+"/")] = b
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, b := range p.Binaries {
		all[path.Join("bin", b.Name)] = b.Content
	}
	manifest := strings.ReplaceAll(string(all["manifest.yaml"]), "{{built}}", p.Built.UTC().Format(time.RFC3339))
	delete(all, "manifest.yaml")
	var out strings.Builder
	out.WriteString(manifest)
	if len(p.Binaries) > 0 {
		out.WriteString("binaries:\n")
	}
	for _, b := range p.Binaries {
		fmt.Fprintf(&out, "  - {name: %s, path: bin/%s, version: 4.2.0, service: %s}\n", b.Name, b.Name, b.Service)
	}
	chain := p.chain()
	if chain != nil {
		all["certificate.pem"] = chain
	}
	out.WriteString("files:\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sum := sha256.Sum256(all[name])
		fmt.Fprintf(&out, "  - {path: %s, size: %d, sha256: %s}\n", name, len(all[name]), hex.EncodeToString(sum[:]))
	}
	if !p.Mended { // a file that was forgotten in the manifest
		all["notes.txt"] = []byte("Ask Ben before you run migrate.sh.\n")
	}
	all["manifest.yaml"] = []byte(out.String())
	if p.Signer == nil {
		return all, nil
	}
	sum := sha256.Sum256(all["manifest.yaml"])
	all["manifest.yaml.sig"], err = ecdsa.SignASN1(rand.Reader, p.Signer.Key, sum[:])
	return all, err
}

// chain is the signer's certificates as PEM.
func (p Parcel) chain() []byte {
	if p.Signer == nil {
		return nil
	}
	var b bytes.Buffer
	for _, c := range p.Signer.Chain {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // never fails
	}
	return b.Bytes()
}
