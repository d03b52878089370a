package flags

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags/ofrep"
)

// memory is a Store in memory that can be made to fail.
type memory struct {
	mu       sync.Mutex
	revision int64
	document []byte
	audit    []detector.Toggle // every state, in order
	freezes  []detector.Freeze
	// fail, if not nil, is asked at each call, before it ("put") and after its
	// effect ("put done"); an error is what the caller gets.
	fail func(point string) error
}

// conflict is an error as another package would declare it.
type conflict struct{}

func (conflict) Error() string  { return "revision is not the last" }
func (conflict) Conflict() bool { return true }

var errDown = errors.New("store is down")

func (m *memory) at(point string) error {
	if m.fail == nil {
		return nil
	}
	return m.fail(point)
}

func (m *memory) Definitions(context.Context) (int64, []byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.at("get"); err != nil {
		return 0, nil, err
	}
	return m.revision, slices.Clone(m.document), nil
}

func (m *memory) PutDefinitions(_ context.Context, expected int64, document []byte, t detector.Toggle) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.at("put"); err != nil {
		return 0, err
	}
	if expected != m.revision {
		return 0, conflict{}
	}
	m.revision, m.document = m.revision+1, slices.Clone(document)
	if t.ID != "" {
		m.audit = append(m.audit, t)
	}
	return m.revision, m.at("put done")
}

func (m *memory) AuditToggle(_ context.Context, t detector.Toggle) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.at("audit " + string(t.State)); err != nil {
		return err
	}
	known := func(x detector.Toggle) bool { return x.ID == t.ID && x.State == t.State && x.Updated.Equal(t.Updated) }
	if !slices.ContainsFunc(m.audit, known) {
		m.audit = append(m.audit, t)
	}
	return m.at("audit " + string(t.State) + " done")
}

func (m *memory) DecideToggle(_ context.Context, last, next detector.Toggle) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.at("audit " + string(next.State)); err != nil {
		return err
	}
	for _, t := range slices.Backward(m.audit) {
		if t.ID == next.ID {
			if t.State != last.State || !t.Updated.Equal(last.Updated) {
				return conflict{}
			}
			break
		}
	}
	m.audit = append(m.audit, next)
	return m.at("audit " + string(next.State) + " done")
}

func (m *memory) Toggles(_ context.Context, flag string, limit int) ([]detector.Toggle, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.at("toggles"); err != nil {
		return nil, err
	}
	var all []detector.Toggle
	seen := map[string]bool{}
	for _, t := range slices.Backward(m.audit) {
		if !seen[t.ID] && (flag == "" || t.Flag == flag) {
			all = append(all, t)
		}
		seen[t.ID] = true
	}
	slices.SortStableFunc(all, func(a, b detector.Toggle) int { return b.At.Compare(a.At) })
	return all[:min(len(all), limit)], nil
}

func (m *memory) TogglesIn(ctx context.Context, states ...detector.ToggleState) ([]detector.Toggle, error) {
	all, err := m.Toggles(ctx, "", math.MaxInt)
	return slices.DeleteFunc(all, func(t detector.Toggle) bool { return !slices.Contains(states, t.State) }), err
}

func (m *memory) Toggle(_ context.Context, id string) (detector.Toggle, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.at("toggle"); err != nil {
		return detector.Toggle{}, err
	}
	for _, t := range slices.Backward(m.audit) {
		if t.ID == id {
			return t, nil
		}
	}
	return detector.Toggle{}, ErrUnknown
}

func (m *memory) Freeze(context.Context) (detector.Freeze, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.at("freeze"); err != nil || len(m.freezes) == 0 {
		return detector.Freeze{}, err
	}
	return m.freezes[len(m.freezes)-1], nil
}

func (m *memory) PutFreeze(_ context.Context, f detector.Freeze) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.at("put freeze"); err != nil {
		return err
	}
	m.freezes = append(m.freezes, f)
	return nil
}

// states lists the audit of one toggle in order.
func (m *memory) states(id string) []detector.ToggleState {
	m.mu.Lock()
	defer m.mu.Unlock()
	var states []detector.ToggleState
	for _, t := range m.audit {
		if t.ID == id {
			states = append(states, t.State)
		}
	}
	return states
}

func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

const fleet = `{"metadata":{"fleet":"demo"},"flags":{
	"payments-backoff":{"state":"ENABLED","defaultVariant":"new","variants":{
		"legacy":{"strategy":"fixed"},"new":{"strategy":"exponential"},"tuned":{"strategy":"exponential","base_ms":50,"jitter":true}}},
	"masked":{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false},
		"targeting":{"if":[{"starts_with":[{"var":"targetingKey"},"aftershock"]},"on","off"]}},
	"other":{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false}},
	"disabled":{"state":"DISABLED","defaultVariant":"off","variants":{"on":true,"off":false}},
	"broken":{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false},"targeting":{"frobnicate":1}}}}`

func writeFile(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "flags.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// start makes a switchboard on the store, served by a real listener.
func start(t testing.TB, store Store, c Config) (*Switchboard, string) {
	t.Helper()
	if c.VerifyTimeout == 0 {
		c.VerifyTimeout = 5 * time.Second
	}
	s, err := New(c, store, quiet(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	if err := s.Connect(t.Context(), ofrep.Config{BaseURL: server.URL}); err != nil {
		t.Fatal(err)
	}
	return s, server.URL
}

// run runs the switchboard until the test ends.
func run(t testing.TB, s *Switchboard) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func request(flag, variant string) Request {
	return Request{Flag: flag, Variant: variant, Reason: "p99 is up", Actor: "ada", Incident: "INC-7", Upgrade: "dten-4.2.0"}
}

// eventually waits for ok with a bound.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not seen in time: %s", what)
		}
	}
}

// rewrite changes a flag's definition in the store behind everybody's back.
func (m *memory) rewrite(t testing.TB, flag, definition string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := readDocument(m.document)
	if err != nil {
		t.Fatal(err)
	}
	d.Flags[flag] = json.RawMessage(definition)
	if m.document, err = json.Marshal(d); err != nil {
		t.Fatal(err)
	}
	m.revision++
}

func (m *memory) String() string { return fmt.Sprintf("revision %d, audit %v", m.revision, m.audit) }
