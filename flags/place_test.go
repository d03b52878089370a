package flags

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-feature/go-sdk/openfeature"

	"aftershock/detector"
	"aftershock/flags/backends"
	"aftershock/flags/flagd"
	"aftershock/flags/policy"
	"aftershock/flags/remote"
)

const elsewhere = `{"flags":{
	"far-backoff":{"state":"ENABLED","defaultVariant":"new","variants":{"legacy":{"base_ms":100},"new":{"base_ms":5}}},
	"far-masked":{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false},
		"targeting":{"if":[{"starts_with":[{"var":"targetingKey"},"aftershock"]},"on","off"]}}}}`

// far is a backend in memory.
type far struct {
	mu       sync.Mutex
	document []byte
	revision int
	writes   int
	// before and after are asked around each write; read at each read.
	before, after func() error
	read          func() error
	deaf          bool // writes do nothing
	blind         bool // the provider goes on answering what was there first
	first         []byte
}

func newFar() *far { return &far{document: []byte(elsewhere), first: []byte(elsewhere), revision: 1} }

func (f *far) state(flag string) (remote.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.read != nil {
		if err := f.read(); err != nil {
			return remote.State{}, err
		}
	}
	s, err := flagd.Read(f.document, flag, time.Now())
	s.Revision = fmt.Sprint("r", f.revision)
	return s, err
}

func (f *far) Keys(context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return flagd.Keys(f.document)
}

func (f *far) Read(_ context.Context, flag string) (remote.State, error) { return f.state(flag) }

func (f *far) Pin(d json.RawMessage, variant string) (json.RawMessage, []string, error) {
	return flagd.Pin(d, variant)
}

func (f *far) Write(_ context.Context, flag string, c remote.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before != nil {
		if err := f.before(); err != nil {
			return err
		}
	}
	if got := fmt.Sprint("r", f.revision); got != c.From.Revision {
		return remote.ErrConflict
	}
	if c.DryRun || f.deaf {
		return nil
	}
	next, err := flagd.Replace(f.document, flag, c.To)
	if err != nil {
		return err
	}
	f.document, f.revision, f.writes = next, f.revision+1, f.writes+1
	if f.after != nil {
		return f.after()
	}
	return nil
}

func (f *far) written() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// meddle is somebody else's write.
func (f *far) meddle(t testing.TB, flag, definition string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	next, err := flagd.Replace(f.document, flag, json.RawMessage(definition))
	if err != nil {
		t.Fatal(err)
	}
	f.document, f.revision = next, f.revision+1
}

