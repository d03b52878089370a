// Package flags is the switchboard: it serves feature flags and toggles them.
//
// Flags are defined in flagd's JSON format, kept in a Store, and served over
// the OpenFeature Remote Evaluation Protocol by Handler. A toggle is planned,
// audited, applied by compare-and-swap, and then proven through OpenFeature
// alone: a client of its own evaluates the flag over the daemon's real listener
// until it sees the value, the variant and the revision that were written.
//
// It promises that no toggle happens without an audit line before it, that two
// operators at once don't overwrite each other unseen, that undo restores the
// definition to the byte, and that a crash between two steps is found and
// finished by Run.
package flags

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags/backends"
	"aftershock/flags/definitions"
	"aftershock/flags/feed"
	"aftershock/flags/policy"
)

// Errors that callers tell apart with errors.Is; their text says what to do.
var (
	// ErrUnknown: the flag or the variant isn't declared.
	ErrUnknown = errors.New("not declared")
	// ErrInvalid: the request lacks something or makes no sense.
	ErrInvalid = errors.New("invalid request")
	// ErrUnchanged: what was asked for is so already.
	ErrUnchanged = errors.New("nothing to change")
	// ErrConflict: somebody else changed the flag in between. A Store may return
	// it, or any error with a method Conflict() bool that says true.
	ErrConflict = errors.New("changed in between")
	// ErrNotVerified: the toggle was applied, but not seen through OpenFeature.
	ErrNotVerified = errors.New("not verified")
	// ErrFrozen: the automation is frozen, or whether it is can't be read.
	ErrFrozen = errors.New("the automation is frozen")
	// ErrNotReady: flags can't be toggled yet, since they couldn't be verified.
	ErrNotReady = errors.New("not ready")
	// ErrFull: so many toggles of the flag are in force that no more could be undone.
	ErrFull = errors.New("too many toggles are in force")
)

// Store keeps the definitions and the audit.
type Store interface {
	// Definitions returns what was put last, to the byte, and its revision; 0
	// and nil when there is nothing yet.
	Definitions(ctx context.Context) (revision int64, document []byte, err error)
	// PutDefinitions replaces the document of the expected revision and audits t,
	// both or neither; it returns the new, larger revision. A t without an ID
	// isn't audited. Where the revision is another by now it returns a conflict.
	PutDefinitions(ctx context.Context, expected int64, document []byte, t detector.Toggle) (revision int64, err error)
	// AuditToggle adds a state of a toggle to the audit.
	AuditToggle(ctx context.Context, t detector.Toggle) error
	// DecideToggle adds a state that follows on last, or returns a conflict where the
	// toggle's last state is another by now.
	DecideToggle(ctx context.Context, last, next detector.Toggle) error
	// Toggles returns the latest state of each toggle of a flag ("" for all
	// flags), the latest act first.
	Toggles(ctx context.Context, flag string, limit int) ([]detector.Toggle, error)
	// TogglesIn returns the latest state of all toggles in which that is one of these,
	// however many and however old, the latest act first.
	TogglesIn(ctx context.Context, states ...detector.ToggleState) ([]detector.Toggle, error)
	// Toggle returns the latest state of one toggle, or ErrUnknown.
	Toggle(ctx context.Context, id string) (detector.Toggle, error)
	// Freeze returns how the automation's kill switch was put last, its zero value
	// where it never was; PutFreeze puts it, for good.
	Freeze(ctx context.Context) (detector.Freeze, error)
	PutFreeze(ctx context.Context, f detector.Freeze) error
}

// Gate says that a flag gates something in a binary, and which variant is safe.
type Gate struct {
	Flag   string `yaml:"flag" json:"flag"`
	Binary string `yaml:"binary" json:"binary"`
	Safe   string `yaml:"safe" json:"safe"`
	// Tunes, if not nil, says what the flag's variants are constants of.
	Tunes *Tunes `yaml:"tunes,omitempty" json:"tunes,omitempty"`
}

