package signature

import (
	"bytes"
	"crypto"
	_ "crypto/sha3" // RPM's newer digests
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"aftershock/detector"
)

// rpmMagic begins an RPM package's lead.
var rpmMagic = [4]byte{0xed, 0xab, 0xee, 0xdb}

// Bounds of an RPM package's headers, those of who unpacks it.
const (
	rpmLead     = 96
	maxRPMTags  = 1 << 16
	maxRPMStore = 64 << 20
)

// Tags (rpm's rpmtag.h), of the signature header first.
const (
	tagDSAHeader    = 267
	tagRSAHeader    = 268
	tagSHA1Header   = 269
	tagSHA256Header = 273
	tagOpenPGP      = 278
	tagSHA3Header   = 279
	tagPGP          = 1002
	tagMD5          = 1004
	tagGPG          = 1005

	tagPayloadDigest     = 5092
	tagPayloadDigestAlgo = 5093
	tagPayloadSHA512     = 5121
	tagPayloadSHA3       = 5123
)

// rpmHashes are digests by their numbers in RPM, which are OpenPGP's.
var rpmHashes = map[uint32]crypto.Hash{
	1: crypto.MD5, 2: crypto.SHA1, 8: crypto.SHA256, 9: crypto.SHA384, 10: crypto.SHA512, 11: crypto.SHA224, 12: crypto.SHA3_256, 14: crypto.SHA3_512,
}

// rpmHeader is one of an RPM package's headers.
type rpmHeader struct {
	extent
	entries []rpmEntry
	store   extent
}

type rpmEntry struct{ tag, kind, at, count uint32 }

// readRPMHeader reads the header at a place in a file of a size; what its tags hold is left there.
func readRPMHeader(f io.ReaderAt, at, size int64) (h rpmHeader, err error) {
	var intro [16]byte
	if _, err := f.ReadAt(intro[:], at); err != nil {
		return h, io.ErrUnexpectedEOF
	}
	if !bytes.HasPrefix(intro[:], []byte{0x8e, 0xad, 0xe8, 1}) {
		return h, errors.New("it doesn't begin as one")
	}
	n, store := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if n > maxRPMTags || store > maxRPMStore {
		return h, errors.New("it is larger than is read")
	}
	h.extent = extent{at, 16 + 16*int64(n) + int64(store)}
	h.store = extent{at + 16 + 16*int64(n), int64(store)}
	if h.at+h.extent.size > size {
		return h, io.ErrUnexpectedEOF
	}
	index := make([]byte, 16*int(n))
	if _, err := f.ReadAt(index, at+16); err != nil {
		return h, err
	}
	for ; len(index) > 0; index = index[16:] {
		e := rpmEntry{
			binary.BigEndian.Uint32(index), binary.BigEndian.Uint32(index[4:]),
			binary.BigEndian.Uint32(index[8:]), binary.BigEndian.Uint32(index[12:]),
		}
		if e.at > store {
			return h, errors.New("a tag lies outside it")
		}
		h.entries = append(h.entries, e)
	}
	return h, nil
}

// values are those of a tag, of each time that it is there: bytes as they are, texts without their end.
func (h rpmHeader) values(f io.ReaderAt, tag uint32) (all [][]byte, err error) {
	const most = maxEach + 1
	for _, e := range h.entries {
		if e.tag != tag || len(all) >= most {
			continue
		}
		rest := extent{h.store.at + int64(e.at), h.store.size - int64(e.at)}
		switch e.kind {
		case 4, 7: // INT32, BIN
			n := int64(e.count)
			if e.kind == 4 {
				n *= 4
			}
			if n > rest.size {
				return nil, fmt.Errorf("tag %d goes beyond the header", tag)
			}
			b, err := bytesOf(f, extent{rest.at, n})
			if err != nil {
				return nil, fmt.Errorf("tag %d: %w", tag, err)
			}
			all = append(all, b)
		case 6, 8: // STRING, STRING_ARRAY
			b, err := bytesOf(f, extent{rest.at, min(rest.size, maxSignature)})
			if err != nil {
				return nil, fmt.Errorf("tag %d: %w", tag, err)
			}
			for i := uint32(0); i < e.count && len(all) < most; i++ {
				text, left, ok := bytes.Cut(b, []byte{0})
				if !ok {
					return nil, fmt.Errorf("tag %d has no end", tag)
				}
				all, b = append(all, text), left
			}
		default:
			return nil, fmt.Errorf("tag %d is of kind %d", tag, e.kind)
		}
	}
	return all, nil
}

// rpmFile is an RPM package that is looked at.
type rpmFile struct {
	io.ReaderAt
	sigs, head            rpmHeader
	header, payload, both *file
}

// rpm holds an RPM package to its own digests, and takes its signatures in.
func (c *check) rpm(f io.ReaderAt, size int64) error {
	r, err := c.openRPM(f, size)
	if err != nil {
		c.unreadable("in "+c.in.Package, detector.Place{}, err)
		return nil
	}
	if err := c.rpmHeaderDigests(r); err != nil {
		return c.rpmFailed(err)
	}
	bad, strong, err := c.rpmPayloadDigests(r)
	if err != nil {
		return c.rpmFailed(err)
	}
	if err := c.rpmSignatures(r, bad, strong); err != nil {
		return c.rpmFailed(err)
	}
	return nil
}