func (f *far) definition(t testing.TB, flag string) string {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := flagd.Read(f.document, flag, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return string(s.Definition)
}

// eye is an OpenFeature provider of what a backend has.
type eye struct {
	openfeature.NoopProvider
	*far
}

func (f *eye) ObjectEvaluation(_ context.Context, flag string, preset any, flat openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	f.mu.Lock()
	defer f.mu.Unlock()
	document := f.document
	if f.blind {
		document = f.first
	}
	s, err := flagd.Read(document, flag, time.Now())
	if err != nil {
		return openfeature.InterfaceResolutionDetail{Value: preset, ProviderResolutionDetail: openfeature.ProviderResolutionDetail{
			ResolutionError: openfeature.NewFlagNotFoundResolutionError("no"),
		}}
	}
	variant := s.Expect(flat, time.Now())
	var v any
	_ = json.Unmarshal(s.Variants[variant], &v)
	return openfeature.InterfaceResolutionDetail{Value: v, ProviderResolutionDetail: openfeature.ProviderResolutionDetail{Variant: variant}}
}

// afar starts a switchboard some of whose flags live in f.
func afar(t testing.TB, store Store, f *far, seeing bool, c Config) *Switchboard {
	t.Helper()
	if c.Check == 0 {
		c.Check = 20 * time.Millisecond
	}
	c.Definitions = writeFile(t, fleet)
	s, _ := start(t, store, c)
	s.grace = 0
	var provider openfeature.FeatureProvider
	if seeing {
		provider = &eye{far: f}
	}
	places, err := s.newPlaces([]*backends.Backend{{
		Name: "far", Kind: "test", Patterns: []string{"far-*"}, Abilities: remote.Abilities{Variant: true, Value: true, DryRun: true}, Client: f, Provider: provider,
		VerifyTimeout: time.Second, Check: 20 * time.Millisecond, Refresh: 50 * time.Millisecond,
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.places = places
	return s
}

func TestAwayToggleAndUndo(t *testing.T) {
	store, f := &memory{}, newFar()
	var flips []string
	s := afar(t, store, f, true, Config{OnFlip: func(f detector.Flip) { flips = append(flips, f.Flag+" "+f.Before+">"+f.Variant) }})
	for _, flag := range []string{"far-masked", "far-backoff"} {
		original := f.definition(t, flag)
		variant := map[string]string{"far-masked": "off", "far-backoff": "legacy"}[flag]
		plan, err := s.Preview(t.Context(), request(flag, variant))
		if err != nil || !strings.Contains(plan.Diff, "+ ") {
			t.Fatalf("plan: got %+v, %v", plan, err)
		}
		r := request(flag, variant)
		r.Revision, r.DryRun = plan.Revision, true
		if dry, err := s.Set(t.Context(), r); err != nil || dry.ID != "" || !strings.HasPrefix(dry.Evidence, plan.Diff) || f.definition(t, flag) != original {
			t.Fatalf("dry run: got %+v, %v", dry, err)
		}
		r.DryRun = false
		first, err := s.Set(t.Context(), r)
		if err != nil || first.State != detector.ToggleVerified || !strings.Contains(first.Evidence, "6 of 6 evaluations") {
			t.Fatalf("set: got %+v, %v", first, err)
		}
		if d := cmp.Diff([]detector.ToggleState{"planned", "applied", "verified"}, store.states(first.ID)); d != "" {
			t.Errorf("audit (-want +got):\n%s", d)
		}
		v, err := s.Look(t.Context(), flag)
		if err != nil || v.Serving != variant || !v.Backend.Everyone || v.Toggles != 1 || v.Backend.Name != "far" || v.Problem != "" {
			t.Errorf("look: got %+v (%+v), %v", v, v.Backend, err)
		}
		if _, err := s.Set(t.Context(), request(flag, variant)); !errors.Is(err, ErrUnchanged) {
			t.Errorf("set again: got %v, want ErrUnchanged", err)
		}
		undo, err := s.Undo(t.Context(), flag, "it helped", "bob")
		if err != nil || undo.State != detector.ToggleVerified || !strings.HasPrefix(undo.Evidence, "undoes "+first.ID+"; ") {
			t.Fatalf("undo: got %+v, %v", undo, err)
		}
		if got := f.definition(t, flag); got != original {
			t.Errorf("after undo: got %s, want %s", got, original)
		}
		if d := cmp.Diff([]detector.ToggleState{"planned", "applied", "verified", "undone"}, store.states(first.ID)); d != "" {
			t.Errorf("audit of the undone (-want +got):\n%s", d)
		}
		if _, err := s.Undo(t.Context(), flag, "more", "bob"); !errors.Is(err, ErrUnchanged) {
			t.Errorf("undo again: got %v, want ErrUnchanged", err)
		}
	}
	if _, err := s.Set(t.Context(), request("far-away", "on")); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown flag: got %v", err)
	}
	if _, err := s.Set(t.Context(), request("far-masked", "maybe")); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "off, on") {
		t.Errorf("an unknown variant: got %v", err)
	}
	want := []string{"far-masked on>off", "far-masked off>on", "far-backoff new>legacy", "far-backoff legacy>new"}
	// The rule of far-masked gives "off" to a caller without properties.
	want[0], want[1] = "far-masked off>off", "far-masked off>off"
	if d := cmp.Diff(want, flips); d != "" {
		t.Errorf("flips (-want +got):\n%s", d)
	}
}

// Two toggles and two undos: what ours wrapped isn't wrapped again.
func TestAwayToggleTwice(t *testing.T) {
	f := newFar()
	s := afar(t, &memory{}, f, true, Config{})
	original := f.definition(t, "far-masked")
	for _, v := range []string{"off", "on"} {
		if _, err := s.Set(t.Context(), request("far-masked", v)); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.definition(t, "far-masked"); strings.Count(got, `[true,`) != 1 {
		t.Errorf("wrapped more than once: %s", got)
	}
	for range 2 {
		if _, err := s.Undo(t.Context(), "far-masked", "back", "bob"); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.definition(t, "far-masked"); got != original {
		t.Errorf("after two undos: got %s, want %s", got, original)
	}
}

// A toggle may bring constants of its own, and undo takes them back.
func TestAwayValue(t *testing.T) {
	f := newFar()
	s := afar(t, &memory{}, f, true, Config{})
	original := f.definition(t, "far-backoff")
	r := request("far-backoff", "new")
	r.Value = json.RawMessage(`{"base_ms":50}`)
	done, err := s.Set(t.Context(), r)
	if err != nil || done.State != detector.ToggleVerified || string(done.Value) != `{"base_ms":50}` {
		t.Fatalf("got %+v, %v", done, err)
	}
	if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrUnchanged) {
		t.Errorf("again: got %v, want ErrUnchanged", err)
	}
	// Without a value, the declared one is meant.
	if plain, err := s.Set(t.Context(), request("far-backoff", "new")); err != nil || string(plain.Value) != `{"base_ms":5}` {
		t.Errorf("without a value: got %+v, %v", plain, err)
	}
	if _, err := s.Undo(t.Context(), "far-backoff", "back", "bob"); err != nil {
		t.Error(err)
	}
	if _, err := s.Undo(t.Context(), "far-backoff", "back", "bob"); err != nil || f.definition(t, "far-backoff") != original {
		t.Errorf("undo: %v: %s", err, f.definition(t, "far-backoff"))
	}
	s.places[0].Abilities.Value = false
	if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrReadOnly) {
		t.Errorf("where the backend can't: got %v, want ErrReadOnly", err)
	}
}

func TestAwayRefusals(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(*far)
		want error
		says string
		// state is where the audit ends, "" where it has no line.
		state detector.ToggleState
		serve string
	}{
		{"down", func(f *far) { f.read = func() error { return errors.New("connection refused") } }, nil, "connection refused", "", "new"},
		{"refused", func(f *far) { f.before = func() error { return remote.ErrReadOnly } }, ErrReadOnly, "nothing was changed", "failed", "new"},
		{"somebody in between", func(f *far) { f.before = func() error { return remote.ErrConflict } }, ErrConflict, "nothing was changed", "failed", "new"},
		{"deaf", func(f *far) { f.deaf = true }, ErrNotVerified, "said that it was done, and did nothing", "failed", "new"},
		{"silent and done", func(f *far) { f.after = func() error { return remote.ErrUnclear } }, nil, "", "verified", "legacy"},
		{"silent and not done", func(f *far) { f.before = func() error { return remote.ErrUnclear } }, ErrNotVerified, "it's looked at again until it is", "planned", "new"},
		{"not served", func(f *far) { f.blind = true }, ErrNotVerified, `variant "new" is served, not "legacy"`, "failed", "legacy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store, f := &memory{}, newFar()
			s := afar(t, store, f, true, Config{})
			tt.harm(f)
			got, err := s.Set(t.Context(), request("far-backoff", "legacy"))
			if tt.want != nil && !errors.Is(err, tt.want) || tt.says == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %+v, %v; want %v saying %q", got, err, tt.want, tt.says)
			}
			f.read, f.before, f.after = nil, nil, nil
			if state, _ := f.state("far-backoff"); state.Variant != tt.serve {
				t.Errorf("served: got %s, want %s", state.Variant, tt.serve)
			}
			last := detector.ToggleState("")
			if states := store.states(got.ID); got.ID != "" && len(states) > 0 {
				last = states[len(states)-1]
			}
			if last != tt.state {
				t.Errorf("the audit ends with %q, want %q: %v", last, tt.state, store)
			}
		})
	}
}

