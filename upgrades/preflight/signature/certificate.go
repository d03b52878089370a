package signature

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"aftershock/detector"
)

// minRSA is the length of the shortest RSA key that is no weakness, in bits.
const minRSA = 2048

// signing is how and when a signature was made by what it says of itself.
type signing struct {
	at           time.Time // an authenticated attribute; zero where there is none
	timestamped  bool      // a timestamp token is there, which isn't checked
	hash, digest crypto.Hash
}

// certificate holds a signer's certificate to what one that signs code should be.
func (c *check) certificate(s found, cert *x509.Certificate, chain []*x509.Certificate, sg signing) {
	who := named(cert)
	c.validity(s, cert, sg)
	c.strength(s, "the certificate of "+who, cert.PublicKey, sg.hash, sg.digest)
	chain = chain[:min(len(chain), maxKeys)]
	if weak := weakIssue(cert, chain); weak != "" {
		c.weak(s, weak)
	}
	c.usage(s, cert)
	c.issuer(s, cert, chain, sg)
	c.publisher(s, cert)
}

// validity holds the certificate's time to that of the signature.
func (c *check) validity(s found, cert *x509.Certificate, sg signing) {
	at, says := sg.at, "the signature says that it was made"
	if at.IsZero() {
		at, says = c.in.Claimed, "the signature doesn't say when it was made; the package says that it was built"
	}
	c.ahead(s, sg.at)
	who, day := named(cert), func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	f := detector.Finding{Severity: detector.Risk, Place: s.place, Do: "Ask the vendor for a signature by a valid certificate, with a trusted timestamp."}
	switch {
	case !at.IsZero() && at.Before(cert.NotBefore):
		f.Rule = "signature/not-yet-valid"
		f.What = fmt.Sprintf("the certificate of %s is valid from %s on, and %s on %s", who, day(cert.NotBefore), says, day(at))
		f.Why = "One of the two dates is wrong: a signer's clock, a forged date, or a certificate that was exchanged."
	case !at.IsZero() && at.After(cert.NotAfter):
		f.Rule = "signature/expired"
		f.What = fmt.Sprintf("the certificate of %s expired on %s, and %s on %s, after that", who, day(cert.NotAfter), says, day(at))
		f.Why = "An expired certificate vouches for nobody: its key may have been given up, and its issuer no longer revokes it."
	case at.IsZero() && c.in.Now.After(cert.NotAfter):
		f.Rule = "signature/expired"
		f.What = fmt.Sprintf("the certificate of %s expired on %s, and neither the signature nor the package says when it was made", who, day(cert.NotAfter))
		f.Why = "Whether it was made while the certificate was valid can't be told."
	case at.IsZero() && c.in.Now.Before(cert.NotBefore):
		f.Rule = "signature/not-yet-valid"
		f.What = fmt.Sprintf("the certificate of %s is valid from %s on only", who, day(cert.NotBefore))
		f.Why = "One that isn't valid yet vouches for nobody."
	case c.in.Now.After(cert.NotAfter):
		f.Rule, f.Severity = "signature/expired-since", detector.Note
		f.What = fmt.Sprintf("the certificate of %s expired on %s; %s before that, on %s", who, day(cert.NotAfter), says, day(at))
		f.Why = "The time is the signer's own word: whoever has the key could have signed it later."
		if sg.timestamped {
			f.Why += " A timestamp token is there; it isn't checked."
		}
		f.Do = "Nothing where the package is as old as it says; else ask the vendor for a signature by a valid certificate."
	default:
		return
	}
	c.add(f)
}

// ahead tells of a signature of the future.
func (c *check) ahead(s found, at time.Time) {
	if at.IsZero() || !at.After(c.in.Now.Add(skew)) {
		return
	}
	c.add(detector.Finding{
		Rule: "signature/future", Severity: detector.Risk, Place: s.place,
		What: fmt.Sprintf("%s says that it was made on %s, which is yet to come", s.name, at.UTC().Format(time.RFC3339)),
		Why:  "The signer's clock is wrong, or this host's: nothing that rests on the time can be told.",
		Do:   "See to this host's clock; else ask the vendor.",
	})
}