// rpmFailed is a package whose headers can't be read, or the context's end.
func (c *check) rpmFailed(err error) error {
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	c.unreadable("in "+c.in.Package, detector.Place{}, err)
	return nil
}

func (c *check) openRPM(f io.ReaderAt, size int64) (r rpmFile, err error) {
	r.ReaderAt = f
	if r.sigs, err = readRPMHeader(f, rpmLead, size); err != nil {
		return r, fmt.Errorf("its signature header: %w", err)
	}
	at := rpmLead + (r.sigs.extent.size+7)&^7
	if r.head, err = readRPMHeader(f, at, size); err != nil {
		return r, fmt.Errorf("its header: %w", err)
	}
	behind := extent{at + r.head.extent.size, size - at - r.head.extent.size}
	r.header, r.payload, r.both = c.parts(r.head.extent), c.parts(behind), c.parts(r.head.extent, behind)
	return r, nil
}

// rpmHeaderDigests holds header and package to the digests in the signature header.
func (c *check) rpmHeaderDigests(r rpmFile) error {
	for _, d := range []struct {
		tag  uint32
		hash crypto.Hash
		of   *file
		what string
	}{
		{tagSHA1Header, crypto.SHA1, r.header, "header isn't the one"},
		{tagSHA256Header, crypto.SHA256, r.header, "header isn't the one"},
		{tagSHA3Header, crypto.SHA3_256, r.header, "header isn't the one"},
		{tagMD5, crypto.MD5, r.both, "header and payload aren't the ones"},
	} {
		all, err := r.sigs.values(r, d.tag)
		if err != nil {
			return err
		}
		for _, v := range all {
			want := string(v)
			if d.tag == tagMD5 {
				want = hex.EncodeToString(v)
			}
			ok, err := d.of.has(c.ctx, d.hash, want)
			if err != nil {
				return err
			}
			if !ok {
				c.unheld(fmt.Sprintf("its %s whose %s is beside it", d.what, d.hash))
			}
		}
	}
	return nil
}

// rpmPayloadDigests holds the payload to the digests in the header. bad says what is wrong with it; strong is the best of
// the digests, 0 where there is none.
func (c *check) rpmPayloadDigests(r rpmFile) (bad string, strong crypto.Hash, err error) {
	algo := crypto.SHA256
	if v, err := r.head.values(r, tagPayloadDigestAlgo); err != nil {
		return "", 0, err
	} else if len(v) > 0 && len(v[0]) >= 4 {
		algo = rpmHashes[binary.BigEndian.Uint32(v[0])]
	}
	for _, d := range []struct {
		tag  uint32
		hash crypto.Hash
	}{{tagPayloadDigest, algo}, {tagPayloadSHA512, crypto.SHA512}, {tagPayloadSHA3, crypto.SHA3_256}} {
		all, err := r.head.values(r, d.tag)
		if err != nil {
			return "", 0, err
		}
		for _, v := range all {
			if d.hash == 0 {
				continue // as if it had none
			}
			ok, err := r.payload.has(c.ctx, d.hash, string(v))
			if err != nil {
				return "", 0, err
			}
			if strong == 0 || weakHash(strong) {
				strong = d.hash
			}
			if !ok {
				bad = "the payload behind the header isn't the one whose " + d.hash.String() + " the header has"
				c.unheld(bad)
			}
		}
	}
	return bad, strong, nil
}

// rpmSignatures takes the signatures in. bad says why one over the header can't stand for the package, and strong is the digest by
// which the header stands for the payload.
func (c *check) rpmSignatures(r rpmFile, bad string, strong crypto.Hash) error {
	var seen [][]byte
	for _, t := range []struct {
		tag uint32
		of  *file
	}{{tagOpenPGP, r.header}, {tagRSAHeader, r.header}, {tagDSAHeader, r.header}, {tagPGP, r.both}, {tagGPG, r.both}} {
		all, err := r.sigs.values(r, t.tag)
		if err != nil {
			return err
		}
		for _, data := range all {
			s := found{name: c.in.Package + " (over header and payload)", form: formPGP, data: data, target: t.of, speaks: true}
			if t.of == r.header {
				s.name, s.broken, s.short = c.in.Package+" (over the header)", bad, strong == 0
				if weakHash(strong) {
					s.weakList = "the header that it signs has a digest of " + strong.String() + " of the package's files"
				}
			}
			if t.tag == tagOpenPGP {
				if s.data, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(data))); err != nil {
					c.speaking++
					c.unreadable(s.name, s.place, errors.New("it is no base64"))
					continue
				}
			}
			if t.of == r.header && containsBytes(seen, s.data) {
				continue // under its old tag and the new one
			}
			seen = append(seen, s.data)
			c.take(s)
		}
	}
	return nil
}

func containsBytes(all [][]byte, b []byte) bool {
	for _, one := range all {
		if bytes.Equal(one, b) {
			return true
		}
	}
	return false
}

func sameHex(digest []byte, text string) bool {
	return hex.EncodeToString(digest) == strings.ToLower(strings.TrimSpace(text))
}