// A daemon that dies between any two steps leaves something that the next one
// finishes: the audit says what happened, and the flag is what the audit says.
func TestAwayCutOff(t *testing.T) {
	died := errors.New("the daemon is gone")
	for _, tt := range []struct {
		name  string
		harm  func(*memory, *far)
		state []detector.ToggleState
		serve string
	}{
		{"before the audit", func(m *memory, _ *far) { m.fail = failAt("put", 1, died) }, nil, "new"},
		{"after the audit", func(_ *memory, f *far) { f.before = func() error { return remote.ErrUnclear } }, []detector.ToggleState{"planned", "failed"}, "new"},
		{"after the write", func(m *memory, _ *far) { m.fail = failAt("put", 2, died) }, []detector.ToggleState{"planned", "applied", "verified"}, "legacy"},
		{"after it was put down", func(m *memory, _ *far) { m.fail = failAt("audit verified", 1, died) }, []detector.ToggleState{"planned", "applied", "verified"}, "legacy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store, f := &memory{}, newFar()
			s := afar(t, store, f, true, Config{})
			tt.harm(store, f)
			if done, err := s.Set(t.Context(), request("far-backoff", "legacy")); err == nil {
				t.Fatalf("the daemon died, and Set gave %+v", done)
			}
			store.mu.Lock()
			store.fail = nil
			store.mu.Unlock()
			f.before = nil
			next := afar(t, store, f, true, Config{})
			run(t, next)
			id := ""
			store.mu.Lock()
			if len(store.audit) > 0 {
				id = store.audit[0].ID
			}
			store.mu.Unlock()
			eventually(t, fmt.Sprint(tt.state), func() bool { return slices.Equal(store.states(id), tt.state) })
			if state, _ := f.state("far-backoff"); state.Variant != tt.serve {
				t.Errorf("served: got %s, want %s", state.Variant, tt.serve)
			}
			if n := f.written(); n > 1 {
				t.Errorf("it was written %d times", n)
			}
			if tt.serve == "legacy" {
				if _, err := next.Undo(t.Context(), "far-backoff", "back", "bob"); err != nil {
					t.Errorf("undo after the crash: %v", err)
				}
			} else if _, err := next.Set(t.Context(), request("far-backoff", "legacy")); err != nil {
				t.Errorf("set after the crash: %v", err)
			}
		})
	}
}

