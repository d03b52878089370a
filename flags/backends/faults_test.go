package backends_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/flags/backends"
	"aftershock/flags/httpcall"
	"aftershock/flags/kubernetes"
	"aftershock/flags/launchdarkly"
	"aftershock/flags/ofrep"
	"aftershock/flags/remote"
	"aftershock/flags/unleash"
	"aftershock/internal/servers"
	"aftershock/journal"
)

// requestTime is how long a backend has for an answer in these tests.
const requestTime = 2 * time.Second

// faulty stands before a backend and harms what goes through.
type faulty struct {
	next http.Handler
	// harm is what is done to requests, reads whether to reads as well.
	harm  atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]
	reads atomic.Bool
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	harm := f.harm.Load()
	if harm == nil || r.Method == http.MethodGet && !f.reads.Load() || strings.HasPrefix(r.URL.Path, "/api/frontend") {
		f.next.ServeHTTP(w, r)
		return
	}
	(*harm)(w, r, f.next)
}

type harm = func(w http.ResponseWriter, r *http.Request, next http.Handler)

func refuse(code int, header ...string) harm {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"message":"your key `+token+` isn't good","reason":"Oops"}`)
	}
}

func hangUp(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func sayYes(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	_, _ = io.WriteString(w, `{}`)
}

// late does what it's asked for when nobody waits for the answer any more.
func late(w http.ResponseWriter, r *http.Request, next http.Handler) {
	b, _ := io.ReadAll(r.Body)
	time.Sleep(requestTime + requestTime/4)
	again := r.Clone(context.WithoutCancel(r.Context()))
	again.Body = io.NopCloser(bytes.NewReader(b))
	next.ServeHTTP(httptest.NewRecorder(), again)
}

// flood does it and then talks without end.
func flood(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	chunk := bytes.Repeat([]byte(" "), 1<<20)
	for range 2 * remote.MaxAnswer >> 20 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func babble(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	_, _ = io.WriteString(w, `{"key":[[[[[{"`+token)
}

// elsewhereTo sends the caller, and the credentials with it, to another host.
func elsewhereTo(other string) harm {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, other, http.StatusTemporaryRedirect)
	}
}

// fixture is a backend with a flag that serves "new" to everyone who has no
// properties, and can serve "legacy".
type fixture struct {
	flag   string
	server http.Handler
	entry  func(url string) backends.Entry
	ofrep  http.Handler // nil where the backend evaluates by itself
	revert func()
}

// maker makes fixtures that don't disturb one another.
type maker struct {
	name string
	make func(t *testing.T) fixture
}

func access(t *testing.T) remote.HTTP {
	return remote.HTTP{Timeout: requestTime, TokenFile: file(t, "token", token)}
}

// makers are all backends that are spoken to over HTTP. The Unleash is a real one.
func makers(t *testing.T) []maker {
	launchDarkly := func(l *fakeLaunchDarkly) func(t *testing.T) fixture {
		return func(t *testing.T) fixture {
			l := newFakeLaunchDarkly(l.rules...)
			return fixture{"backoff", l, func(url string) backends.Entry {
				return backends.Entry{Kind: "launchdarkly", LaunchDarkly: &launchdarkly.Config{URL: url, Project: "shop", Environment: "production", HTTP: access(t)}}
			}, serveOFREP(t, l.evaluate), l.revert}
		}
	}
	return []maker{
		{"FakeKubernetes", func(t *testing.T) fixture {
			k := newFakeKubernetes()
			return fixture{"backoff", k, func(url string) backends.Entry {
				return backends.Entry{Kind: "kubernetes", Kubernetes: &kubernetes.Config{URL: url, Namespace: "shop", Resource: "fleet", HTTP: access(t)}}
			}, serveOFREP(t, k.evaluate), k.revert}
		}},
		{"FakeLaunchDarkly", launchDarkly(newFakeLaunchDarkly())},
		{"FakeLaunchDarkly with rules", launchDarkly(newFakeLaunchDarkly(map[string]any{"_id": "r1", "variation": 2, "clauses": []any{}}))},
		{"HTTP", func(t *testing.T) fixture {
			s := &fakeService{mode: "N"}
			return fixture{"backoff", s, func(url string) backends.Entry {
				return backends.Entry{Kind: "http", HTTP: &httpcall.Config{
					Server: url, Pointer: "/data/0/mode", IfMatch: true, HTTP: access(t),
					Variants: map[string]httpcall.Variant{"legacy": {Reads: `"L"`, Body: `{"mode":"L","why":{{json .Reason}}}`}, "new": {Reads: `"N"`}},
					Write:    httpcall.Call{Path: "/toggles/{{path .Flag}}", Body: `{"mode":"N","why":{{json .Reason}}}`, Status: []int{200, 204}},
					Read:     httpcall.Call{Path: "/toggles/{{path .Flag}}"},
				}}
			}, serveOFREP(t, s.evaluate), s.revert}
		}},
		{"RealUnleash", realUnleash(t)},
	}
}

// realUnleash is Unleash on PostgreSQL, started for this test. Each fixture is a
// flag of its own in it.
func realUnleash(t *testing.T) func(t *testing.T) fixture {
	server := servers.Unleash(t, servers.PostgreSQL(t).Database())
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	admin := func(t *testing.T, path, body string) {
		req, err := http.NewRequest("POST", server.URL+"/api/admin/projects/default/features"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {servers.UnleashAdmin}, "Content-Type": {"application/json"}}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode/100 != 2 {
			t.Fatalf("POST %s: %v %v", path, resp, err)
		}
		resp.Body.Close()
	}
	var made atomic.Int32
	return func(t *testing.T) fixture {
		flag := fmt.Sprintf("backoff-%d", made.Add(1))
		env := "/" + flag + "/environments/development"
		admin(t, "", `{"name":"`+flag+`","type":"release"}`)
		admin(t, env+"/strategies", `{"name":"flexibleRollout","parameters":{"rollout":"100","stickiness":"default","groupId":"b"},"constraints":[],"variants":[
			{"name":"new","weight":1000,"weightType":"fix","stickiness":"default"},{"name":"legacy","weight":0,"weightType":"variable","stickiness":"default"}]}`)
		admin(t, env+"/on", "")
		return fixture{flag, httputil.NewSingleHostReverseProxy(at), func(url string) backends.Entry {
			c := unleash.Config{URL: url, Environment: "development", HTTP: remote.HTTP{Timeout: requestTime, TokenFile: file(t, "admin", servers.UnleashAdmin)}}
			c.Frontend = &unleash.Frontend{HTTP: remote.HTTP{TokenFile: file(t, "frontend", servers.UnleashFrontend)}}
			return backends.Entry{Kind: "unleash", Unleash: &c}
		}, nil, func() { admin(t, env+"/off", "") }}
	}
}

func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// desk is a switchboard on a real journal, before a backend that can be harmed.
type desk struct {
	*flags.Switchboard
	flag    string
	journal *journal.Journal
	faulty  *faulty
	log     *lines
}

type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// store lets the switchboard keep its document and audit in the journal, as the
// daemon does.
type store struct{ *journal.Journal }

func (s store) PutDefinitions(ctx context.Context, expected int64, document []byte, t detector.Toggle) (int64, error) {
	revision, err := s.Journal.PutDefinitions(ctx, expected, document, t)
	if errors.Is(err, journal.ErrConflict) {
		err = errors.Join(flags.ErrConflict, err)
	}
	return revision, err
}

func (s store) AuditToggle(ctx context.Context, t detector.Toggle) error {
	return s.Journal.AuditToggle(ctx, t)
}

func (s store) DecideToggle(ctx context.Context, last, next detector.Toggle) error {
	err := s.Journal.DecideToggle(ctx, last, next)
	if errors.Is(err, journal.ErrConflict) {
		err = errors.Join(flags.ErrConflict, err)
	}
	return err
}

func (s store) Toggle(ctx context.Context, id string) (detector.Toggle, error) {
	states, err := s.Journal.ToggleHistory(ctx, id)
	if errors.Is(err, journal.ErrNotFound) {
		err = errors.Join(flags.ErrUnknown, err)
	}
	if err != nil {
		return detector.Toggle{}, err
	}
	return states[len(states)-1], nil
}

func open(t *testing.T, x fixture) *desk {
	t.Helper()
	d := &desk{flag: x.flag, faulty: &faulty{next: x.server}, log: &lines{}}
	log := logrus.New()
	log.SetOutput(d.log)
	log.SetLevel(logrus.TraceLevel)
	server := httptest.NewServer(d.faulty)
	t.Cleanup(server.Close)
	e := x.entry(server.URL)
	e.Name, e.Flags, e.Check = "there", []string{"nothing-*", x.flag}, 50*time.Millisecond
	if x.ofrep != nil {
		o := httptest.NewServer(x.ofrep)
		t.Cleanup(o.Close)
		e.OFREP = &backends.Endpoint{URL: o.URL}
	}
	var err error
	if d.journal, err = journal.Open(t.Context(), journal.Config{}, t.TempDir(), log, prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.journal.Close() })
	c := flags.Config{Check: 50 * time.Millisecond, Backends: backends.Config{e}}
	if d.Switchboard, err = flags.New(c, store{d.journal}, log, prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	own := httptest.NewServer(d.Handler())
	t.Cleanup(own.Close)
	if err := d.Connect(t.Context(), ofrep.Config{BaseURL: own.URL}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) set(variant string) (detector.Toggle, error) {
	return d.Set(context.Background(), flags.Request{Flag: d.flag, Variant: variant, Reason: "p99 is up", Actor: "ada"})
}

func (d *desk) harm(h harm, reads bool) {
	d.faulty.reads.Store(reads)
	if h == nil {
		d.faulty.harm.Store(nil)
		return
	}
	d.faulty.harm.Store(&h)
}

// secretsKept looks through all that was said and put down for the token.
func (d *desk) secretsKept(t *testing.T, err error) {
	t.Helper()
	all, listed := d.journal.Toggles(t.Context(), "", 100)
	if listed != nil {
		t.Fatal(listed)
	}
	text := d.log.String()
	for _, toggle := range all {
		text += toggle.Evidence + "\n"
	}
	if err != nil {
		text += err.Error()
	}
	for _, secret := range []string{token, servers.UnleashAdmin, servers.UnleashFrontend} {
		if strings.Contains(text, secret) {
			t.Errorf("a secret got out: %s", text)
		}
	}
}

// serves looks at the backend itself.
func (d *desk) serves(t *testing.T) string {
	t.Helper()
	v, err := d.Look(t.Context(), d.flag)
	if err != nil || v.Problem != "" && !strings.Contains(v.Problem, "under way") {
		t.Fatalf("look: %s %v", v.Problem, err)
	}
	return v.Serving
}
