package main

import (
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"aftershock/detector"
	"aftershock/upgrades/preflight"
	"aftershock/upgrades/preflight/signature"
)

// signatureArgs are the flags of how signatures are looked at.
type signatureArgs struct {
	roots, keys, accept several
	pins                *string
	connect             func() (*client, error)
}

func (a *signatureArgs) define(f *flag.FlagSet) {
	f.Var(&a.roots, "roots", "certificates of trusted issuers, as a PEM `file`; may be given several times")
	f.Var(&a.keys, "key", "a trusted key (PGP keyring, minisign.pub, certificate), as a `file`; may be given several times")
	f.Var(&a.accept, "pin", "pin the key with this `fingerprint` beside the publisher's earlier ones: you have validated it by a second channel; may be given several times")
	a.pins = f.String("pins", "", "where keys that signed before are kept, as a `file` (default: the daemon's journal where --server or AFTERSHOCK_SERVER says one, else one of yours)")
	a.connect = clientFlags(f)
}

// maxCertificates bounds a file of certificates.
const maxCertificates = 4 << 20

func (a *signatureArgs) options(ctx context.Context, file string, asked bool) (s preflight.Signatures, err error) {
	for _, name := range a.roots {
		data, err := readBounded(name, maxCertificates)
		if err != nil {
			return s, err
		}
		if s.Roots == nil {
			s.Roots = x509.NewCertPool()
		}
		if !s.Roots.AppendCertsFromPEM(data) {
			return s, fmt.Errorf("read %s: it has no certificate in PEM", name)
		}
	}
	for _, name := range a.keys {
		data, err := readBounded(name, maxCertificates)
		if err != nil {
			return s, err
		}
		s.Keys = append(s.Keys, signature.KeyFile{Name: filepath.Base(name), Data: data})
	}
	s.Accept = a.accept
	switch {
	case *a.pins != "":
		s.Pins = signature.PinFile{Path: *a.pins}
	case asked || os.Getenv("AFTERSHOCK_SERVER") != "":
		c, err := a.connect()
		if err != nil {
			return s, err
		}
		s.Pins = remotePins{c}
		s.Escalate = func(u signature.Unexpected) error {
			in := struct {
				signature.Unexpected
				Package string `json:"package"`
			}{u, filepath.Base(file)}
			return c.call(ctx, http.MethodPost, "/api/v1/pins/unexpected", in, nil)
		}
	default:
		dir, err := os.UserConfigDir()
		if err != nil { // no home: nothing is pinned
			return s, nil //nolint:nilerr // a key isn't compared then, which a note says
		}
		if err := os.MkdirAll(filepath.Join(dir, "aftershock"), 0o700); err != nil {
			return s, fmt.Errorf("keep the keys that signed before: %w", err)
		}
		s.Pins = signature.PinFile{Path: filepath.Join(dir, "aftershock", "pins.json")}
	}
	return s, nil
}

// readBounded reads a file of at most so many bytes.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("read %s: it is larger than %d MB", name, most>>20)
	}
	return data, err
}

// remotePins are those in a daemon's journal.
type remotePins struct{ c *client }

func (r remotePins) Pinned(ctx context.Context, publisher string) ([]signature.Pin, error) {
	return list[detector.Pin](ctx, r.c, "/api/v1/pins", url.Values{"publisher": {publisher}})
}

func (r remotePins) Pin(ctx context.Context, p signature.Pin) error {
	return r.c.call(ctx, http.MethodPost, "/api/v1/pins", p, nil)
}
