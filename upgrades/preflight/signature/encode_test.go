package signature

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"
)

// The structures of RFC 5652, written by encoding/asn1: what is read by hand is made otherwise here. That others
// write them alike is tested with openssl.
type (
	attributeDER struct {
		Type   asn1.ObjectIdentifier
		Values asn1.RawValue
	}
	signerDER struct {
		Version    int
		ID         issuerDER
		Digest     pkix.AlgorithmIdentifier
		Attributes asn1.RawValue `asn1:"optional"`
		Algorithm  pkix.AlgorithmIdentifier
		Signature  []byte
	}
	issuerDER struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	contentDER struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"optional"`
	}
	signedDER struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      contentDER
		Certificates asn1.RawValue
		Signers      []signerDER `asn1:"set"`
	}
)

var oidData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}

var digestOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
	crypto.MD5: {1, 2, 840, 113549, 2, 5}, crypto.SHA1: {1, 3, 14, 3, 2, 26}, crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
}

func der(t testing.TB, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signatureOIDs are those of what keys sign with, with SHA-256 for elliptic curves.
func signatureOID(t testing.TB, key crypto.Signer) asn1.ObjectIdentifier {
	t.Helper()
	switch k := key.Public().(type) {
	case ed25519.PublicKey:
		return asn1.ObjectIdentifier{1, 3, 101, 112}
	case interface{ Size() int }:
		return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	default:
		_ = k
		return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	}
}

// detached makes a CMS signature; one without signed attributes where the time is nil, without the time
// among them where it is zero.
func detached(t testing.TB, data []byte, p party, h crypto.Hash, at *time.Time, chain ...party) []byte {
	t.Helper()
	if h == 0 {
		h = crypto.SHA256
	}
	w := h.New()
	w.Write(data)
	digest := w.Sum(nil)
	one := signerDER{
		Version: 1, ID: issuerDER{asn1.RawValue{FullBytes: p.cert.RawIssuer}, p.cert.SerialNumber},
		Digest: pkix.AlgorithmIdentifier{Algorithm: digestOIDs[h]}, Algorithm: pkix.AlgorithmIdentifier{Algorithm: signatureOID(t, p.key)},
	}
	signed := data
	if at != nil {
		set := func(v any) asn1.RawValue {
			return asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: der(t, v)}
		}
		all := [][]byte{der(t, attributeDER{oidContentType, set(oidData)}), der(t, attributeDER{oidMessageDigest, set(digest)})}
		if !at.IsZero() {
			all = append(all, der(t, attributeDER{oidSigningTime, set(at.UTC())}))
		}
		slices.SortFunc(all, slices.Compare)
		body := slices.Concat(all...)
		signed = der(t, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: body})
		one.Attributes = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: body}
	}
	opts := crypto.SignerOpts(h)
	if _, pure := p.key.(ed25519.PrivateKey); pure {
		digest, opts = signed, crypto.Hash(0)
	} else {
		w := h.New()
		w.Write(signed)
		digest = w.Sum(nil)
	}
	var err error
	if one.Signature, err = p.key.Sign(rand.Reader, digest, opts); err != nil {
		t.Fatal(err)
	}
	certificates := slices.Clone(p.cert.Raw)
	for _, c := range chain {
		certificates = append(certificates, c.cert.Raw...)
	}
	return wrapped(t, signedDER{
		Version: 1, Digests: []pkix.AlgorithmIdentifier{one.Digest}, Content: contentDER{Type: oidData}, Signers: []signerDER{one},
		Certificates: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: certificates},
	})
}

func wrapped(t testing.TB, s signedDER) []byte {
	t.Helper()
	return der(t, contentDER{
		Type:    asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2},
		Content: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der(t, s)},
	})
}

// bundle are certificates without a signature, as a .p7b has them.
func bundle(t testing.TB, all ...*x509.Certificate) []byte {
	t.Helper()
	var body []byte
	for _, c := range all {
		body = append(body, c.Raw...)
	}
	return wrapped(t, signedDER{Version: 1, Content: contentDER{Type: oidData}, Certificates: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: body}})
}