// failAt lets the n-th call at a point fail, and all after it.
func failAt(point string, n int, err error) func(string) error {
	calls := 0
	return func(at string) error {
		if calls >= n {
			return err
		}
		if at == point {
			if calls++; calls == n {
				return err
			}
		}
		return nil
	}
}

func TestAwayPutBack(t *testing.T) {
	store, f := &memory{}, newFar()
	s := afar(t, store, f, true, Config{})
	original := f.definition(t, "far-backoff")
	done, err := s.Set(t.Context(), request("far-backoff", "legacy"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	f.meddle(t, "far-backoff", original)
	eventually(t, "put back", func() bool {
		states := store.states(done.ID)
		return states[len(states)-1] == detector.ToggleReverted
	})
	// Undo finds that it's so already, and says so without writing.
	writes := f.written()
	if undo, err := s.Undo(t.Context(), "far-backoff", "back", "bob"); err != nil || f.written() != writes || undo.State != detector.ToggleVerified {
		t.Errorf("undo of what was put back: got %+v, %v", undo, err)
	}
}

func TestAwayChangedSince(t *testing.T) {
	f := newFar()
	s := afar(t, &memory{}, f, true, Config{})
	plan, err := s.Preview(t.Context(), request("far-backoff", "legacy"))
	if err != nil {
		t.Fatal(err)
	}
	f.meddle(t, "far-backoff", `{"state":"ENABLED","defaultVariant":"new","variants":{"legacy":{"base_ms":100},"new":{"base_ms":6}}}`)
	r := request("far-backoff", "legacy")
	r.Revision = plan.Revision
	if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrConflict) {
		t.Errorf("set on an old plan: got %v, want ErrConflict", err)
	}
	if _, err := s.Set(t.Context(), request("far-backoff", "legacy")); err != nil {
		t.Fatal(err)
	}
	f.meddle(t, "far-backoff", `{"state":"ENABLED","defaultVariant":"legacy","variants":{"legacy":{"base_ms":101},"new":{"base_ms":6}}}`)
	if _, err := s.Undo(t.Context(), "far-backoff", "back", "bob"); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "would overwrite") {
		t.Errorf("undo over somebody's change: got %v, want ErrConflict", err)
	}
}

func TestAwayTwoOperators(t *testing.T) {
	store, f := &memory{}, newFar()
	a, b := afar(t, store, f, true, Config{}), afar(t, store, f, true, Config{})
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, s := range []*Switchboard{a, b} {
		wg.Go(func() { _, errs[i] = s.Set(context.Background(), request("far-backoff", "legacy")) })
	}
	wg.Wait()
	good := 0
	for _, err := range errs {
		if err == nil {
			good++
		} else if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnchanged) {
			t.Errorf("the other one: got %v, want ErrConflict", err)
		}
	}
	if good != 1 || f.writes != 1 {
		t.Errorf("%d of two succeeded with %d writes, want 1: %v", good, f.writes, errs)
	}
}

