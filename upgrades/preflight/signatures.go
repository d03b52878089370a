package preflight

import (
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"aftershock/upgrades/preflight/signature"
)

// Signatures is how signatures are looked at.
type Signatures struct {
	// Roots are the issuers that are trusted, Keys files with keys that are; Pins the keys
	// of earlier packages. nil where none are known.
	Roots *x509.CertPool
	Keys  []signature.KeyFile
	Pins  signature.Pins
	// Accept are the fingerprints of keys that are to be pinned beside earlier ones.
	Accept []string
	// Escalate is told of a key that wasn't expected; nil for telling nobody but by the
	// finding.
	Escalate func(signature.Unexpected) error
}

func (i *inspection) checkSignatures() error {
	dir, name := filepath.Split(filepath.Clean(i.p.Path))
	if dir == "" {
		dir = "."
	}
	beside, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("look beside the package: %w", err)
	}
	defer beside.Close()
	r, err := signature.Examine(i.ctx, signature.Input{
		Package: name, Beside: beside.FS(), Inside: i.fs, Claimed: i.m.BuiltAt, Now: i.o.Now, Accept: i.o.Signatures.Accept,
		Roots: i.o.Signatures.Roots, Keys: i.o.Signatures.Keys, Pins: i.o.Signatures.Pins, Publisher: i.m.Publisher.Value,
		Digests: i.digests(),
	})
	if err != nil {
		return err
	}
	i.add(r.Findings...)
	i.verifies = r.Verifies
	for _, u := range r.Unexpected {
		if i.o.Signatures.Escalate == nil {
			continue
		}
		if err := i.o.Signatures.Escalate(u); err != nil {
			if i.ctx.Err() != nil {
				return i.ctx.Err()
			}
			i.add(u.NotTold(err))
		}
	}
	return nil
}

// digests are the files of which the manifest has the digest, which its own rules hold
// them to.
func (i *inspection) digests() map[string][]string {
	if i.m.File == "" {
		return nil
	}
	var all []string
	for _, f := range i.m.Files {
		if f.SHA256 == "" {
			continue
		}
		p := strings.TrimPrefix(path.Clean("/"+f.Path), "/")
		if _, err := fs.Stat(i.fs, p); err != nil {
			p = path.Join(i.top, p)
		}
		all = append(all, p)
	}
	return map[string][]string{i.m.File: all}
}
