package flags

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/detector/hist"
	"aftershock/flags/tuning"
)

// tunable is a flag whose variants are constants, or stand for some.
const tunable = `{"flags":{
	"backoff":{"state":"ENABLED","defaultVariant":"new","variants":{
		"legacy":{"strategy":"legacy"},
		"new":{"base_ms":100,"cap_ms":5000,"factor":2,"jitter":0.5,"max_attempts":6},
		"tuned":{"base_ms":40,"cap_ms":200,"factor":2,"jitter":0.2,"max_attempts":3}}},
	"banner":{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false}}}}`

func tunes() *Tunes {
	return &Tunes{Service: "payments", Peer: "acme-pay", Since: "4.2.0", Constants: map[string]map[string]any{
		"legacy": {"strategy": "linear", "base_ms": 20, "max_attempts": 3},
	}}
}

// measured gives an hour in which four calls of a hundred fail at first, for all
// of whose retries too.
func measured(_ context.Context, service, peer string, back time.Duration, yield func(detector.Frame) error) error {
	retry := &detector.Indicator{Kind: detector.Retry, Metric: "client_retries_total", Labels: map[string]string{"service": service, "peer": peer}}
	took := &detector.Indicator{Kind: detector.Latency, Metric: "client_attempt_duration_seconds", Labels: map[string]string{"service": service, "peer": peer}}
	end := time.Now().Truncate(time.Minute)
	for n := range 60 {
		k := float64(n % 3)
		err := yield(detector.Frame{Time: end.Add(time.Duration(n-60) * time.Minute), Step: time.Minute, Points: []detector.Point{
			{Indicator: retry, Version: "4.1.0", Total: 1000, Bad: 74 + k, FirstFailures: 39 + k, Retried: 39 + k, Failed: 30, CountsFailed: true},
			{Indicator: took, Version: "4.1.0", Hist: hist.Histogram{Bounds: []float64{0.05, 0.1, 0.2, 1, math.Inf(1)}, Counts: []float64{300, 500, 150, 80 + k, 2}}},
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestTune(t *testing.T) {
	s, _ := start(t, &memory{}, Config{
		Definitions: writeFile(t, tunable), Past: measured, Gates: []Gate{{Flag: "backoff", Binary: "dten-payments", Safe: "legacy", Tunes: tunes()}},
	})
	got, err := s.Tune(t.Context(), TuneRequest{Flag: "backoff", Candidates: []json.RawMessage{[]byte(`{"base_ms":200}`)}})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, r := range got.Rows {
		names = append(names, r.Name)
	}
	if text := strings.Join(names, " "); !strings.HasPrefix(text, "legacy new tuned candidate 1") {
		t.Errorf("got rows %q, want the old, the new, the others and the candidate", text)
	}
	// What the old build measured is the old constants', and foretold as such.
	if r := got.Rows[0]; r.Calls != 60_000 || math.Abs(r.Measured-0.075) > 1e-9 || math.Abs(r.Retries.Value-0.075) > 0.004 {
		t.Errorf("got %g retries per call measured of %g calls and %g foretold, want 0.075 of 60000", r.Measured, r.Calls, r.Retries.Value)
	}
	if got.Rows[3].Constants.MaxAttempts != 6 {
		t.Errorf("the candidate makes %d attempts, want those of the new variant", got.Rows[3].Constants.MaxAttempts)
	}
}

func TestTuneRefuses(t *testing.T) {
	broken := errors.New("the server is down")
	gate := Gate{Flag: "backoff", Binary: "dten-payments", Safe: "legacy", Tunes: tunes()}
	for _, tt := range []struct {
		name   string
		past   func(context.Context, string, string, time.Duration, func(detector.Frame) error) error
		r      TuneRequest
		is     error
		locked bool
	}{
		{"unknown flag", measured, TuneRequest{Flag: "x"}, ErrUnknown, false},
		{"a flag of no third party", measured, TuneRequest{Flag: "banner"}, ErrInvalid, false},
		{"backward", measured, TuneRequest{Flag: "backoff", Back: -time.Hour}, ErrInvalid, false},
		{"too far back", measured, TuneRequest{Flag: "backoff", Back: 200 * time.Hour}, ErrInvalid, false},
		{"no telemetry", nil, TuneRequest{Flag: "backoff"}, ErrNotReady, false},
		{"busy", measured, TuneRequest{Flag: "backoff"}, ErrNotReady, true},
		{"absurd candidate", measured, TuneRequest{Flag: "backoff", Candidates: []json.RawMessage{[]byte(`{"max_attempts":-1}`)}}, tuning.ErrConstants, false},
		{"nothing measured", func(context.Context, string, string, time.Duration, func(detector.Frame) error) error { return nil }, TuneRequest{Flag: "backoff"}, tuning.ErrNoData, false},
		{"unreadable", func(context.Context, string, string, time.Duration, func(detector.Frame) error) error { return broken }, TuneRequest{Flag: "backoff"}, broken, false},
	} {
		s, _ := start(t, &memory{}, Config{Definitions: writeFile(t, tunable), Past: tt.past, Gates: []Gate{gate}})
		if tt.locked {
			s.tuning.Lock()
		}
		if _, err := s.Tune(t.Context(), tt.r); !errors.Is(err, tt.is) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.is)
		}
	}
}

// TestSetValue: a toggle may give its variant another value, which lasts as long
// as it does and is in the audit.
func TestSetValue(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, tunable), Past: measured, Gates: []Gate{{Flag: "backoff", Binary: "b", Safe: "legacy", Tunes: tunes()}}})
	original := string(s.serving.Load().document.Flags["backoff"])
	if _, err := s.Set(t.Context(), request("backoff", "legacy")); err != nil {
		t.Fatal(err)
	}
	r := request("backoff", "tuned")
	r.Value = json.RawMessage(`{"base_ms":150,"max_attempts":3}`)
	plan, err := s.Plan(r)
	if err != nil || !strings.Contains(plan.Diff, "150") || len(plan.Warnings) != 1 {
		t.Errorf("got plan %+v, %v, want the new value in the diff and a warning", plan, err)
	}
	set, err := s.Set(t.Context(), r)
	if err != nil || set.State != detector.ToggleVerified || string(set.Value) != string(r.Value) {
		t.Fatalf("got %+v, %v, want it verified with the value", set, err)
	}
	if v, _ := s.Show("backoff"); v.Serving != "tuned" || string(v.Variants["tuned"]) != string(r.Value) {
		t.Errorf("got %q served with %s", v.Serving, v.Variants["tuned"])
	}
	// What was in force is known by the audit.
	v, err := s.Show("backoff")
	if err != nil {
		t.Fatal(err)
	}
	q, _, err := s.question(t.Context(), v, v.Gates[0])
	if err != nil || q.New != "new" || len(q.Spans) != 3 || q.Spans[0].Variant != "new" || q.Spans[1].Variant != "legacy" || string(q.Spans[2].Value) != string(r.Value) {
		t.Errorf("got question %+v, %v, want new, legacy, and tuned with its value", q, err)
	}
	for range 2 {
		if _, err := s.Undo(t.Context(), "backoff", "enough", "ada"); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(s.serving.Load().document.Flags["backoff"]); got != original {
		t.Errorf("after undoing it is %s, want %s", got, original)
	}
	for name, value := range map[string]string{
		"another kind": `true`, "no JSON": `{"base_ms":`, "null": `null`, "too large": `"` + strings.Repeat("x", maxValue) + `"`,
	} {
		r.Value = json.RawMessage(value)
		if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

func TestTunesConfig(t *testing.T) {
	change := func(c func(*Gate)) Config {
		g := Gate{Flag: "backoff", Binary: "b", Safe: "legacy", Tunes: tunes()}
		c(&g)
		return Config{Definitions: writeFile(t, tunable), Gates: []Gate{g}}
	}
	for _, tt := range []struct {
		name, want string
		config     Config
	}{
		{"good", "", change(func(*Gate) {})},
		{"no service", "flags.gates[0].tunes.service: missing", change(func(g *Gate) { g.Tunes.Service = "" })},
		{"no peer", "flags.gates[0].tunes.peer: missing", change(func(g *Gate) { g.Tunes.Peer = "" })},
		{"no safe variant", "flags.gates[0].tunes: the gate needs", change(func(g *Gate) { g.Safe = "" })},
		{"no version", "flags.gates[0].tunes.since: ", change(func(g *Gate) { g.Tunes.Since = "latest" })},
		{"a slip", `flags.gates[0].tunes.constants.legacy: "bas_ms" is no constant`, change(func(g *Gate) { g.Tunes.Constants["legacy"]["bas_ms"] = 1 })},
		{"absurd", "flags.gates[0].tunes.constants.legacy: constant max_attempts", change(func(g *Gate) { g.Tunes.Constants["legacy"]["max_attempts"] = 1000 })},
		{"no such variant", "flags.gates[0].tunes.constants.old: ", change(func(g *Gate) { g.Tunes.Constants["old"] = map[string]any{"base_ms": 1} })},
		{"safe without constants", `flags.gates[0].tunes: variant "legacy": constant base_ms is missing`, change(func(g *Gate) { g.Tunes.Constants = nil })},
	} {
		c := tt.config
		c.SetDefaults()
		errs := append(c.Validate("flags"), c.CheckFiles("flags")...)
		if tt.want == "" {
			if len(errs) > 0 {
				t.Errorf("%s: got %v", tt.name, errs)
			}
			continue
		}
		found := false
		for _, err := range errs {
			found = found || strings.HasPrefix(err.Error(), tt.want)
		}
		if !found {
			t.Errorf("%s: got %v, want one that begins with %q", tt.name, errs, tt.want)
		}
	}
}

// TestSpansAreOfWhatWasServed: what was only proposed, refused or never written didn't
// change which constants calls ran, or the old ones would be put down to the new.
func TestSpansAreOfWhatWasServed(t *testing.T) {
	at := func(minutes int) time.Time { return time.Date(2026, 3, 6, 9, minutes, 0, 0, time.UTC) }
	toggle := func(minute int, before, after string, state detector.ToggleState) detector.Toggle {
		x := detector.Toggle{Before: before, After: after, At: at(minute), State: state}
		if state.TookEffect() {
			x.Applied = at(minute).Add(20 * time.Second)
		}
		return x
	}
	written := toggle(40, "legacy", "new", detector.ToggleFailed)
	written.Applied = at(41)
	some := toggle(50, "new", "tuned", detector.ToggleVerified)
	some.Scope.Percent = 25
	undo := toggle(55, "tuned", "new", detector.ToggleVerified)
	undo.Scope, undo.Evidence = some.Scope, detector.Undoing+"some"
	got := spans([]detector.Toggle{
		toggle(10, "new", "legacy", detector.ToggleWaiting), toggle(11, "new", "legacy", detector.ToggleLapsed),
		toggle(12, "new", "legacy", detector.ToggleRejected), toggle(13, "new", "legacy", detector.ToggleApproved),
		toggle(14, "new", "legacy", detector.TogglePlanned), toggle(15, "new", "legacy", detector.ToggleFailed),
		toggle(30, "new", "legacy", detector.ToggleRecovered), written, some, undo,
	}, View{Serving: "new"})
	want := []tuning.Span{
		{Variant: "new", To: at(30).Add(20 * time.Second)},
		{Variant: "legacy", From: at(30).Add(20 * time.Second), To: at(41)},
		{Variant: "new", From: at(41), To: at(50).Add(20 * time.Second)},
		{Variant: "", From: at(50).Add(20 * time.Second), To: at(55).Add(20 * time.Second)},
		{Variant: "new", From: at(55).Add(20 * time.Second)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("spans (-want +got):\n%s", d)
	}
}
