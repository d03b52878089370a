package flags

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/flags/ofrep"
)

// At each point where the store is touched, everything stops as with kill -9;
// a new start must bring the audit to an end that is true.
func TestCrashAtEachStep(t *testing.T) {
	acts := map[string]func(context.Context, *Switchboard) error{
		"set": func(ctx context.Context, s *Switchboard) error {
			_, err := s.Set(ctx, request("masked", "off"))
			return err
		},
		"undo": func(ctx context.Context, s *Switchboard) error {
			_, err := s.Undo(ctx, "payments-backoff", "over", "ada")
			return err
		},
	}
	for name, act := range acts {
		for crash := 1; ; crash++ {
			store := &memory{}
			file := writeFile(t, fleet)
			s, _ := start(t, store, Config{Definitions: file})
			if _, err := s.Set(t.Context(), request("payments-backoff", "legacy")); err != nil {
				t.Fatal(err)
			}
			before := map[string]string{}
			for _, v := range s.List() {
				before[v.Key] = v.Serving
			}
			touched, dead := 0, ""
			store.fail = func(point string) error {
				if touched++; dead != "" || touched == crash {
					if dead == "" {
						dead = point
					}
					return errDown
				}
				return nil
			}
			err := act(t.Context(), s)
			if dead == "" {
				if err != nil {
					t.Errorf("%s without a crash: %v", name, err)
				}
				break // all points were tried
			}
			if err == nil {
				t.Errorf("%s, crash at %q: no error", name, dead)
			}
			t.Logf("%s: crashed at %q", name, dead)
			store.fail = nil
			s2, _ := start(t, store, Config{Definitions: file})
			s2.grace = 0
			if err := s2.Resume(t.Context()); err != nil {
				t.Errorf("%s, crash at %q: resume: %v", name, dead, err)
			}
			endsTrue(t, fmt.Sprintf("%s, crash at %q", name, dead), store, s2, before)
		}
	}
}

// endsTrue holds the audit against what is served.
func endsTrue(t *testing.T, name string, store *memory, s *Switchboard, before map[string]string) {
	t.Helper()
	all, err := store.Toggles(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	latest := map[string]detector.Toggle{}
	undone := map[string]bool{}
	for _, x := range all {
		applied := false
		for i, state := range store.states(x.ID) {
			if i == 0 && state != detector.TogglePlanned {
				t.Errorf("%s: the audit of %s begins with %s", name, x.ID, state)
			}
			applied = applied || state == detector.ToggleApplied
		}
		switch x.State {
		case detector.ToggleVerified, detector.ToggleUndone, detector.ToggleFailed:
		default:
			t.Errorf("%s: toggle of %s to %s ends as %s", name, x.Flag, x.After, x.State)
		}
		if x.State == detector.ToggleFailed && applied {
			t.Errorf("%s: toggle of %s to %s was applied and ends as failed: %s", name, x.Flag, x.After, x.Evidence)
		}
		if x.State == detector.ToggleUndone {
			undone[x.ID] = true
		}
		if id, ok := strings.CutPrefix(x.Evidence, "undoes "); ok && x.State == detector.ToggleVerified {
			id, _, _ = strings.Cut(id, ";")
			defer func() {
				if !undone[id] {
					t.Errorf("%s: toggle %s was undone, but its audit doesn't say so", name, id)
				}
			}()
		}
		if _, ok := latest[x.Flag]; !ok && x.State == detector.ToggleVerified {
			latest[x.Flag] = x
		}
	}
	for _, v := range s.List() {
		want := before[v.Key]
		if x, ok := latest[v.Key]; ok {
			want = x.After
		}
		if v.Serving != want {
			t.Errorf("%s: flag %s serves %q, the audit says %q", name, v.Key, v.Serving, want)
		}
	}
}

func TestStopDuringVerification(t *testing.T) {
	store := &memory{}
	file := writeFile(t, fleet)
	s, _ := start(t, store, Config{Definitions: file, VerifyTimeout: time.Minute})
	asked := make(chan struct{})
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { close(asked) })
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	if err := s.Connect(t.Context(), ofrep.Config{BaseURL: server.URL}); err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	done := make(chan error, 1)
	go func() {
		_, err := s.Set(context.Background(), request("other", "on"))
		done <- err
	}()
	<-asked
	stop()
	if err := <-done; !errors.Is(err, ErrNotVerified) || !strings.Contains(err.Error(), "next start verifies it") {
		t.Errorf("got %v, want not verified for now", err)
	}
	if _, err := s.Set(t.Context(), request("masked", "off")); !errors.Is(err, ErrNotReady) {
		t.Errorf("after the stop: got %v, want ErrNotReady", err)
	}
	s2, _ := start(t, store, Config{Definitions: file})
	run(t, s2)
	eventually(t, "the next start verifies the toggle", func() bool {
		all, err := store.Toggles(t.Context(), "other", 1)
		return err == nil && len(all) == 1 && all[0].State == detector.ToggleVerified
	})
}