// Config is the section flags of the configuration.
type Config struct {
	// Definitions is a file in flagd's format that seeds the store. Later changes
	// of it are merged in; a flag that was toggled keeps what it was toggled to.
	Definitions string `yaml:"definitions"`
	Gates       []Gate `yaml:"gates"`
	// VerifyTimeout bounds the verification of a toggle, 10 s if 0.
	VerifyTimeout time.Duration `yaml:"verify_timeout"`
	// Hold is how long after a toggle the flag is watched for somebody putting
	// it back, 10 min if 0; Check how often, 5 s if 0. The store is read again as
	// often for what other daemons wrote to it.
	Hold  time.Duration `yaml:"hold"`
	Check time.Duration `yaml:"check"`
	// Attributes name where callers' contexts say what scopes are about.
	Attributes Attributes `yaml:"attributes"`
	// Policy says who may toggle what, for how long, and what the automation does.
	Policy policy.Config `yaml:"policy"`
	// Backends are where flags live beside the definitions.
	Backends backends.Config `yaml:"backends"`
	// ClientKeyFile holds the keys, one a line, of which callers must present one
	// to read flags over OFREP or flagd's sync. Load reads it. "" lets everybody.
	ClientKeyFile string      `yaml:"client_key_file"`
	Sync          feed.Config `yaml:"sync"`

	// Grace is how old what was decided is when no daemon is at it any more, so that
	// Resume takes it up; 30 s if 0.
	Grace time.Duration `yaml:"-"`
	// OnFlip, if not nil, is told of each flip of a flag, ours and other
	// people's, after it is in the audit.
	OnFlip func(detector.Flip) `yaml:"-"`
	// Notify, if not nil, keeps a notice for people safe until it is delivered. One
	// with a Key that it had before is dropped.
	Notify func(context.Context, Notice) error `yaml:"-"`
	// Gains, if not nil, gives what upgrades improved that is put down to one of the
	// binaries: those of upgrades under watch and of the one named ("" for none).
	Gains func(ctx context.Context, upgrade string, binaries []string) ([]detector.Gain, error) `yaml:"-"`
	// Past, if not nil, gives the frames of what a service measured of itself and of
	// its calls to a peer, as far back from now as asked.
	Past func(ctx context.Context, service, peer string, back time.Duration, yield func(detector.Frame) error) error `yaml:"-"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	if c.VerifyTimeout == 0 {
		c.VerifyTimeout = 10 * time.Second
	}
	if c.Hold == 0 {
		c.Hold = 10 * time.Minute
	}
	if c.Check == 0 {
		c.Check = 5 * time.Second
	}
	c.Attributes.SetDefaults()
	c.Policy.SetDefaults()
	c.Backends.SetDefaults()
	c.Sync.SetDefaults()
}

// Validate lists what is wrong, each error with its YAML path under path. It
// doesn't open the definitions: Load does.
func (c *Config) Validate(path string) []error {
	var errs []error
	for _, d := range []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"verify_timeout", c.VerifyTimeout, 100 * time.Millisecond, 5 * time.Minute},
		{"hold", c.Hold, 0, 24 * time.Hour},
		{"check", c.Check, 10 * time.Millisecond, time.Hour},
	} {
		if d.value < d.min || d.value > d.max {
			errs = append(errs, fmt.Errorf("%s.%s: %s isn't between %s and %s", path, d.name, d.value, d.min, d.max))
		}
	}
	errs = append(errs, c.Attributes.Validate(path+".attributes")...)
	errs = append(errs, c.Policy.Validate(path+".policy")...)
	seen := map[Gate]bool{}
	for i, g := range c.Gates {
		at := fmt.Sprintf("%s.gates[%d]", path, i)
		if g.Flag == "" {
			errs = append(errs, fmt.Errorf("%s.flag: missing: name the flag that gates the binary", at))
		}
		if g.Binary == "" {
			errs = append(errs, fmt.Errorf("%s.binary: missing: name the binary that the flag gates", at))
		}
		key := Gate{Flag: g.Flag, Binary: g.Binary}
		if seen[key] {
			errs = append(errs, fmt.Errorf("%s: flag %q and binary %q were named before", at, g.Flag, g.Binary))
		}
		seen[key] = true
		if g.Tunes != nil {
			errs = append(errs, g.Tunes.validate(at+".tunes", g.Safe)...)
		}
	}
	return slices.Concat(errs, c.Backends.Validate(path+".backends"), c.Sync.Validate(path+".sync"))
}

// Switchboard serves and toggles flags. Make it with New, then Load, Connect
// once the listener is bound, and Run. Its methods may be called concurrently.
type Switchboard struct {
	config  Config
	store   Store
	log     logrus.FieldLogger
	metrics *metrics
	now     func() time.Time
	grace   time.Duration // how old a planned toggle is when nobody is at it any more

	serving  atomic.Pointer[snapshot]
	rules    atomic.Pointer[Rules]
	feed     *feed.Feed
	keys     atomic.Pointer[keys]
	ownKey   string // of the switchboard's own client, for this process alone
	itself   atomic.Pointer[connection]
	stopping atomic.Bool
	tuning   sync.Mutex // one at a time
	places   []*place

	mu       sync.Mutex      // guards what follows, and orders the writes of serving
	inFlight map[string]bool // toggles that a caller is busy with
	pinned   map[string]pinned
	terms    map[string]term

	deciding sync.Mutex // one approval at a time
	swept    time.Time  // when Run last looked for plans that nobody approved
}

// New returns a switchboard that serves no flags yet.
func New(c Config, store Store, log logrus.FieldLogger, reg prometheus.Registerer) (*Switchboard, error) {
	c.SetDefaults()
	if errs := c.Validate("flags"); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	s := &Switchboard{
		config: c, store: store, log: log, metrics: m, now: time.Now, grace: cmp.Or(c.Grace, 3*writeTimeout),
		inFlight: map[string]bool{}, pinned: map[string]pinned{}, terms: map[string]term{}, ownKey: rand.Text(),
	}
	s.rules.Store(&Rules{Gates: c.Gates, Policy: c.Policy})
	opened, err := c.Backends.Open()
	if err != nil {
		return nil, err
	}
	if s.places, err = s.newPlaces(opened); err != nil {
		return nil, err
	}
	d := emptyDocument()
	set, err := d.set()
	if err != nil {
		return nil, err
	}
	s.serving.Store(newSnapshot(0, d, set))
	s.keys.Store(&keys{})
	if s.feed, err = feed.New(c.Sync, s, reg); err != nil {
		return nil, err
	}
	return s, nil
}

// Load reads the keys and the store, merges the file of definitions into it and
// serves the result. It is also the reload. On an error, what was served before,
// or what the store has, is served on.
func (s *Switchboard) Load(ctx context.Context) error {
	k, err := readKeys(s.config.ClientKeyFile)
	if err != nil {
		return err
	}
	if k.any() {
		k.digests = append(k.digests, sha256.Sum256([]byte(s.ownKey)))
	}
	s.keys.Store(&k)
	// A few times, as other daemons may be merging their files, too.
	for range 5 {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		err := s.mergeFile(ctx)
		if err == nil || !isConflict(err) {
			return err
		}
	}
	return fmt.Errorf("merge flag definitions of %s: %w by others, again and again", s.config.Definitions, ErrConflict)
}

// mergeFile puts the file's definitions into the store, if they changed.
func (s *Switchboard) mergeFile(ctx context.Context) error {
	if s.config.Definitions == "" {
		return nil
	}
	b, err := readFile(s.config.Definitions, maxFile)
	if err != nil {
		return fmt.Errorf("read flag definitions: %w", err)
	}
	set, err := definitions.Parse(b)
	if err != nil {
		return fmt.Errorf("%s: %w", s.config.Definitions, err)
	}
	for _, p := range set.Problems() {
		s.log.WithFields(logrus.Fields{"flag": p.Flag, "file": s.config.Definitions, "error": p.Err}).Error("a flag can't be served")
	}
	now := s.serving.Load()
	next, changes, err := now.document.mergeFile(b)
	if err != nil {
		return fmt.Errorf("%s: %w", s.config.Definitions, err)
	}
	if changes.held() {
		for _, flag := range changes.kept {
			s.log.WithField("flag", flag).Warn("the file of flag definitions changed a flag that was toggled: the toggle stands, undo it to take the file's")
		}
	}
	if !changes.any && now.revision != 0 {
		return nil
	}
	revision, err := s.put(ctx, now.revision, next, detector.Toggle{})
	if err != nil {
		return err
	}
	s.log.WithFields(logrus.Fields{
		"revision": revision, "added": changes.added, "changed": changes.changed, "removed": changes.removed, "kept": changes.kept,
	}).Info("merged the file of flag definitions")
	s.announce(now, changes)
	return nil
}

// announce tells of the flags that a merge of the file flipped: somebody else's
// doing, unlike a toggle.
func (s *Switchboard) announce(before *snapshot, c changes) {
	if s.config.OnFlip == nil {
		return
	}
	after, at := s.serving.Load(), s.now().UTC()
	for _, flag := range slices.Concat(c.changed, c.removed) {
		f := detector.Flip{Flag: flag, Before: before.served(flag, s), Variant: after.served(flag, s), At: at, Actor: "definitions file"}
		if f.Before != f.Variant {
			s.config.OnFlip(f)
		}
	}
}

// refresh serves what the store has, if that is newer.
func (s *Switchboard) refresh(ctx context.Context) error {
	revision, b, err := s.store.Definitions(ctx)
	if err != nil {
		return fmt.Errorf("read flag definitions from the store: %w", err)
	}
	if revision <= s.serving.Load().revision {
		return nil
	}
	d, err := readDocument(b)
	if err != nil {
		return fmt.Errorf("read revision %d of the flag definitions in the store: %w", revision, err)
	}
	set, err := d.set()
	if err != nil {
		return fmt.Errorf("read revision %d of the flag definitions in the store: %w", revision, err)
	}
	s.serve(newSnapshot(revision, d, set))
	return nil
}

// put writes the document and serves it. A document that couldn't be served is
// refused before.
func (s *Switchboard) put(ctx context.Context, expected int64, d document, t detector.Toggle) (int64, error) {
	set, err := d.set()
	if err != nil {
		return 0, fmt.Errorf("write flag definitions: they couldn't be read again: %w", err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		return 0, fmt.Errorf("write flag definitions: %w", err)
	}
	if len(b) > maxDocument {
		return 0, fmt.Errorf("write flag definitions: %d bytes, more than the %d allowed", len(b), maxDocument)
	}
	revision, err := s.store.PutDefinitions(ctx, expected, b, t)
	if err != nil {
		return 0, fmt.Errorf("write flag definitions: %w", err)
	}
	s.serve(newSnapshot(revision, d, set))
	return revision, nil
}

// serve makes n what is served, unless something newer is.
func (s *Switchboard) serve(n *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.serving.Load()
	if old.revision >= n.revision {
		return
	}
	s.serving.Store(n)
	old.edition.Supersede()
	s.metrics.served(n.revision, n.set)
}

// isConflict says whether a store's error means that somebody else wrote.
func isConflict(err error) bool {
	var c interface{ Conflict() bool }
	return errors.Is(err, ErrConflict) || errors.As(err, &c) && c.Conflict()
}

// readFile reads a file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	// A pipe that nobody writes to would hold up everything for ever.
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s isn't a regular file", name)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d allowed", name, info.Size(), limit)
	}
	return os.ReadFile(name)
}
