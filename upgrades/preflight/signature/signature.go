// Package signature looks at who signed a package, over what, and whether that key is the one that signed this
// publisher's packages before.
//
// It reads detached CMS (PKCS #7) signatures, raw RSA, ECDSA and Ed25519 ones, minisign's and PGP's, beside the package
// and over files in it. That a signature verifies says that whoever holds the key signed these bytes; who that is, is told by
// a chain to given roots, a given key, or a pin of an earlier package, and by nothing in the package itself.
package signature

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
)

// Bounds of what is looked at.
const (
	maxSignature  = 1 << 20  // bytes of a file with a signature or keys
	maxKey        = 1 << 20  // bytes of a file with keys that is given
	maxMessage    = 64 << 20 // bytes of what has to be held in memory: pure Ed25519
	maxSignatures = 50       // that speak for the package, and others
	maxEach       = 8        // over one file, and signers in one signature
	maxKeys       = 100      // certificates, and keys, of a package
	maxWalk       = 200_000  // files of a package
)

// skew is by how much a signer's clock may be ahead.
const skew = 10 * time.Minute

// Input is a package and what it is held to.
type Input struct {
	// Package is the package's base name in Beside, the directory it lies in. The package
	// is a file or a directory.
	Package string
	Beside  fs.FS
	// Inside are the package's files; nil where it couldn't be opened.
	Inside fs.FS
	// Claimed is when the package says that it was built; zero where it doesn't.
	Claimed time.Time
	// Now is the instant of the inspection.
	Now time.Time
	// Roots are the issuers that are trusted; nil where none are known. The system's are
	// never taken by themselves.
	Roots *x509.CertPool
	// Keys are files with keys that are trusted: PGP keyrings, minisign.pub, certificates and
	// public keys in PEM.
	Keys []KeyFile
	// Pins are the keys of earlier packages; nil where none are kept.
	Pins Pins
	// Publisher is whose package it is, as pins have it; "" where that isn't known.
	Publisher string
	// Digests names, for a file of the package, the files whose digests it holds and which
	// are held to them elsewhere: those of a manifest. nil where that isn't known.
	Digests map[string][]string
	// Accept are the fingerprints of keys that somebody has validated: they are pinned beside
	// the earlier ones of the publisher.
	Accept []string
}

// KeyFile is a file with keys, of at most 1 MB.
type KeyFile struct {
	Name string
	Data []byte
}

// Cover says that a signature that verifies is over a file.
type Cover struct {
	// File is the path in the package, "" for the package as a whole.
	File string `json:"file,omitempty"`
	// Signature is the path of the file with the signature, in the package or beside it.
	Signature string `json:"signature"`
	// Kind and Fingerprint are the key's, as in a pin.
	Kind        string `json:"kind"`
	Fingerprint string `json:"fingerprint"`
}

// Covers are what the signatures of a package are over.
type Covers []Cover

// Uncovered gives those of the package's files that no signature is over: neither itself nor by a
// covered file that holds its digest (digests, as in Input). Nothing where one is over the
// package as a whole.
func (c Covers) Uncovered(files []string, digests map[string][]string) (left []string) {
	covered := map[string]bool{}
	var todo []string
	for _, one := range c {
		if one.File == "" {
			return nil
		}
		todo = append(todo, one.File)
	}
	for len(todo) > 0 {
		f := todo[0]
		todo = todo[1:]
		if !covered[f] {
			covered[f] = true
			todo = append(todo, digests[f]...)
		}
	}
	for _, f := range files {
		if !covered[f] {
			left = append(left, f)
		}
	}
	return left
}

// Result is all that is known of a package's signatures.
type Result struct {
	Findings   []detector.Finding
	Unexpected []Unexpected
	Covers     Covers
	// Verifies says of each signature that speaks for the package and verifies by whom it is, in words.
	Verifies []string
}

// Check gives the findings of Examine and the keys that weren't expected.
func Check(ctx context.Context, in Input) ([]detector.Finding, []Unexpected, error) {
	r, err := Examine(ctx, in)
	return r.Findings, r.Unexpected, err
}

