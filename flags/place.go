package flags

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature/isolated"

	"aftershock/flags/backends"
	"aftershock/flags/definitions"
	"aftershock/flags/remote"
)

// Errors of the backend that a flag lives in.
var (
	// ErrReadOnly: it can't do that, or refuses to; Refused tells the two apart.
	ErrReadOnly = errors.New("the backend refuses it")
	// ErrBackend: it can't be reached, or its answer is of no use.
	ErrBackend = errors.New("the backend doesn't answer as it should")
	// ErrSlow: it didn't answer in time.
	ErrSlow = errors.New("the backend is too slow")
	// ErrBusy: it wants no requests for a while.
	ErrBusy = errors.New("the backend is busy")
)

// Refused says whether the backend was asked and answered that it won't.
func Refused(err error) bool {
	var answer *remote.StatusError
	return errors.Is(err, ErrReadOnly) && errors.As(err, &answer)
}

const (
	// readTimeout bounds looks at a backend for a person who waits.
	readTimeout = 12 * time.Second
	// maxAway is the number of flags that are listed of one backend.
	maxAway = 500
)

// Living says where a flag lives that isn't in the switchboard's own
// definitions.
type Living struct {
	Name      string           `json:"name"`
	Kind      string           `json:"kind"`
	Abilities remote.Abilities `json:"abilities"`
	// Revision is the backend's own. Seen is when the flag was read, zero if never;
	// Everyone says whether all callers get what is served.
	Revision string    `json:"revision,omitempty"`
	Seen     time.Time `json:"seen,omitzero"`
	Everyone bool      `json:"everyone"`
	// Verifiable says whether toggles are seen through OpenFeature.
	Verifiable bool `json:"verifiable"`
}

// place is a backend with what is known of its flags.
type place struct {
	*backends.Backend
	connection *connection // nil where nothing evaluates its flags

	mu   sync.Mutex
	seen map[string]seen
	held map[string]pinned // by toggle
	over map[string]bool   // toggles of which nothing is left to finish
	// noticed, if not nil, is told when a flag serves something else than before.
	noticed func(flag, before, after string)
}

// seen is what a look at a flag gave.
type seen struct {
	state remote.State
	at    time.Time
	err   error
}

// newPlaces connects the backends' OpenFeature providers. It makes no request.
func (s *Switchboard) newPlaces(all []*backends.Backend) ([]*place, error) {
	var places []*place
	for _, b := range all {
		p := &place{Backend: b, seen: map[string]seen{}, held: map[string]pinned{}, over: map[string]bool{}}
		if b.Provider != nil {
			api := isolated.NewAPI()
			if err := api.SetProviderAndWait(context.Background(), b.Provider); err != nil {
				return nil, fmt.Errorf("connect to the OpenFeature endpoint of the backend %s: %w", b.Name, err)
			}
			p.connection = &connection{api: api, client: api.NewClient()}
		}
		p.noticed = s.noticed(p)
		places = append(places, p)
	}
	return places, nil
}

// placeOf is the backend that a flag lives in, nil if it's in the switchboard's
// own definitions.
func (s *Switchboard) placeOf(flag string) *place {
	for _, p := range s.places {
		if p.Has(flag) {
			return p
		}
	}
	return nil
}

// read looks at a flag and remembers what it saw. Errors are the switchboard's.
func (p *place) read(ctx context.Context, flag string, now time.Time) (remote.State, error) {
	state, err := p.Client.Read(ctx, flag)
	if err == nil && len(state.Definition) > maxSaved {
		err = fmt.Errorf("%w: its definition has more than the %d bytes that can be saved for undo", remote.ErrReadOnly, maxSaved)
	}
	if err != nil {
		err = fmt.Errorf("read flag %q from the backend %s: %w", cut(flag, 100), p.Name, inWords(err))
	}
	p.mu.Lock()
	before := p.seen[flag]
	defer func() {
		p.mu.Unlock()
		if err == nil && !before.at.IsZero() && before.state.Variant != state.Variant && p.noticed != nil {
			p.noticed(flag, before.state.Variant, state.Variant)
		}
	}()
	switch {
	case errors.Is(err, ErrUnknown):
		delete(p.seen, flag)
	case err != nil && ctx.Err() != nil && before.err == nil && !before.at.IsZero():
		// The caller had no time left: what was seen before stands.
	case err != nil:
		p.seen[flag] = seen{state: before.state, at: before.at, err: err}
	default:
		p.seen[flag] = seen{state: state, at: now}
	}
	return state, err
}

