package signature

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"aftershock/detector"
)

// Pin is a key that signed a publisher's package before.
type Pin = detector.Pin

// Pins keep them. Pin keeps one, and nothing where it is kept already; both may be called at once.
type Pins interface {
	Pinned(ctx context.Context, publisher string) ([]Pin, error)
	Pin(ctx context.Context, p Pin) error
}

// Unexpected is a key that signed a package, correctly, while its publisher's packages are signed by others.
type Unexpected struct {
	Publisher   string `json:"publisher"`
	Kind        string `json:"kind"`
	Fingerprint string `json:"fingerprint"`
	Issuer      string `json:"issuer,omitempty"`
	Subject     string `json:"subject,omitempty"`
	// Signature is the file with the signature, in the package or beside it.
	Signature string `json:"signature"`
	Expected  []Pin  `json:"expected"`
	// Steps are what to do to find out whether it is the publisher's, in order.
	Steps []string `json:"steps"`
}

// NotTold is the finding of an unexpected key that the receivers of alerts couldn't be told of.
func (u Unexpected) NotTold(err error) detector.Finding {
	return detector.Finding{
		Rule: "signature/not-told", Severity: detector.Risk,
		What: fmt.Sprintf("the receivers of alerts weren't told of the unexpected key of %s: %v", name(u.Publisher), err),
		Why:  "Those who may have to stop the package elsewhere don't know of it.",
		Do:   "Tell the people on call and security yourself, with what is said of the key here.",
	}
}

// compare holds the key of a signature that verifies to those of earlier packages, and pins the first.
func (c *check) compare(s found, k signer) error {
	validated := c.acceptable(k.fingerprint)
	if k.given {
		c.known++
		return nil
	}
	if c.in.Pins == nil || c.in.Publisher == "" {
		return nil
	}
	for _, p := range c.pins {
		if p.Kind == k.kind && p.Fingerprint == k.fingerprint {
			c.known++
			c.accepted[validated] = true
			return nil
		}
	}
	if len(c.pins) == 0 {
		p := Pin{Publisher: c.in.Publisher, Kind: k.kind, Fingerprint: k.fingerprint, Issuer: k.issuer, Subject: k.subject, FirstSeen: c.in.Now.UTC()}
		if err := c.in.Pins.Pin(c.ctx, p); err != nil {
			if c.ctx.Err() != nil {
				return c.ctx.Err()
			}
			c.add(detector.Finding{
				Rule: "signature/not-pinned", Severity: detector.Risk, Place: s.place,
				What: fmt.Sprintf("%s is by %s, which couldn't be pinned as the first of %s: %v", s.name, k, name(c.in.Publisher), err),
				Why:  "The next package is compared with no key: one by somebody else isn't told.",
				Do:   "Mend what is said there, and inspect the package again; --pins FILE keeps pins in a file of yours instead.",
			})
			return nil
		}
		c.accepted[validated] = true
		told := "first\xff" + k.kind + k.fingerprint
		if c.told[told] {
			return nil // by another signature of this package
		}
		c.told[told] = true
		c.add(detector.Finding{
			Rule: "signature/first-use", Severity: detector.Note, Place: s.place,
			What: fmt.Sprintf("%s is by %s: the first of %s that was seen, and pinned from now on", s.name, k, name(c.in.Publisher)),
			Why:  "A key that comes with the package, or is seen first with it, proves nothing by itself; it tells whether the next package is by the same.",
			Do:   "Compare the fingerprint once with what the publisher tells through another channel: " + show(k.kind) + ".",
		})
		return nil
	}
	if validated != "" && c.pinAccepted(s, k) {
		return nil
	}
	u := Unexpected{
		Publisher: c.in.Publisher, Kind: k.kind, Fingerprint: k.fingerprint, Issuer: k.issuer, Subject: k.subject, Signature: s.name,
		Expected: c.pins, Steps: steps(c.in.Publisher, k, c.pins),
	}
	c.unexpected = append(c.unexpected, u)
	c.bad++
	issuer := ""
	if k.issuer != "" {
		issuer = ", issued by " + k.issuer
	}
	c.add(detector.Finding{
		Rule: "signature/unexpected-key", Severity: detector.Blocker, Place: s.place,
		What: fmt.Sprintf("%s is by %s%s; expected is %s", s.name, k, issuer, expectation(c.pins)),
		Why:  "The signature is correct, and by another key than all earlier packages of " + name(c.in.Publisher) + ": the publisher changed keys, or somebody else signed it.",
		Do:   strings.Join(u.Steps, " "),
	})
	return nil
}