// Examine looks at a package's signatures, and pins the key of a publisher's first one. What can't be
// read of the package is a finding; an error is one of the pins, of a given key, or the context's.
func Examine(ctx context.Context, in Input) (Result, error) {
	in.Publisher = publisherName(in.Publisher)
	c := &check{ctx: ctx, in: in, files: map[string]*file{}, told: map[string]bool{}, accepted: map[string]bool{}}
	if err := c.giveKeys(); err != nil {
		return Result{}, err
	}
	if in.Pins != nil && in.Publisher != "" {
		pins, err := in.Pins.Pinned(ctx, in.Publisher)
		if err != nil {
			return Result{}, fmt.Errorf("read the pinned keys of %s: %w", in.Publisher, err)
		}
		c.pins = pins
	}
	for _, p := range c.pins {
		if p.Kind == detector.PinMinisign {
			if k, err := parseMinisignKey(p.Fingerprint); err == nil {
				c.keys.minisign = append(c.keys.minisign, k)
			}
		}
	}
	if mixed(in.Publisher) {
		c.add(detector.Finding{
			Rule: "signature/publisher-odd", Severity: detector.Risk, What: fmt.Sprintf("the publisher's name %q has a word with letters of several scripts", in.Publisher),
			Why: "It may look like another publisher's name, under whose pins the key would have been compared.",
			Do:  "Compare the name with the publisher's own, letter by letter.",
		})
	}
	c.beside() // first, so that nothing in the package takes its place
	c.walk()
	form, err := c.packaged()
	if err != nil {
		return Result{}, err
	}
	for _, s := range c.signatures {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		if err := c.signature(s); err != nil {
			return Result{}, err
		}
	}
	c.conclude(form)
	c.unaccepted()
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	return Result{c.findings, c.unexpected, c.covers, c.verifies}, nil
}

// check is one package being looked at.
type check struct {
	ctx        context.Context
	in         Input
	keys       keys
	pins       []detector.Pin
	paths      []string // of the package's files, sorted
	signatures []found
	files      map[string]*file
	told       map[string]bool
	accepted   map[string]bool // of in.Accept, those that signed

	findings   []detector.Finding
	unexpected []Unexpected
	covers     Covers
	verifies   []string
	// speaking counts signatures that speak for the package; verified those of them that verify,
	// known those by a key that was expected, and bad those that are a blocker by themselves.
	speaking, verified, known, bad int
	// short says that one that verifies leaves out an RPM package's files, whole that one doesn't.
	short, whole bool
}

// found is a file with a signature.
type found struct {
	name   string // path, for people
	place  detector.Place
	form   string
	data   []byte
	target *file // what it is over; nil where nothing is found, or it has its content in itself
	over   string
	// speaks says that it speaks for the package, rather than for some file that it brings.
	speaks bool
	// list says that it is over a list with digests of the target, rather than over the target itself;
	// broken why it can't stand for the target, "" where it can.
	list   bool
	broken string
	// short says that it leaves out the files of an RPM package.
	short bool
	// weakList says what is weak of the list's digests, "" where nothing is.
	weakList string
}

// add takes a finding in, once.
func (c *check) add(f detector.Finding) {
	if key := f.Rule + "\xff" + f.Place.File + "\xff" + f.What; !c.told[key] {
		c.told[key] = true
		c.findings = append(c.findings, f)
	}
}

// accept takes in a signature that verifies.
func (c *check) accept(s found, k signer) error {
	if s.target == nil {
		c.add(detector.Finding{
			Rule: "signature/own-content", Severity: detector.Note, Place: s.place,
			What: fmt.Sprintf("%s is a signature by %s over a text of its own, not over a file of the package", s.name, k),
			Why:  "It says nothing of the package's files by itself.",
			Do:   "See what the text says; ask the vendor for a detached signature over the package.",
		})
		return nil
	}
	if s.weakList != "" {
		c.weak(s, s.weakList)
	}
	c.covers = append(c.covers, Cover{File: s.over, Signature: s.name, Kind: k.kind, Fingerprint: k.fingerprint})
	if !s.speaks {
		return nil
	}
	c.verified++
	c.short, c.whole = c.short || s.short, c.whole || !s.short
	known, bad := c.known, c.bad
	if err := c.compare(s, k); err != nil {
		return err
	}
	text := s.name + " verifies, by " + k.String()
	switch {
	case k.given:
		text += ", a key that was given"
	case c.known > known:
		text += ", who signed before"
	case c.bad > bad:
		text += ", another key than before"
	}
	c.verifies = append(c.verifies, text)
	return nil
}

// invalid is the finding of a signature that doesn't verify.
func (c *check) invalid(s found, by, why string) {
	if s.speaks {
		c.bad++
	}
	over := s.over
	if over == "" {
		over = "the package"
	}
	c.add(detector.Finding{
		Rule: "signature/invalid", Severity: detector.Blocker, Place: s.place,
		What: fmt.Sprintf("the signature %s%s over %s doesn't verify: %s", s.name, by, over, why),
		Why:  "These aren't the bytes that were signed: the download is damaged, or somebody changed them.",
		Do:   "Don't install it. Fetch package and signature again from the vendor, and compare the package's digest with the vendor's through another channel.",
	})
}

