package signature

import (
	"fmt"
	"strings"

	"aftershock/detector"
)

// acceptable finds the fingerprint among those that somebody has validated, however they
// wrote it: "" where it isn't there.
func (c *check) acceptable(fingerprint string) string {
	for _, a := range c.in.Accept {
		if samePrint(a, fingerprint) {
			return a
		}
	}
	return ""
}

// samePrint compares two fingerprints: those in hex without regard to case, colons and
// spaces, others as they are.
func samePrint(a, b string) bool {
	bare := func(s string) (string, bool) {
		s = strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(strings.TrimSpace(s)))
		return s, len(s) >= 32 && strings.Trim(s, "0123456789abcdef") == ""
	}
	x, hex := bare(a)
	y, other := bare(b)
	if hex && other {
		return x == y
	}
	return strings.TrimSpace(a) == strings.TrimSpace(b)
}

// pinAccepted pins a key that somebody has validated beside the earlier ones of its
// publisher, and says whether it is pinned.
func (c *check) pinAccepted(s found, k signer) bool {
	p := Pin{Publisher: c.in.Publisher, Kind: k.kind, Fingerprint: k.fingerprint, Issuer: k.issuer, Subject: k.subject, FirstSeen: c.in.Now.UTC()}
	c.accepted[c.acceptable(k.fingerprint)] = true
	if err := c.in.Pins.Pin(c.ctx, p); err != nil {
		c.add(detector.Finding{
			Rule: "signature/not-pinned", Severity: detector.Risk, Place: s.place,
			What: fmt.Sprintf("%s, by which %s is, couldn't be pinned for %s as you asked: %v", k, s.name, name(c.in.Publisher), err),
			Why:  "The next package by it isn't expected either.",
			Do:   "Mend what is said there, and inspect the package again.",
		})
		return false
	}
	c.pins = append(c.pins, p)
	c.known++
	c.add(detector.Finding{
		Rule: "signature/pinned", Severity: detector.Note, Place: s.place,
		What: fmt.Sprintf("%s is by %s, pinned now beside the earlier keys of %s, as you asked", s.name, k, name(c.in.Publisher)),
		Why:  "Packages by it are expected from now on.",
		Do:   "Tell those who inspect packages of " + name(c.in.Publisher) + " that its key is another one, and since when.",
	})
	return true
}

// unaccepted tells of keys that were to be pinned and that nothing is signed by.
func (c *check) unaccepted() {
	for _, a := range c.in.Accept {
		if !c.accepted[a] {
			c.add(detector.Finding{
				Rule: "signature/not-pinned", Severity: detector.Risk,
				What: fmt.Sprintf("the key %s isn't pinned: no signature of the package that verifies is by it, or its publisher isn't known", name(a)),
				Why:  "A key is pinned for a package that it has signed, so that it is known to be whose it is.",
				Do:   "Compare the fingerprint with those that are told of the signatures.",
			})
		}
	}
}