// What was planned a moment ago may be another daemon's; later it is dead.
func TestPlannedIsGivenTime(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet)})
	s.grace = 100 * time.Millisecond
	store.audit = append(store.audit, detector.Toggle{ID: "x", Flag: "other", After: "on", State: detector.TogglePlanned, Updated: time.Now()})
	if err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]detector.ToggleState{"planned"}, store.states("x")); d != "" {
		t.Errorf("at once (-want +got):\n%s", d)
	}
	run(t, s)
	eventually(t, "the planned toggle is given up", func() bool { return len(store.states("x")) == 2 })
	if d := cmp.Diff([]detector.ToggleState{"planned", "failed"}, store.states("x")); d != "" {
		t.Errorf("later (-want +got):\n%s", d)
	}
}

func TestPutBackBySomebody(t *testing.T) {
	store := &memory{}
	var flips atomic.Value
	s, _ := start(t, store, Config{
		Definitions: writeFile(t, fleet), Check: 10 * time.Millisecond,
		OnFlip: func(f detector.Flip) { flips.Store(f) },
	})
	run(t, s)
	toggle, err := s.Set(t.Context(), request("other", "on"))
	if err != nil {
		t.Fatal(err)
	}
	store.rewrite(t, "other", `{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false}}`)
	eventually(t, "the audit says that it was put back", func() bool {
		states := store.states(toggle.ID)
		return states[len(states)-1] == detector.ToggleReverted
	})
	eventually(t, "the flip is announced as somebody else's", func() bool {
		f, _ := flips.Load().(detector.Flip)
		return f.Variant == "off" && f.Before == "on" && !f.Ours
	})
	checks(t, store, 5)
	want := []detector.ToggleState{"planned", "applied", "verified", "reverted"}
	if d := cmp.Diff(want, store.states(toggle.ID)); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
}

// checks waits for n more checks of Run.
func checks(t *testing.T, store *memory, n int) {
	t.Helper()
	var mu sync.Mutex
	store.mu.Lock()
	store.fail = func(point string) error {
		mu.Lock()
		defer mu.Unlock()
		if point == "get" {
			n--
		}
		return nil
	}
	store.mu.Unlock()
	eventually(t, "checks of Run", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return n < 0
	})
}

func TestHeldToggleStaysQuiet(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet), Check: 10 * time.Millisecond})
	run(t, s)
	toggle, err := s.Set(t.Context(), request("other", "on"))
	if err != nil {
		t.Fatal(err)
	}
	checks(t, store, 10)
	if d := cmp.Diff([]detector.ToggleState{"planned", "applied", "verified"}, store.states(toggle.ID)); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
}

func TestTakesUpWhatOthersWrite(t *testing.T) {
	store := &memory{}
	file := writeFile(t, fleet)
	a, _ := start(t, store, Config{Definitions: file})
	b, _ := start(t, store, Config{Definitions: file, Check: 10 * time.Millisecond})
	run(t, b)
	if _, err := a.Set(t.Context(), request("other", "on")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other daemon serves it", func() bool {
		v, err := b.Show("other")
		return err == nil && v.Serving == "on" && v.Toggles == 1
	})
}

// A rule so deep that it can be served but not wrapped.
func TestToggleThatCouldntBeServed(t *testing.T) {
	rule := strings.Repeat(`{"!":`, 60) + `true` + strings.Repeat(`}`, 60)
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, `{"flags":{"f":{"state":"ENABLED","defaultVariant":"a",
		"variants":{"a":1,"b":2,"true":3},"targeting":`+rule+`}}}`)})
	if v, err := s.Show("f"); err != nil || v.Serving != "true" {
		t.Fatalf("before: got %+v, %v", v, err)
	}
	got, err := s.Set(t.Context(), request("f", "b"))
	if !errors.Is(err, ErrInvalid) || got.State != detector.ToggleFailed {
		t.Errorf("got %+v, %v; want a refusal", got, err)
	}
	if v, err := s.Show("f"); err != nil || v.Serving != "true" || store.revision != 1 {
		t.Errorf("after: got %+v, %v at revision %d", v, err, store.revision)
	}
}

