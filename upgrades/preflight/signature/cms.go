package signature

import (
	"bytes"
	"context"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of CMS (RFC 5652) and of what it is signed with.
var (
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidTimestamp     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}
	oidPSS           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
)

// algorithms are the digests that identifiers stand for, alone or with a way to sign.
func hashOf(oid asn1.ObjectIdentifier) crypto.Hash {
	switch oid.String() {
	case "1.2.840.113549.2.5", "1.2.840.113549.1.1.4":
		return crypto.MD5
	case "1.3.14.3.2.26", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1":
		return crypto.SHA1
	case "2.16.840.1.101.3.4.2.4", "1.2.840.113549.1.1.14", "1.2.840.10045.4.3.1":
		return crypto.SHA224
	case "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2":
		return crypto.SHA256
	case "2.16.840.1.101.3.4.2.2", "1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3":
		return crypto.SHA384
	case "2.16.840.1.101.3.4.2.3", "1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4":
		return crypto.SHA512
	}
	return 0
}

// signedData is what is read of CMS's structure of that name.
type signedData struct {
	contentType  asn1.ObjectIdentifier
	content      []byte
	attached     bool
	certificates []*x509.Certificate
	signers      []signerInfo
}

// signerInfo is one signature. The certificate is told by issuer and serial, or by a key's identifier.
type signerInfo struct {
	issuer        []byte
	serial        *big.Int
	keyID         []byte
	digest        crypto.Hash
	hash          crypto.Hash // of the signature's algorithm
	pss           bool
	attributes    []byte // signed ones, as a SET in DER; nil where there are none
	contentType   asn1.ObjectIdentifier
	messageDigest []byte
	signingTime   time.Time
	timestamped   bool // a timestamp token is there
	signature     []byte
}

var errCMS = errors.New("it is no CMS signed data, or ends early")

// parseCMS reads signed data in BER.
func parseCMS(data []byte) (d signedData, err error) {
	der, err := toDER(data)
	if err != nil {
		return d, err
	}
	in := cryptobyte.String(der)
	var info, wrapped, sd, digests, encap cryptobyte.String
	var oid asn1.ObjectIdentifier
	version := 0
	if !in.ReadASN1(&info, tags.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&oid) || !info.ReadASN1(&wrapped, context0) ||
		!wrapped.ReadASN1(&sd, tags.SEQUENCE) || !sd.ReadASN1Integer(&version) || !sd.ReadASN1(&digests, tags.SET) ||
		!sd.ReadASN1(&encap, tags.SEQUENCE) || !encap.ReadASN1ObjectIdentifier(&d.contentType) {
		return d, errCMS
	}
	var explicit, content, certificates, signers cryptobyte.String
	if !encap.ReadOptionalASN1(&explicit, &d.attached, context0) {
		return d, errCMS
	}
	if d.attached {
		if explicit.PeekASN1Tag(tags.OCTET_STRING) {
			if !explicit.ReadASN1(&content, tags.OCTET_STRING) {
				return d, errCMS
			}
			d.content = content
		} else { // PKCS #7 lets any structure stand there; what is signed is its content
			var tag tags.Tag
			if !explicit.ReadAnyASN1(&content, &tag) {
				return d, errCMS
			}
			d.content = content
		}
	}
	has := false
	if !sd.ReadOptionalASN1(&certificates, &has, context0) || !sd.SkipOptionalASN1(context1) || !sd.ReadASN1(&signers, tags.SET) {
		return d, errCMS
	}
	for !certificates.Empty() {
		var one cryptobyte.String
		var tag tags.Tag
		if !certificates.ReadAnyASN1Element(&one, &tag) {
			return d, errCMS
		}
		if c, err := x509.ParseCertificate(one); err == nil && len(d.certificates) < maxKeys {
			d.certificates = append(d.certificates, c)
		}
	}
	for !signers.Empty() {
		if len(d.signers) >= maxEach {
			return d, fmt.Errorf("it has more than %d signers", maxEach)
		}
		s, err := parseSigner(&signers)
		if err != nil {
			return d, err
		}
		d.signers = append(d.signers, s)
	}
	return d, nil
}