// expectation names what is pinned.
func expectation(pins []Pin) string {
	const most = 3
	var all []string
	for _, p := range pins[:min(len(pins), most)] {
		t := fmt.Sprintf("the %s key %s", p.Kind, p.Fingerprint)
		if p.Issuer != "" {
			t += ", issued by " + p.Issuer
		}
		all = append(all, fmt.Sprintf("%s (since %s)", t, p.FirstSeen.UTC().Format("2006-01-02")))
	}
	if n := len(pins) - most; n > 0 {
		all = append(all, fmt.Sprintf("%d more", n))
	}
	return strings.Join(all, " or ")
}

// show is how somebody sees a key's fingerprint by other means.
func show(kind string) string {
	switch kind {
	case detector.PinX509:
		return "openssl x509 -in CERTIFICATE -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -c"
	case detector.PinPGP:
		return "gpg --show-keys --with-fingerprint KEYFILE"
	}
	return "the second line of minisign.pub"
}

// steps are those of a validation by a second channel.
func steps(publisher string, k signer, expected []Pin) []string {
	second := fmt.Sprintf("Have the fingerprint of their key read to you (%s) and compare all of it with %s.", show(k.kind), k.fingerprint)
	if k.certificate != "" {
		second += " The certificate's own SHA-256 fingerprint is " + k.certificate + "."
	}
	return []string{
		"1. Keep the package from being installed, and the key from being pinned, until this is settled.",
		fmt.Sprintf("2. Ask %s by a telephone number or address that you had before; take none from the package, its download page or the mail that came with it.", name(publisher)),
		"3. " + second,
		fmt.Sprintf("4. Ask since when and why the key is another one: so far it was %s.", expectation(expected)),
		"5. Where it is theirs, have a second person confirm it, and pin the key: inspect the package again with --pin FINGERPRINT. Where it isn't, keep the package and the logs of its download, and tell security on both sides.",
	}
}

// maxPins bounds the pins of one publisher, and maxPublishers those of all in a file.
const (
	maxPins    = 100
	maxAllPins = 10_000
)

// Memory keeps pins as long as it lives. The zero value is empty.
type Memory struct {
	mu   sync.Mutex
	pins []Pin
}

// Pinned gives a publisher's pins in the order in which they came.
func (m *Memory) Pinned(_ context.Context, publisher string) ([]Pin, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return of(m.pins, publisher), nil
}

// Pin keeps one.
func (m *Memory) Pin(_ context.Context, p Pin) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	pins, err := with(m.pins, p)
	if err == nil {
		m.pins = pins
	}
	return err
}

// publisherName is a publisher's name as pins have it: without what isn't seen in it, so that no two names
// look the same by that.
func publisherName(publisher string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, publisher)), " ")
}

// mixed tells a name with a word of letters of several scripts, as one has that is to be taken for
// another's.
func mixed(publisher string) bool {
	for _, word := range strings.Fields(publisher) {
		scripts := 0
		for _, s := range []*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee} {
			if strings.ContainsFunc(word, func(r rune) bool { return unicode.Is(s, r) }) {
				scripts++
			}
		}
		if scripts > 1 {
			return true
		}
	}
	return false
}

// of gives the pins of a publisher.
func of(all []Pin, publisher string) (out []Pin) {
	for _, p := range all {
		if strings.EqualFold(p.Publisher, publisher) {
			out = append(out, p)
		}
	}
	return out
}

// with adds a pin that isn't there yet.
func with(all []Pin, p Pin) ([]Pin, error) {
	if p.Publisher == "" || p.Kind == "" || p.Fingerprint == "" || p.FirstSeen.IsZero() {
		return nil, fmt.Errorf("pin a key: it lacks the publisher, the kind, the fingerprint or the time")
	}
	n := 0
	for _, o := range all {
		if !strings.EqualFold(o.Publisher, p.Publisher) {
			continue
		}
		if o.Kind == p.Kind && o.Fingerprint == p.Fingerprint {
			return all, nil
		}
		n++
	}
	if n >= maxPins || len(all) >= maxAllPins {
		return nil, fmt.Errorf("pin a key of %s: there are %d pins of it, and %d in all", p.Publisher, n, len(all))
	}
	return append(all[:len(all):len(all)], p), nil
}