// inWords makes a backend's error one of the switchboard's.
func inWords(err error) error {
	for _, e := range []struct{ theirs, ours error }{
		{remote.ErrUnknown, ErrUnknown},
		{remote.ErrConflict, ErrConflict},
		{remote.ErrReadOnly, ErrReadOnly},
		{remote.ErrBusy, ErrBusy},
		{remote.ErrSlow, ErrSlow},
	} {
		if errors.Is(err, e.theirs) {
			return fmt.Errorf("%w: %w", e.ours, err)
		}
	}
	return fmt.Errorf("%w: %w", ErrBackend, err)
}

// keys lists the flags of the backend that are known: those seen, those named in
// the configuration and those that were toggled.
func (p *place) keys(d document) []string {
	known := map[string]bool{}
	for _, key := range p.Named() {
		known[key] = true
	}
	for key, a := range d.Away {
		if a.Backend == p.Name && p.Has(key) && (a.Pending != nil || len(a.Standing) > 0) {
			known[key] = true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.seen {
		known[key] = true
	}
	return slices.Sorted(maps.Keys(known))
}

// last is what the last look at a flag gave.
func (p *place) last(flag string) seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[flag]
}

// viewAway is a flag of a backend as it was last seen.
func (s *Switchboard) viewAway(n *snapshot, p *place, key string) View {
	saw := p.last(key)
	v := View{
		Flag:    definitions.Flag{Key: key, State: definitions.Enabled, Variants: saw.state.Variants},
		Serving: saw.state.Variant, Toggles: len(n.document.Away[key].Standing), Gates: s.gates(key), Policy: s.Rules().Policy.For(key),
		Standing: s.standing(n, key),
		Backend: &Living{
			Name: p.Name, Kind: p.Kind, Abilities: p.Abilities, Revision: saw.state.Revision,
			Seen: saw.at, Everyone: saw.state.Everyone, Verifiable: p.connection != nil,
		},
	}
	switch {
	case saw.err != nil:
		v.Problem = cut(saw.err.Error(), maxText)
	case saw.at.IsZero():
		v.Problem = "it hasn't been read from the backend yet"
	default:
		v.Revision = saw.state.Fingerprint()
	}
	if a := n.document.Away[key]; a.Pending != nil {
		v.Problem = fmt.Sprintf("toggle %s is under way, or was cut off and waits for its backend", a.Pending.Toggle)
	}
	return v
}

// Look returns one flag as it is now: where it lives in a backend, that is asked.
// A backend that can't be reached is the view's Problem. A flag that there isn't
// is ErrUnknown.
func (s *Switchboard) Look(ctx context.Context, key string) (View, error) {
	p := s.placeOf(key)
	if p == nil {
		return s.Show(key)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if _, err := p.read(ctx, key, s.now().UTC()); errors.Is(err, ErrUnknown) {
		return View{}, err
	}
	return s.viewAway(s.serving.Load(), p, key), nil
}

// Preview says what a toggle would do and changes nothing; for a flag that lives
// in a backend it asks that.
func (s *Switchboard) Preview(ctx context.Context, r Request) (Plan, error) {
	p := s.placeOf(r.Flag)
	if p == nil {
		plan, err := s.Plan(r)
		if err == nil {
			s.weigh(ctx, r, &plan)
		}
		return plan, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	plan, _, err := s.planAway(ctx, p, r)
	if err == nil {
		s.weigh(ctx, r, &plan)
	}
	return plan, err
}
