package detector

import "time"

// Kinds of pinned keys.
const (
	PinX509     = "x509"     // SHA-256 of the public key (SubjectPublicKeyInfo), hex with colons
	PinPGP      = "pgp"      // the primary key's fingerprint, hex
	PinMinisign = "minisign" // the public key itself, base64, as minisign prints it
)

// Pin is a key that signed a publisher's package before.
type Pin struct {
	Publisher string `json:"publisher"`
	// Kind is one of the kinds above, which says what the fingerprint is.
	Kind        string `json:"kind"`
	Fingerprint string `json:"fingerprint"`
	// Issuer and Subject are those of the certificate, or the key's user ID; for people.
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`
	// FirstSeen is when it was pinned.
	FirstSeen time.Time `json:"first_seen"`
}
