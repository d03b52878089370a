package signature

import (
	"errors"
	"io"
	"slices"

	"github.com/ProtonMail/go-crypto/openpgp"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// isOld says whether a packet is a signature of version 3 (RFC 4880, 5.2.2), which RPM packages have up to those of Red Hat
// Enterprise Linux 8 and which the library no longer reads.
func isOld(p *packet.OpaquePacket) bool { return len(p.Contents) > 0 && p.Contents[0] == 3 }

// parseOld reads one: it is written as one of version 4 for the library, and then given what a version 3 adds to the digest.
func parseOld(p *packet.OpaquePacket) (*packet.Signature, error) {
	// Version, 5, kind, time (4), key (8), algorithms (2), the digest's begin (2), numbers.
	b := p.Contents
	if len(b) < 20 || b[1] != 5 {
		return nil, errors.New("it is cut short")
	}
	body := []byte{4, b[2], b[15], b[16], 0, 6, 5, 2}
	body = append(body, b[3:7]...)
	body = append(body, 0, 10, 9, 16)
	body = append(body, b[7:15]...)
	body = append(body, b[17:]...)
	parsed, err := (&packet.OpaquePacket{Tag: tagSignature, Contents: body}).Parse()
	if err != nil {
		return nil, err
	}
	sig, ok := parsed.(*packet.Signature)
	if !ok {
		return nil, errors.New("it is no signature")
	}
	sig.HashSuffix = slices.Clone(b[2:7])
	return sig, nil
}

// maxSameID is how many keys of one ID are tried.
const maxSameID = 4

// verifyOld checks one over a document. What the library says of the others it says too: whose it is also where the key had
// expired.
func verifyOld(ring openpgp.EntityList, open func() (io.ReadCloser, error), sig *packet.Signature) (by *openpgp.Entity, err error) {
	if sig.SigType != packet.SigTypeBinary {
		return nil, errors.New("it is one of version 3 over text")
	}
	keys := ring.KeysByIdUsage(*sig.IssuerKeyId, packet.KeyFlagSign)
	if len(keys) == 0 {
		return nil, pgperrors.ErrUnknownIssuer
	}
	for _, k := range keys[:min(len(keys), maxSameID)] {
		h := sig.Hash.New()
		r, opening := open()
		if opening != nil {
			return nil, opening
		}
		_, err = io.Copy(h, r)
		_ = r.Close()
		if err != nil {
			return nil, err
		}
		if err = k.PublicKey.VerifySignature(h, sig); err == nil {
			return k.Entity, validOld(k, sig)
		}
	}
	return nil, err
}

// validOld says what was wrong with the key when the signature was made.
func validOld(k openpgp.Key, sig *packet.Signature) error {
	at, sub := sig.CreationTime, k.PublicKey != k.Entity.PrimaryKey
	self, id := k.Entity.PrimarySelfSignature()
	switch {
	case self == nil:
		return errors.New("its key doesn't say what it is for")
	case k.Entity.Revoked(at), sub && k.Revoked(at), id != nil && id.Revoked(at):
		return pgperrors.ErrKeyRevoked
	case k.Entity.PrimaryKey.KeyExpired(self, at), sub && k.PublicKey.KeyExpired(k.SelfSignature, at):
		return pgperrors.ErrKeyExpired
	}
	return nil
}