func TestAwayUnverifiable(t *testing.T) {
	store, f := &memory{}, newFar()
	s := afar(t, store, f, false, Config{})
	done, err := s.Set(t.Context(), request("far-backoff", "legacy"))
	if err != nil || done.State != detector.ToggleApplied || !strings.Contains(done.Evidence, cantVerify+"no endpoint is configured for far") {
		t.Fatalf("got %+v, %v", done, err)
	}
	// It isn't verified again and again, and is watched all the same.
	run(t, s)
	f.meddle(t, "far-backoff", strings.Replace(f.definition(t, "far-backoff"), `"legacy"`, `"new"`, 1))
	eventually(t, "put back", func() bool {
		return slices.Equal(store.states(done.ID), []detector.ToggleState{"planned", "applied", "applied", "reverted"})
	})
}

func TestAwayList(t *testing.T) {
	f := newFar()
	flips := make(chan detector.Flip, 10)
	s := afar(t, &memory{}, f, true, Config{
		Gates: []Gate{{Flag: "far-backoff", Binary: "b", Safe: "legacy"}}, OnFlip: func(f detector.Flip) { flips <- f },
	})
	if _, err := s.Show("far-backoff"); !errors.Is(err, ErrUnknown) {
		t.Errorf("show before it was seen: got %v", err)
	}
	run(t, s)
	eventually(t, "both flags of the backend", func() bool {
		var far []string
		for _, v := range s.List() {
			if v.Backend != nil {
				far = append(far, v.Key+"="+v.Serving)
			}
		}
		return slices.Equal(far, []string{"far-backoff=new", "far-masked=off"})
	})
	v, err := s.Show("far-backoff")
	if err != nil || len(v.Gates) != 1 || v.Revision == 0 || v.Backend.Revision != "r1" {
		t.Errorf("show: got %+v, %v", v, err)
	}
	// What somebody flips there is a change like any other.
	f.meddle(t, "far-backoff", strings.Replace(f.definition(t, "far-backoff"), `"new"`, `"legacy"`, 1))
	if got := <-flips; got.Flag != "far-backoff" || got.Before != "new" || got.Variant != "legacy" || got.Ours {
		t.Errorf("somebody's flip: got %+v", got)
	}
	f.meddle(t, "far-backoff", strings.Replace(f.definition(t, "far-backoff"), `"legacy"`, `"new"`, 1))
	<-flips
	f.mu.Lock()
	f.read = func() error { return errors.New("it is down") }
	f.mu.Unlock()
	eventually(t, "trouble", func() bool {
		v, err := s.Show("far-backoff")
		return err == nil && strings.Contains(v.Problem, "it is down") && v.Serving == "new"
	})
}