// strength tells of algorithms that no longer protect.
func (c *check) strength(s found, whose string, pub crypto.PublicKey, hashes ...crypto.Hash) {
	slices.Sort(hashes)
	for _, h := range slices.Compact(hashes) {
		if weakHash(h) {
			c.weak(s, "it signs a digest of "+h.String())
		}
	}
	if k, ok := pub.(*rsa.PublicKey); ok && k.N.BitLen() < minRSA {
		c.weak(s, fmt.Sprintf("%s has an RSA key of %d bits", whose, k.N.BitLen()))
	}
}

func weakHash(h crypto.Hash) bool {
	return h == crypto.MD5 || h == crypto.SHA1 || h == crypto.RIPEMD160
}

func (c *check) weak(s found, what string) {
	c.add(detector.Finding{
		Rule: "signature/weak-algorithm", Severity: detector.Risk, Place: s.place, What: fmt.Sprintf("%s: %s", s.name, what),
		Why: "Two files of one MD5 or SHA-1 digest can be made, and RSA keys below 2048 bits are within reach: the signature may be of another file.",
		Do:  "Ask the vendor for a signature with SHA-256 and RSA of 3072 bits, ECDSA P-256 or Ed25519; until then compare the package's SHA-256 through another channel.",
	})
}

// weakIssue says which certificate of the way up was issued with MD5 or SHA-1. Roots are trusted by themselves, not by their
// signature.
func weakIssue(cert *x509.Certificate, chain []*x509.Certificate) string {
	for range 10 {
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			return ""
		}
		switch cert.SignatureAlgorithm {
		case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.MD2WithRSA:
			return fmt.Sprintf("the certificate of %s was issued with %s", named(cert), cert.SignatureAlgorithm)
		}
		next := slices.IndexFunc(chain, func(p *x509.Certificate) bool { return bytes.Equal(p.RawSubject, cert.RawIssuer) })
		if next < 0 {
			return ""
		}
		cert = chain[next]
	}
	return ""
}

// usage holds the certificate to what it was issued for.
func (c *check) usage(s found, cert *x509.Certificate) {
	f := detector.Finding{Rule: "signature/key-usage", Severity: detector.Risk, Place: s.place, Do: "Ask the vendor for a signature by a certificate for code signing."}
	allowed := len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0 ||
		slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case cert.KeyUsage != 0 && cert.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		f.What = fmt.Sprintf("the certificate of %s isn't for signatures by its key usage", named(cert))
		f.Why = "Its issuer vouches for another use of the key; programs that check signatures refuse it."
		c.add(f)
	case !allowed:
		f.What = fmt.Sprintf("the certificate of %s isn't for code signing by its extended key usage (%s)", named(cert), usages(cert))
		f.Why = "A certificate of a web server or for mail is had by whoever has the server or the mailbox: its issuer vouches for no publisher of software."
		c.add(f)
	}
	if cert.IsCA && cert.BasicConstraintsValid && !selfSigned(cert) {
		f.Rule = "signature/authority-signs"
		f.What = fmt.Sprintf("the certificate of %s is one of an authority, which can issue others", named(cert))
		f.Why = "The key of an authority that is used for files lies where files are made: who gets it can issue certificates in its name."
		c.add(f)
	}
}

// usages names extended key usages.
func usages(cert *x509.Certificate) string {
	var all []string
	for _, u := range cert.ExtKeyUsage[:min(len(cert.ExtKeyUsage), 5)] {
		switch u {
		case x509.ExtKeyUsageServerAuth:
			all = append(all, "server authentication")
		case x509.ExtKeyUsageClientAuth:
			all = append(all, "client authentication")
		case x509.ExtKeyUsageEmailProtection:
			all = append(all, "mail")
		case x509.ExtKeyUsageTimeStamping:
			all = append(all, "timestamps")
		case x509.ExtKeyUsageOCSPSigning:
			all = append(all, "OCSP")
		default:
			all = append(all, "another")
		}
	}
	for _, u := range cert.UnknownExtKeyUsage[:min(len(cert.UnknownExtKeyUsage), 5)] {
		all = append(all, u.String())
	}
	return strings.Join(all, ", ")
}