// unchecked is the finding of a signature that couldn't be checked.
func (c *check) unchecked(rule string, s found, what, do string) {
	c.add(detector.Finding{
		Rule: rule, Severity: detector.Risk, Place: s.place, What: s.name + ": " + what,
		Why: "A signature that isn't checked protects from nothing.", Do: do,
	})
}

// conclude says what all signatures together leave open.
func (c *check) conclude(form string) {
	if len(c.pins) > 0 && c.known == 0 && c.bad == 0 {
		c.add(detector.Finding{
			Rule: "signature/unsigned", Severity: detector.Blocker,
			What: fmt.Sprintf("no signature of the package is by a key of %s, whose packages were signed before", c.in.Publisher),
			Why:  fmt.Sprintf("Whoever exchanges a package leaves its signature out. Expected is %s.", expectation(c.pins)),
			Do:   "Don't install it. Ask the publisher, by a way that you had before, why this package isn't signed as the earlier ones were.",
		})
		return
	}
	if c.speaking == 0 {
		if form == packageDeb {
			c.unsignedDeb()
		} else {
			c.unsigned()
		}
		return
	}
	if c.verified == 0 {
		return
	}
	if c.in.Pins == nil || c.in.Publisher == "" {
		needs := "pins are kept"
		if c.in.Pins != nil {
			needs = "the package, or the caller, names its publisher"
		}
		c.add(detector.Finding{
			Rule: "signature/not-compared", Severity: detector.Note,
			What: "the signing key was compared with that of no earlier package: this needs that " + needs,
			Why:  "A key that suddenly is another one is told only by comparing.",
			Do:   "Keep pins in the journal, and name the publisher.",
		})
	}
	c.partial()
	if c.short && !c.whole {
		c.add(detector.Finding{
			Rule: "signature/partial", Severity: detector.Risk, What: "the signature is over the header of " + c.in.Package + ", which has no digest of the files behind it",
			Why: "The package's files can be exchanged without a trace.",
			Do:  "Ask the vendor for a package that was built with rpm 4.14 or later, or for a detached signature over it.",
		})
	}
}

func (c *check) unsigned() {
	what := "the package isn't signed"
	if n := len(c.signatures); n > 0 {
		what = fmt.Sprintf("the package isn't signed; signatures are there over %d of the files in it alone", n)
	}
	c.add(detector.Finding{
		Rule: "signature/unsigned", Severity: detector.Risk, What: what,
		Why: "Whether it comes from the vendor, and came unchanged, can't be told.",
		Do:  "Ask the vendor for a detached signature over the package, or compare its SHA-256 with what the vendor tells through another channel.",
	})
}

// partial tells of files that the signatures aren't over.
func (c *check) partial() {
	left := slices.DeleteFunc(c.covers.Uncovered(c.paths, c.in.Digests), func(p string) bool {
		return slices.ContainsFunc(c.signatures, func(s found) bool { return s.place.File == p }) || c.keys.from[p]
	})
	if len(left) == 0 {
		return
	}
	f := detector.Finding{
		Rule: "signature/partial", Severity: detector.Risk, Place: detector.Place{File: left[0]},
		What: fmt.Sprintf("the signatures are over part of the package: %s not covered", counted(left)),
		Why:  "Files that no signature covers, nor a signed manifest by their digests, can be exchanged without a trace.",
		Do:   "Ask the vendor for a signature over the whole package, or for a signed manifest with the SHA-256 of each file.",
	}
	if c.in.Digests == nil {
		f.Severity = detector.Note
		f.Why += " Whether a manifest has digests of them wasn't told here."
	}
	c.add(f)
}

// counted names the first few files.
func counted(all []string) string {
	const most = 5
	is := "is"
	if len(all) > 1 {
		is = "are"
	}
	if len(all) > most {
		return fmt.Sprintf("%s and %d more %s", strings.Join(all[:most], ", "), len(all)-most, is)
	}
	return strings.Join(all, ", ") + " " + is
}

// plain is an error in one line, without the path that it names.
func plain(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, err.Error())
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// top is the one directory that holds all of the files, "." where there is none.
func top(paths []string) string {
	first := "."
	for n, p := range paths {
		dir, _, below := strings.Cut(p, "/")
		if !below || n > 0 && dir != first {
			return "."
		}
		first = dir
	}
	return path.Clean(first)
}