// What a policy asks for and a backend hasn't is refused, not left out.
func TestAwayPolicy(t *testing.T) {
	f, store, told := newFar(), &memory{}, &notices{}
	s := afar(t, store, f, true, Config{Policy: policy.Config{Flags: map[string]policy.Rule{"far-masked": {Approval: "one"}}}, Notify: told.take})
	for name, change := range map[string]func(*Request){
		"a part of the callers": func(r *Request) { r.Scope.Percent = 25 },
		"the automation":        func(r *Request) { r.Decision, r.Actor = "auto-1-1", policy.Actor },
		"no approval":           func(r *Request) { r.Flag, r.Variant = "far-masked", "off" },
	} {
		r := request("far-backoff", "legacy")
		change(&r)
		if got, err := s.Set(t.Context(), r); !errors.Is(err, ErrReadOnly) || f.written() != 0 || len(store.audit) != 0 {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	r := request("far-masked", "off")
	r.Emergency = "nobody else is awake"
	got, err := s.Set(t.Context(), r)
	if err != nil || got.State != detector.ToggleVerified || got.Emergency == "" || got.Needs != 1 || len(told.texts()) != 1 {
		t.Errorf("emergency: got %+v, %v, told %v", got, err, told.texts())
	}
}

// A toggle elsewhere expires as one here does: people are reminded, may extend it,
// and it is undone by itself only where that was asked for and nothing lies over it.
func TestAwayExpiry(t *testing.T) {
	for _, seeing := range []bool{true, false} {
		f, store, told := newFar(), &memory{}, &notices{}
		s := afar(t, store, f, seeing, Config{Notify: told.take})
		ahead := time.Duration(0)
		s.now = func() time.Time { return time.Now().Add(ahead) }
		pass := func(d time.Duration) {
			t.Helper()
			ahead += d
			for range 2 {
				if err := errors.Join(s.tendToggles(t.Context()), s.expireAway(t.Context(), "far-backoff", s.serving.Load().document.Away["far-backoff"])); err != nil {
					t.Fatal(err)
				}
			}
		}
		original := f.definition(t, "far-backoff")
		r := request("far-backoff", "legacy")
		r.Expires, r.OnExpiry = hours(8), detector.ExpiryUndo
		got, err := s.Set(t.Context(), r)
		if err != nil || got.Expires.Sub(got.At) != 8*time.Hour {
			t.Fatalf("got %+v, %v", got, err)
		}
		pass(7*time.Hour + 50*time.Minute)
		if all := told.texts(); len(all) != 1 || !strings.Contains(all[0], "is undone then") {
			t.Errorf("told before: %v", all)
		}
		more, err := s.Extend(t.Context(), "far-backoff", 8*time.Hour, "not yet", "bob")
		if _, unseen := Unverifiable(more); err != nil || more.State != got.State || unseen == seeing {
			t.Errorf("extended: %+v, %v", more, err)
		}
		if v, err := s.Show("far-backoff"); err != nil || len(v.Standing) != 1 || !v.Standing[0].Expires.Equal(more.Expires) {
			t.Errorf("shown as %+v, %v", v.Standing, err)
		}
		pass(time.Hour)
		if f.definition(t, "far-backoff") == original {
			t.Error("undone at the time that was extended")
		}
		pass(8 * time.Hour)
		history, err := s.History(t.Context(), "far-backoff")
		if err != nil || len(history) != 2 || history[0].Actor != policy.Actor || history[0].Decision != "" || history[1].State != detector.ToggleUndone {
			t.Errorf("at its expiry: %+v, %v", history, err)
		}
		if f.definition(t, "far-backoff") != original || f.written() != 2 {
			t.Errorf("the backend has %s after %d writes", f.definition(t, "far-backoff"), f.written())
		}
	}
}

// What lies under another toggle is left to people when it expires, and so is all
// while the automation is frozen.
func TestAwayExpiryLeavesToPeople(t *testing.T) {
	f, store, told := newFar(), &memory{}, &notices{}
	s := afar(t, store, f, true, Config{Notify: told.take})
	ahead := time.Duration(0)
	s.now = func() time.Time { return time.Now().Add(ahead) }
	r := request("far-masked", "on")
	r.Expires, r.OnExpiry = hours(1), detector.ExpiryUndo
	if _, err := s.Set(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	over := request("far-masked", "off")
	if _, err := s.Set(t.Context(), over); err != nil {
		t.Fatal(err)
	}
	look := func() {
		t.Helper()
		if err := s.expireAway(t.Context(), "far-masked", s.serving.Load().document.Away["far-masked"]); err != nil {
			t.Error(err)
		}
	}
	ahead += 2 * time.Hour
	look()
	if _, err := s.Undo(t.Context(), "far-masked", "over", "ada"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Freeze(t.Context(), "game day", "ann"); err != nil {
		t.Fatal(err)
	}
	ahead += 2 * time.Hour
	look()
	if f.written() != 3 || len(told.texts()) != 1 {
		t.Errorf("%d writes, told %v: want two toggles, one undo by ada, and one reminder", f.written(), told.texts())
	}
}

// What was done elsewhere can be undone toggle by toggle, so that none is dropped.
func TestManyTogglesAway(t *testing.T) {
	s := afar(t, &memory{}, newFar(), true, Config{})
	for i := range maxStanding {
		if _, err := s.Set(t.Context(), request("far-masked", []string{"on", "off"}[i%2])); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Set(t.Context(), request("far-masked", "on")); !errors.Is(err, ErrFull) {
		t.Errorf("one more: got %v, want ErrFull", err)
	}
	if got := len(s.serving.Load().document.Away["far-masked"].Standing); got != maxStanding {
		t.Errorf("got %d in force, want %d", got, maxStanding)
	}
	if _, err := s.Undo(t.Context(), "far-masked", "one less", "ada"); err != nil {
		t.Error(err)
	}
}