func TestMergeFile(t *testing.T) {
	const a1 = `"a":{"state":"ENABLED","defaultVariant":"x","variants":{"x":1,"y":2}}`
	const a2 = `"a":{"state":"ENABLED","defaultVariant":"x","variants":{"x":1,"y":2,"z":3}}`
	const b1 = `"b":{"state":"ENABLED","defaultVariant":"x","variants":{"x":1,"y":2}}`
	const b2 = `"b":{"state":"ENABLED","defaultVariant":"y","variants":{"x":1,"y":2}}`
	store := &memory{}
	var flips []string
	load := func(text string) *Switchboard {
		t.Helper()
		flips = nil
		s, _ := start(t, store, Config{Definitions: writeFile(t, text), OnFlip: func(f detector.Flip) {
			flips = append(flips, fmt.Sprintf("%s %s>%s %v", f.Flag, f.Before, f.Variant, f.Ours))
		}})
		return s
	}
	serving := func(s *Switchboard) string {
		var out []string
		for _, v := range s.List() {
			out = append(out, v.Key+"="+v.Serving+"/"+strings.Join(v.VariantNames(), ""))
		}
		return strings.Join(out, " ")
	}
	s := load(`{"flags":{` + a1 + `}}`)
	if got := serving(s); got != "a=x/xy" || s.Revision() != 1 {
		t.Fatalf("seeded: got %s at %d", got, s.Revision())
	}
	if s = load("{ \"flags\" : {\n" + a1 + `}}`); s.Revision() != 1 {
		t.Errorf("the same file again makes revision %d, want 1", s.Revision())
	}
	if s = load(`{"flags":{` + a2 + `,` + b1 + `}}`); serving(s) != "a=x/xyz b=x/xy" || s.Revision() != 2 {
		t.Errorf("changed and added: got %s at %d", serving(s), s.Revision())
	}
	if _, err := s.Set(t.Context(), request("b", "y")); err != nil {
		t.Fatal(err)
	}
	if s = load(`{"flags":{` + a1 + `,` + b2 + `}}`); serving(s) != "a=x/xy b=y/xy" || s.Revision() != 4 {
		t.Errorf("a changed, b is toggled: got %s at %d", serving(s), s.Revision())
	}
	if s = load(`{"flags":{}}`); serving(s) != "b=y/xy" {
		t.Errorf("a dropped, b is toggled: got %s", serving(s))
	}
	if _, err := s.Undo(t.Context(), "b", "over", "ada"); err != nil {
		t.Fatal(err)
	}
	if got := serving(s); got != "b=x/xy" {
		t.Errorf("undone: got %s, want what was there before the toggle", got)
	}
	if s = load(`{"metadata":{"k":"v"},"flags":{` + b2 + `}}`); serving(s) != "b=y/xy" || s.serving.Load().set.Metadata()["k"] != "v" {
		t.Errorf("now the file's: got %s", serving(s))
	}
	if d := cmp.Diff([]string{"b x>y false"}, flips); d != "" {
		t.Errorf("flips by the file (-want +got):\n%s", d)
	}
	if s = load(`{"flags":{}}`); serving(s) != "" {
		t.Errorf("dropped: got %s", serving(s))
	}
}