// selfSigned says whether the certificate is issued by its own key.
func selfSigned(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, cert.RawSubject) && cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// issuer looks for a way from the certificate to a root.
func (c *check) issuer(s found, cert *x509.Certificate, chain []*x509.Certificate, sg signing) {
	if c.keys.given(cert.PublicKey) {
		return
	}
	prints := fmt.Sprintf("issuer %s, fingerprint of the certificate %s", name(cert.Issuer.String()), colons(cert.Raw))
	f := detector.Finding{Severity: detector.Risk, Place: s.place, Do: "Ask the publisher for the certificate's fingerprint through a channel that you had before, and compare it; " +
		"if it is theirs, give the issuer's certificate, or this one, as a trusted root (--roots FILE)."}
	err := c.verifyChain(cert, chain, sg)
	var invalid x509.CertificateInvalidError
	switch {
	case c.in.Roots != nil && err == nil:
		return
	case selfSigned(cert):
		f.Rule = "signature/self-signed"
		f.What = fmt.Sprintf("the certificate of %s is signed by itself (fingerprint %s)", named(cert), colons(cert.Raw))
		f.Why = "Nobody vouches for the name in it: anybody makes such a certificate in a minute."
	case c.in.Roots == nil:
		f.Rule, f.Severity = "signature/issuer-unchecked", detector.Note
		f.What = fmt.Sprintf("the issuer of %s's certificate was held to nothing: this needs trusted roots (%s)", named(cert), prints)
		f.Why = "Whether the issuer is one that you trust can't be told without."
		f.Do = "Give the roots of the issuers that your vendors use."
	case errors.As(err, &invalid):
		f.Rule = "signature/chain"
		f.What = fmt.Sprintf("the chain of %s's certificate doesn't hold: %s (%s)", named(cert), plain(err), prints)
		f.Why = "A link of the chain was no longer, or not yet, valid, or may not issue: nothing vouches for the signer."
	case errors.As(err, new(x509.UnknownAuthorityError)):
		f.Rule = "signature/unknown-issuer"
		f.What = fmt.Sprintf("no trusted root stands behind the certificate of %s (%s)", named(cert), prints)
		f.Why = "The signature shows that the package is as its signer made it, and not that the signer is the publisher."
	default:
		f.Rule = "signature/chain"
		f.What = fmt.Sprintf("the chain of %s's certificate can't be checked: %s (%s)", named(cert), plain(err), prints)
		f.Why = "Without its chain nothing vouches for the signer."
	}
	c.add(f)
}

// verifyChain holds the chain to the roots at the time of signing, or at one at which the certificate itself is
// valid: that it isn't is told by itself.
func (c *check) verifyChain(cert *x509.Certificate, chain []*x509.Certificate, sg signing) error {
	if c.in.Roots == nil {
		return nil
	}
	at := sg.at
	if at.IsZero() {
		at = c.in.Claimed
	}
	if at.IsZero() {
		at = c.in.Now
	}
	if at.Before(cert.NotBefore) {
		at = cert.NotBefore
	}
	if at.After(cert.NotAfter) {
		at = cert.NotAfter
	}
	between := x509.NewCertPool()
	for _, i := range append(c.keys.certificates[:len(c.keys.certificates):len(c.keys.certificates)], chain...) {
		between.AddCert(i)
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: c.in.Roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// publisher holds the certificate's names to the publisher's.
func (c *check) publisher(s found, cert *x509.Certificate) {
	want := words(c.in.Publisher)
	if len(want) == 0 || c.keys.given(cert.PublicKey) {
		return
	}
	for _, n := range append(append(cert.Subject.Organization[:len(cert.Subject.Organization):len(cert.Subject.Organization)], cert.Subject.OrganizationalUnit...), cert.Subject.CommonName) {
		if has := words(n); len(has) > 0 && (within(want, has) || within(has, want)) {
			return
		}
	}
	c.add(detector.Finding{
		Rule: "signature/publisher-differs", Severity: detector.Risk, Place: s.place,
		What: fmt.Sprintf("the certificate is of %s, the package of %s", named(cert), name(c.in.Publisher)),
		Why:  "A valid certificate of somebody else signs for somebody else.",
		Do:   "Ask the publisher whether they sign under that name; if so, name the publisher as the certificate does.",
	})
}

// legal are words of companies that tell nothing.
var legal = []string{"inc", "ltd", "llc", "gmbh", "ag", "corp", "corporation", "co", "company", "limited", "plc", "sa", "srl", "bv", "oy", "ab", "kg", "se", "the", "and"}

// words are those of a name, in lower case.
func words(s string) []string {
	all := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.DeleteFunc(all, func(w string) bool { return slices.Contains(legal, w) })
}

// within says whether all of the words are among others.
func within(all, others []string) bool {
	return !slices.ContainsFunc(all, func(w string) bool { return !slices.Contains(others, w) })
}