const (
	context0 = tags.Tag(0xa0)
	context1 = tags.Tag(0xa1)
	keyIDTag = tags.Tag(0x80) // [0] IMPLICIT OCTET STRING
)

func parseSigner(all *cryptobyte.String) (s signerInfo, err error) {
	var in, sid, digest, algorithm, attributes, signature, unsigned cryptobyte.String
	version := 0
	if !all.ReadASN1(&in, tags.SEQUENCE) || !in.ReadASN1Integer(&version) {
		return s, errCMS
	}
	if in.PeekASN1Tag(keyIDTag) {
		if !in.ReadASN1(&sid, keyIDTag) {
			return s, errCMS
		}
		s.keyID = sid
	} else {
		var issuer cryptobyte.String
		s.serial = new(big.Int)
		if !in.ReadASN1(&sid, tags.SEQUENCE) || !sid.ReadASN1Element(&issuer, tags.SEQUENCE) || !sid.ReadASN1Integer(s.serial) {
			return s, errCMS
		}
		s.issuer = issuer
	}
	var digestOID, oid asn1.ObjectIdentifier
	signed, more := false, false
	if !in.ReadASN1(&digest, tags.SEQUENCE) || !digest.ReadASN1ObjectIdentifier(&digestOID) || !in.ReadOptionalASN1(&attributes, &signed, context0) ||
		!in.ReadASN1(&algorithm, tags.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!in.ReadASN1(&signature, tags.OCTET_STRING) || !in.ReadOptionalASN1(&unsigned, &more, context1) {
		return s, errCMS
	}
	s.signature, s.digest = signature, hashOf(digestOID)
	if s.hash = hashOf(oid); s.hash == 0 {
		s.hash = s.digest // plain RSA or an elliptic curve's key, with the digest beside it
	}
	if oid.Equal(oidPSS) {
		s.pss = true
		s.hash = pssHash(algorithm)
	}
	if signed {
		s.attributes = wrap(byte(tags.SET), attributes)
		if err := s.readAttributes(attributes); err != nil {
			return s, err
		}
	}
	for !unsigned.Empty() {
		var one cryptobyte.String
		if !unsigned.ReadASN1(&one, tags.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&oid) {
			return s, errCMS
		}
		s.timestamped = s.timestamped || oid.Equal(oidTimestamp)
	}
	return s, nil
}

// pssHash is the digest in the parameters of RSASSA-PSS: SHA-1 where none is given (RFC 4055).
func pssHash(algorithm cryptobyte.String) crypto.Hash {
	var params, hash, inner cryptobyte.String
	var oid asn1.ObjectIdentifier
	has := false
	if !algorithm.ReadASN1(&params, tags.SEQUENCE) || !params.ReadOptionalASN1(&hash, &has, context0) {
		return 0
	}
	if !has {
		return crypto.SHA1
	}
	if !hash.ReadASN1(&inner, tags.SEQUENCE) || !inner.ReadASN1ObjectIdentifier(&oid) {
		return 0
	}
	return hashOf(oid)
}

// readAttributes reads the signed attributes. Each of those that count may be there once, with one value.
func (s *signerInfo) readAttributes(in cryptobyte.String) error {
	seen := map[string]bool{}
	for !in.Empty() {
		var one, values cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !in.ReadASN1(&one, tags.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&oid) || !one.ReadASN1(&values, tags.SET) {
			return errCMS
		}
		var ok bool
		switch {
		case oid.Equal(oidContentType):
			ok = values.ReadASN1ObjectIdentifier(&s.contentType) && values.Empty()
		case oid.Equal(oidMessageDigest):
			ok = values.ReadASN1Bytes(&s.messageDigest, tags.OCTET_STRING) && values.Empty()
		case oid.Equal(oidSigningTime):
			if values.PeekASN1Tag(tags.GeneralizedTime) {
				ok = values.ReadASN1GeneralizedTime(&s.signingTime)
			} else {
				ok = values.ReadASN1UTCTime(&s.signingTime)
			}
			ok = ok && values.Empty()
		default:
			continue
		}
		if !ok || seen[oid.String()] {
			return errors.New("its signed attributes can't be read")
		}
		seen[oid.String()] = true
	}
	return nil
}

// certificate finds the signer's.
func (s signerInfo) certificate(all []*x509.Certificate) *x509.Certificate {
	for _, c := range all {
		if s.serial != nil && bytes.Equal(c.RawIssuer, s.issuer) && c.SerialNumber.Cmp(s.serial) == 0 ||
			s.serial == nil && len(s.keyID) > 0 && bytes.Equal(c.SubjectKeyId, s.keyID) {
			return c
		}
	}
	return nil
}

// verify holds the signature to a message (RFC 5652, 5.4 and 5.6).
func (s signerInfo) verify(ctx context.Context, contentType asn1.ObjectIdentifier, m message, cert *x509.Certificate) error {
	if s.attributes == nil {
		return verify(ctx, cert.PublicKey, s.hash, s.pss, m, s.signature)
	}
	if s.digest == 0 || !s.digest.Available() {
		return errors.New("it uses a digest that isn't known")
	}
	if !s.contentType.Equal(contentType) || s.messageDigest == nil {
		return errors.New("its signed attributes lack the digest or the type of what is signed")
	}
	digest, err := m.digest(ctx, s.digest)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(digest, s.messageDigest) != 1 {
		return errMismatch
	}
	return verify(ctx, cert.PublicKey, s.hash, s.pss, text(s.attributes), s.signature)
}

// cms checks a CMS signature.
func (c *check) cms(s found) error {
	d, err := parseCMS(cmsOf(s.data))
	if err != nil {
		c.unreadable(s.name, s.place, err)
		return nil
	}
	if len(d.signers) == 0 {
		c.unreadable(s.name, s.place, errors.New("it holds certificates and no signature"))
		return nil
	}
	var m message
	switch {
	case d.attached:
		// With its content in itself it is over a file only if that is the content.
		m = text(d.content)
		if s.target != nil && !s.target.is(c.ctx, d.content) {
			s = c.apart(s)
		}
	case s.target == nil:
		c.unchecked("signature/orphan", s, "there is no file that it could be over", "Ask the vendor what it signs.")
		return nil
	default:
		m = s.target
	}
	for _, one := range d.signers {
		cert := one.certificate(d.certificates)
		if cert == nil {
			cert = one.certificate(c.keys.allCertificates())
		}
		if cert == nil {
			c.unchecked("signature/no-key", s, "the signer's certificate is neither in it nor with the package", "Ask the vendor for the certificate, and give it by its file (--key FILE).")
			continue
		}
		err := one.verify(c.ctx, d.contentType, m, cert)
		if done, stop := c.outcome(s, " by "+named(cert), err); done {
			if stop != nil {
				return stop
			}
			continue
		}
		k := certificateSigner(cert, c.keys.given(cert.PublicKey))
		if err := c.accept(s, k); err != nil {
			return err
		}
		if s.speaks {
			c.certificate(s, cert, d.certificates, signing{at: one.signingTime, timestamped: one.timestamped, hash: one.hash, digest: one.digest})
		}
	}
	return nil
}

// outcome tells of a signature that didn't verify, or couldn't be checked. The error is the context's.
func (c *check) outcome(s found, by string, err error) (done bool, stop error) {
	switch {
	case err == nil:
		return false, nil
	case c.ctx.Err() != nil:
		return true, c.ctx.Err()
	case errors.Is(err, errMismatch):
		c.invalid(s, by, errMismatch.Error())
	default:
		c.unchecked("signature/unchecked", s, "it can't be checked: "+plain(err), "Ask the vendor for a signature in a common form: CMS, PGP or minisign, with SHA-256.")
	}
	return true, nil
}

// apart is a signature that turns out to be over a text of its own.
func (c *check) apart(s found) found {
	if s.speaks {
		c.speaking--
	}
	s.target, s.speaks = nil, false
	return s
}

// is says whether the file's content is this.
func (f *file) is(ctx context.Context, content []byte) bool {
	d, err := f.digest(ctx, crypto.SHA256)
	t, _ := text(content).digest(ctx, crypto.SHA256) // never fails
	return err == nil && bytes.Equal(d, t)
}
