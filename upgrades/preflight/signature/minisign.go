package signature

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aftershock/detector"
)

// minisignKey is a public key with the identifier that its signatures carry.
type minisignKey struct {
	id   [8]byte
	key  ed25519.PublicKey
	text string // base64, as minisign prints it
}

// minisignature is a signature over a file and one over it and the trusted comment.
type minisignature struct {
	hashed    bool // over the file's BLAKE2b-512 rather than the file
	id        [8]byte
	signature []byte
	comment   string
	global    []byte
}

// keyName is a key's identifier as minisign writes it.
func keyName(id [8]byte) string { return fmt.Sprintf("%016X", binary.LittleEndian.Uint64(id[:])) }

// parseMinisignKey reads a public key in base64.
func parseMinisignKey(s string) (k minisignKey, err error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil || len(b) != 42 || string(b[:2]) != "Ed" {
		return k, errors.New("it is no minisign public key")
	}
	copy(k.id[:], b[2:])
	k.key, k.text = b[10:], base64.StdEncoding.EncodeToString(b)
	return k, nil
}

// parseMinisignFile reads minisign.pub: a comment and the key, or the key alone.
func parseMinisignFile(data []byte) (minisignKey, error) {
	if len(data) > 4096 {
		return minisignKey{}, errors.New("it is no minisign public key")
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) == 2 && strings.HasPrefix(lines[0], "untrusted comment:") {
		lines = lines[1:]
	}
	if len(lines) != 1 {
		return minisignKey{}, errors.New("it is no minisign public key")
	}
	return parseMinisignKey(lines[0])
}

// parseMinisignature reads a signature (https://jedisct1.github.io/minisign/, "Signature format").
func parseMinisignature(data []byte) (m minisignature, err error) {
	lines := strings.Split(strings.TrimRight(string(data), "\r\n"), "\n")
	if len(lines) != 4 {
		return m, fmt.Errorf("a minisign signature has 4 lines, this has %d", len(lines))
	}
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	b, err := base64.StdEncoding.DecodeString(lines[1])
	if err != nil || len(b) != 74 || string(b[:2]) != "Ed" && string(b[:2]) != "ED" {
		return m, errors.New("its second line is no minisign signature")
	}
	comment, ok := strings.CutPrefix(lines[2], "trusted comment: ")
	if !ok {
		return m, errors.New("its third line is no trusted comment")
	}
	if m.global, err = base64.StdEncoding.DecodeString(lines[3]); err != nil || len(m.global) != ed25519.SignatureSize {
		return m, errors.New("its fourth line is no signature")
	}
	m.hashed, m.signature, m.comment = b[1] == 'D', b[10:], comment
	copy(m.id[:], b[2:])
	return m, nil
}

// madeAt is the time in the trusted comment, zero where there is none.
func (m minisignature) madeAt() time.Time {
	for _, f := range strings.Fields(m.comment) {
		if s, ok := strings.CutPrefix(f, "timestamp:"); ok {
			if n, err := strconv.ParseInt(s, 10, 40); err == nil {
				return time.Unix(n, 0)
			}
		}
	}
	return time.Time{}
}

// minisign checks one of minisign's.
func (c *check) minisign(s found) error {
	m, err := parseMinisignature(s.data)
	if err != nil {
		c.unreadable(s.name, s.place, err)
		return nil
	}
	tried := 0
	for n, k := range append(c.keys.trusted.minisign[:len(c.keys.trusted.minisign):len(c.keys.trusted.minisign)], c.keys.minisign...) {
		if k.id != m.id || tried >= maxEach {
			continue
		}
		tried++
		err := m.verify(c, k, s.target)
		if errors.Is(err, errMismatch) {
			continue // an identifier is no proof that it is the key
		}
		if done, stop := c.outcome(s, " by the key "+k.text, err); done {
			return stop
		}
		if s.speaks {
			c.ahead(s, m.madeAt())
		}
		return c.accept(s, signer{kind: detector.PinMinisign, fingerprint: k.text, subject: "minisign key " + keyName(k.id), given: n < len(c.keys.trusted.minisign)})
	}
	if tried == 0 {
		c.unchecked("signature/no-key", s, "the minisign key "+keyName(m.id)+" isn't at hand", "Get the vendor's public key by another way than the package, and give it by its file (--key FILE).")
		return nil
	}
	c.invalid(s, " by the minisign key "+keyName(m.id), errMismatch.Error())
	return nil
}

// verify holds both signatures to a file and the comment.
func (m minisignature) verify(c *check, k minisignKey, f *file) error {
	var signed message = f
	if m.hashed {
		d, err := f.digest(c.ctx, crypto.BLAKE2b_512)
		if err != nil {
			return err
		}
		signed = text(d)
	}
	if err := verify(c.ctx, k.key, 0, false, signed, m.signature); err != nil {
		return err
	}
	return verify(c.ctx, k.key, 0, false, text(bytes.Join([][]byte{m.signature, []byte(m.comment)}, nil)), m.global)
}