func TestLoadKeepsServing(t *testing.T) {
	store := &memory{}
	start(t, store, Config{Definitions: writeFile(t, fleet)})
	for name, text := range map[string]string{"broken": `{"flags":`, "huge": strings.Repeat(" ", maxFile+1), "list": `[]`} {
		s, err := New(Config{Definitions: writeFile(t, text)}, store, quiet(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "flags.json") {
			t.Errorf("%s: got %v, want an error that names the file", name, err)
		}
		if got := len(s.List()); got != 5 {
			t.Errorf("%s: serves %d flags, want the store's 5", name, got)
		}
	}
	store.fail = func(string) error { return errDown }
	s, err := New(Config{}, store, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("store down: got %v", err)
	}
}

func TestConfig(t *testing.T) {
	c := Config{Gates: []Gate{{Flag: "a", Binary: "b"}, {}, {Flag: "a", Binary: "b"}}, Check: time.Nanosecond}
	c.SetDefaults()
	var got []string
	for _, err := range c.Validate("flags") {
		got = append(got, strings.SplitN(err.Error(), ": ", 2)[0])
	}
	if d := cmp.Diff([]string{"flags.check", "flags.gates[1].flag", "flags.gates[1].binary", "flags.gates[2]"}, got); d != "" {
		t.Errorf("paths (-want +got):\n%s", d)
	}
	if _, err := New(c, &memory{}, quiet(), nil); err == nil {
		t.Error("New took a wrong config")
	}
}

func TestHandler(t *testing.T) {
	_, url := start(t, &memory{}, Config{Definitions: writeFile(t, strings.Replace(fleet, `"other"`, `"a/b c"`, 1))})
	post := func(path, body string, header ...string) (int, string, http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b), res.Header
	}
	const one = "/ofrep/v1/evaluate/flags/"
	for _, tt := range []struct {
		key, body string
		status    int
		want      string
	}{
		{
			"payments-backoff", `{"context":{"targetingKey":"me"}}`, 200,
			`{"key":"payments-backoff","value":{"strategy":"exponential"},"variant":"new","reason":"STATIC","metadata":{"fleet":"demo","version":"1"}}`,
		},
		{"masked", ``, 200, `{"key":"masked","value":false,"variant":"off","reason":"TARGETING_MATCH","metadata":{"fleet":"demo","version":"1"}}`},
		{"a%2Fb%20c", `{}`, 200, `"key":"a/b c","value":false`},
		{"disabled", `{}`, 200, `{"key":"disabled","reason":"DISABLED","metadata":{"fleet":"demo","version":"1"}}`},
		{"broken", `{}`, 400, `"errorCode":"PARSE_ERROR"`},
		{"nope", `{}`, 404, `{"key":"nope","errorCode":"FLAG_NOT_FOUND","errorDetails":"flag \"nope\" isn't defined","metadata":{"fleet":"demo","version":"1"}}`},
		{"masked", `{`, 400, `"errorCode":"PARSE_ERROR"`},
		{"masked", `{"context":[]}`, 400, `"errorCode":"INVALID_CONTEXT"`},
		{"masked", `{"context":{"targetingKey":7}}`, 400, `"errorCode":"INVALID_CONTEXT"`},
		{"masked", `{"context":{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`, 400, "nested deeper"},
		{"masked", `{"context":{"x":"` + strings.Repeat("x", maxRequest) + `"}}`, 400, "more than the 524288 bytes"},
	} {
		status, body, header := post(one+tt.key, tt.body)
		if status != tt.status || !strings.Contains(body, tt.want) || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %s, want %d %s", tt.key, status, body, tt.status, tt.want)
		}
	}
	const all = "/ofrep/v1/evaluate/flags"
	status, body, header := post(all, `{"context":{"targetingKey":"me"}}`)
	tag := header.Get("ETag")
	if status != 200 || strings.Count(body, `"key"`) != 4 || strings.Contains(body, `"disabled"`) || !strings.Contains(body, `"PARSE_ERROR"`) || tag == "" {
		t.Errorf("bulk: got %d %s, tag %q", status, body, tag)
	}
	if status, body, _ := post(all, `{"context":{"targetingKey":"me"}}`, "If-None-Match", `"x", W/`+tag); status != 304 || body != "" {
		t.Errorf("same again: got %d %q, want 304", status, body)
	}
	if status, _, _ := post(all, `{"context":{"targetingKey":"aftershock"}}`, "If-None-Match", tag); status != 200 {
		t.Errorf("another context: got %d, want 200", status)
	}
	if status, _, _ := post(all, `[]`); status != 400 {
		t.Errorf("broken request: got %d, want 400", status)
	}
	res, err := http.Get(url + one + "masked")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: got %d, want 405", res.StatusCode)
	}
}

func FuzzReadContext(f *testing.F) {
	f.Add([]byte(`{"context":{"targetingKey":"me"}}`))
	f.Add([]byte(`{"context":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(b)))
		if _, failure := readContext(httptest.NewRecorder(), r); failure != nil && failure.ErrorCode == "" {
			t.Error("a failure without a code")
		}
	})
}

func FuzzReadDocument(f *testing.F) {
	f.Add([]byte(`{"definitions":{"metadata":{}},"flags":{"f":1},"acts":{"f":{"last":"x","standing":[{"toggle":"x","replaced":"MQ=="}]}}}`))
	f.Add([]byte(`{"definitions":null,"flags":{}}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		d, err := readDocument(b)
		if err != nil {
			return
		}
		_, _ = d.set()
		_, _, _ = d.mergeFile([]byte(fleet))
	})
}
