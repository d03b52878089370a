package rehearsal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shop is a copy with logins: a form with a token against forgery, a session by cookie
// and bearer token that ends after some time, and orders that take a token of the cart's.
type shop struct {
	*copied
	lasts  time.Duration // of a session; 0: for good
	broken atomic.Bool   // nobody may log in any more

	users    map[string]string
	sessions sync.Map // token -> cookie, begun
	orders   sync.Map // id -> token
	n        atomic.Int64
	slow     time.Duration // of /orders
	wrong    atomic.Int64  // requests that weren't what the shop asks for
	logins   atomic.Int64
	secrets  sync.Map // everything that nobody may see
}

type login struct {
	cookie string
	begun  time.Time
}

func newShop(t *testing.T) *shop {
	s := &shop{users: map[string]string{"ann": "pass-ann-4711", "bob": `pass "bob" & co`}}
	for _, p := range s.users {
		s.secrets.Store(p, true)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		forgery := s.secret()
		http.SetCookie(w, &http.Cookie{Name: "form", Value: forgery, Path: "/"})
		fmt.Fprintf(w, `<form><input type="hidden" name="csrf" value="%s"></form>`, forgery)
	})
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("GET /cart", func(w http.ResponseWriter, req *http.Request) {
		if s.known(w, req) {
			w.Header().Set("X-Order-Token", req.Header.Get("Authorization")+"-cart")
		}
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, req *http.Request) {
		if !s.known(w, req) {
			return
		}
		time.Sleep(s.slow)
		var in struct{ Token string }
		if err := json.NewDecoder(req.Body).Decode(&in); err != nil || in.Token != req.Header.Get("Authorization")+"-cart" {
			s.wrong.Add(1)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		id := fmt.Sprint(s.n.Add(1))
		s.orders.Store(id, req.Header.Get("Authorization"))
		fmt.Fprintf(w, `{"order": {"items": [{"id": %s}]}}`, id)
	})
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, req *http.Request) {
		if !s.known(w, req) {
			return
		}
		if whose, _ := s.orders.Load(req.PathValue("id")); whose != req.Header.Get("Authorization") {
			s.wrong.Add(1)
			w.WriteHeader(http.StatusNotFound)
		}
	})
	mux.HandleFunc("GET /public", func(_ http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Cookie") != "" {
			s.wrong.Add(1)
		}
	})
	s.copied = newCopied(t, mux.ServeHTTP)
	return s
}

// noted is a request that arrived.
type noted struct {
	at  time.Time
	req *http.Request
}

func (c *copied) noted() (all []noted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, at := range c.arrived {
		all = append(all, noted{at, c.seen[i]})
	}
	return all
}

func (s *shop) secret() string {
	x := "secret-" + rand.Text()
	s.secrets.Store(x, true)
	return x
}

func (s *shop) login(w http.ResponseWriter, req *http.Request) {
	s.logins.Add(1)
	form, err := req.Cookie("form")
	if err != nil || form.Value != req.PostFormValue("csrf") || s.users[req.PostFormValue("user")] != req.PostFormValue("password") || s.broken.Load() {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	token, cookie := s.secret(), s.secret()
	s.sessions.Store(token, login{cookie, time.Now()})
	http.SetCookie(w, &http.Cookie{Name: "sid", Value: cookie, Path: "/"})
	fmt.Fprintf(w, `{"data": {"a/b": [{"token": %q}]}}`, token)
}

// known says whether the request is of a session that lasts.
func (s *shop) known(w http.ResponseWriter, req *http.Request) bool {
	x, ok := s.sessions.Load(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "))
	sid, err := req.Cookie("sid")
	if !ok || err != nil || sid.Value != x.(login).cookie {
		s.wrong.Add(1)
	} else if s.lasts == 0 || time.Since(x.(login).begun) < s.lasts {
		return true
	}
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

const shopProfile = `
service: shop
routes:
  - {route: /cart, rate: 40, headers: {Authorization: "Bearer {token}"}}
  - {route: /public, rate: 10, anonymous: true}
flows:
  - flow: order
    rate: 20
    steps:
      - {route: /cart, headers: {Authorization: "Bearer {token}"}, capture: {cart: {header: X-Order-Token}}}
      - {route: /orders, method: POST, think: 40ms, headers: {Authorization: "Bearer {token}", Content-Type: application/json}, body: '{"token": "{cart}"}',
         capture: {order: {json: /order/items/0/id}}}
      - {route: "/orders/{id}", path: "/orders/{order}", headers: {Authorization: "Bearer {token}"}}
sessions:
  size: 4
  secrets: {user: {file: USERS}, password: {file: PASSWORDS}}
  login:
    - {path: /login, capture: {csrf: {match: 'name="csrf" value="([^"]+)"'}}}
    - {path: /login, method: POST, headers: {Content-Type: application/x-www-form-urlencoded}, body: "user={user}&password={password}&csrf={csrf}",
       capture: {token: {json: /data/a~1b/0/token}}}
`

func (s *shop) profile(t *testing.T) *Profile {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"USERS": "ann\nbob\n", "PASSWORDS": s.users["ann"] + "\n" + s.users["bob"] + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := ParseProfile([]byte(strings.NewReplacer("USERS", filepath.Join(dir, "USERS"), "PASSWORDS", filepath.Join(dir, "PASSWORDS")).Replace(shopProfile)))
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// unseen fails where something that nobody may see stands in what is kept or said.
func (s *shop) unseen(t *testing.T, p *Profile, m *Measured) {
	t.Helper()
	store := Store{Dir: t.TempDir()}
	if err := store.Keep(m); err != nil {
		t.Fatal(err)
	}
	if err := store.KeepProfile(*p); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := m.OpenMetrics(&text); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{store.meta(Before, 1), store.ProfilePath()} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(content)
	}
	s.secrets.Range(func(x, _ any) bool {
		if strings.Contains(text.String(), x.(string)) {
			t.Errorf("%q stands in what is kept", x)
		}
		return true
	})
}

// Sessions are logged in before the measurement, requests carry what the login told,
// and flows what their answers told.
func TestSessionsAndFlows(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := s.profile(t)
	if rate := p.Rate(); rate != 110 {
		t.Errorf("%v requests/s, want 40 + 10 + 3 x 20", rate)
	}
	m := played(t.Context(), t, s.copied, p, quick(3*time.Second))
	if n := s.wrong.Load(); n > 0 || m.Codes["200"] != m.Sent || m.Failed > 0 {
		t.Errorf("%d requests were wrong: %v", n, m.Codes)
	}
	if m.Logins != 4 || s.logins.Load() != 4 || m.LoginsFailed > 0 {
		t.Errorf("%d logins, %d seen, %d failed, want 4", m.Logins, s.logins.Load(), m.LoginsFailed)
	}
	// 60 flows are expected; some are under way at the end, more where this machine is slow.
	few := 12
	if m.LateP99 > busyHere {
		few = m.Flows - 1
	}
	if m.Flows < 35 || m.Flows > 90 || m.FlowsBroken > 0 || m.FlowsCompleted < m.Flows-few || m.FlowsCompleted > m.Flows {
		t.Errorf("%d flows, %d completed, %d broken", m.Flows, m.FlowsCompleted, m.FlowsBroken)
	}
	if got := int(s.n.Load()); got < m.FlowsCompleted {
		t.Errorf("%d orders of %d flows", got, m.FlowsCompleted)
	}
	if diff := cmp.Diff([]string{"GET /cart", "GET /public", "POST /orders", "GET /orders/{id}"}, names2(m.routes)); diff != "" {
		t.Errorf("routes (-want +got)\n%s", diff)
	}
	s.unseen(t, p, m)
}

// busyHere is from what lateness on, in seconds, figures are this machine's.
const busyHere = 0.03

func names2(routes []Route) (out []string) {
	for _, r := range routes {
		out = append(out, r.Method+" "+r.Route)
	}
	return out
}

// A session that is over is renewed once, whatever number of its requests is refused, and
// the refused requests count as what they are.
func TestSessionsAreRenewed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.lasts = 2 * time.Second
	p := s.profile(t)
	m := played(t.Context(), t, s.copied, p, quick(3500*time.Millisecond))
	refused := m.Codes["401"]
	if refused == 0 || refused > m.Sent/3 || s.wrong.Load() > 0 {
		t.Errorf("%v, %d wrong: want some 401 and mostly 200", m.Codes, s.wrong.Load())
	}
	// Each of 4 sessions lasts for 2 of 3.5 s.
	if m.Logins < 8 || m.Logins > 12 || m.LoginsFailed > 0 {
		t.Errorf("%d logins, %d failed, want 2 of each session, hardly 3", m.Logins, m.LoginsFailed)
	}
	s.unseen(t, p, m)
}

// Where sessions can't be renewed, logins stay few, all that is sent stays under the cap,
// and what is wrong is said, without what nobody may see.
func TestLoginsThatFail(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.lasts = 300 * time.Millisecond
	time.AfterFunc(500*time.Millisecond, func() { s.broken.Store(true) })
	p := s.profile(t)
	o := quick(5 * time.Second)
	o.Limits.MaxRate = 130
	m := played(t.Context(), t, s.copied, p, o)
	if m.LoginsFailed == 0 || s.logins.Load() > 4*7 {
		t.Errorf("%d of %d logins failed", m.LoginsFailed, s.logins.Load())
	}
	if doubts := strings.Join(m.Doubts, "\n"); !strings.Contains(doubts, "POST /login: it was answered 403") || !strings.Contains(doubts, "flows ended before their last step") {
		t.Errorf("said %q", doubts)
	}
	s.unseen(t, p, m)
	// Nobody can log in from the beginning: nothing else is sent.
	before := len(s.noted())
	_, err := Run(t.Context(), s.target(t), p, o)
	if err == nil || !strings.Contains(err.Error(), "log in session ") || !strings.Contains(err.Error(), "POST /login: it was answered 403") {
		t.Errorf("got %v", err)
	}
	for _, req := range s.noted()[before:] {
		req := req.req
		if req.URL.Path != "/login" {
			t.Errorf("%s was sent", req.URL.Path)
		}
	}
}

// Flows arrive whether or not those before are done, and a step's latency counts from when
// it was to start: the think time isn't in it, a copy that takes long is.
func TestFlowsDontWaitForOneAnother(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.slow = 700 * time.Millisecond
	p := s.profile(t)
	p.Routes = nil
	p.Flows[0].Steps[1].Think = 400 * time.Millisecond
	o := quick(4 * time.Second)
	m := played(t.Context(), t, s.copied, p, o)
	schedule, want := NewSchedule(p, o.Length, o.Seed, false), 0
	for _, ok := schedule.Next(); ok; _, ok = schedule.Next() {
		want++
	}
	if m.Flows != want {
		t.Errorf("%d flows began, the schedule has %d", m.Flows, want)
	}
	if m.FlowsCompleted < want/2 || m.FlowsBroken > 0 || s.wrong.Load() > 0 {
		t.Errorf("%d of %d flows were completed, %d broken", m.FlowsCompleted, want, m.FlowsBroken)
	}
	var first [2]time.Time
	for _, n := range s.noted() {
		for k, path := range []string{"/cart", "/orders"} {
			if n.req.URL.Path == path && first[k].IsZero() {
				first[k] = n.at
			}
		}
	}
	if thought := first[1].Sub(first[0]); thought < 200*time.Millisecond {
		t.Errorf("the first thought for %s, want half of 400 ms at least", thought)
	}
	sums, counts := make([]float64, 3), make([]float64, 3)
	for _, step := range m.tally.steps {
		for k := range step {
			sums[k] += step[k].seconds
			counts[k] += float64(step[k].timed)
		}
	}
	for k, least := range []float64{0, 0.7, 0} {
		if mean := sums[k] / counts[k]; !(mean >= least && (mean < least+0.2 || m.LateP99 > busyHere)) {
			t.Errorf("%s takes %v s, want %v and a little", m.routes[k].Route, mean, least)
		}
	}
}

// However many of a session's requests are refused, it is renewed once.
func TestSessionIsRenewedOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	target := s.target(t)
	l, err := newPool(t.Context(), s.profile(t).Sessions, target, http.DefaultClient, newLimiter(1000))
	if err != nil {
		t.Fatal(err)
	}
	old := l.take()
	for range 50 {
		l.end(t.Context(), old)
	}
	for range 8 {
		if x := l.take(); x == old {
			t.Error("a session that is over was taken")
		}
	}
	l.wg.Wait()
	if n := s.logins.Load(); n != 5 {
		t.Errorf("%d logins, want one more than the 4 sessions", n)
	}
	l.end(t.Context(), old)
	l.wg.Wait()
	if n := s.logins.Load(); n != 5 {
		t.Error("what was renewed already was renewed again")
	}
}

// Logins and traffic share the cap: of any 41 requests the first and the last lie a second
// apart, whoever sent them.
func TestLoginsShareTheCap(t *testing.T) {
	t.Parallel()
	l := newLimiter(40)
	var mu sync.Mutex
	var sent []time.Time
	logged := 0
	note := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, time.Now())
		logged += n
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2200*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for l.wait(ctx) == nil {
				note(1)
			}
		})
	}
	for ctx.Err() == nil {
		if ok, from := l.claim(time.Now()); !ok {
			time.Sleep(time.Until(from))
			continue
		}
		time.Sleep(3 * time.Millisecond) // until it is taken
		note(0)
		l.use(time.Now())
	}
	wg.Wait()
	if logged == 0 || logged == len(sent) || len(sent) < 80 {
		t.Errorf("%d of %d requests were logins, want some of each", logged, len(sent))
	}
	for i := range sent[:max(0, len(sent)-40)] {
		if d := sent[i+40].Sub(sent[i]); d < 950*time.Millisecond {
			t.Fatalf("41 requests within %s", d)
		}
	}
}

// Secrets are named where they are missing, and never told.
func TestSecretsThatAreMissing(t *testing.T) {
	t.Setenv("REHEARSAL_TEST_EMPTY", "")
	t.Setenv("REHEARSAL_TEST_SPLIT", "4711\r\nX: y")
	dir := t.TempDir()
	three := filepath.Join(dir, "three")
	two := filepath.Join(dir, "two")
	for path, text := range map[string]string{three: "4711\n4712\n4713", two: "4711\n4712"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := newCopied(t, func(http.ResponseWriter, *http.Request) {})
	for _, tt := range []struct {
		secrets map[string]Secret
		want    string
	}{
		{map[string]Secret{"a": {Env: "REHEARSAL_TEST_EMPTY"}}, "REHEARSAL_TEST_EMPTY of the environment is empty"},
		{map[string]Secret{"a": {Env: "REHEARSAL_TEST_SPLIT"}}, "control characters"},
		{map[string]Secret{"a": {File: filepath.Join(dir, "none")}}, "no such file"},
		{map[string]Secret{"a": {File: dir}}, "want a file"},
		{map[string]Secret{"a": {File: two}, "b": {File: three}}, "want as many, or one"},
	} {
		p := profile(10)
		p.Sessions = &Sessions{Secrets: tt.secrets, Login: []Exchange{{Route: Route{Path: "/login"}}}}
		p.setDefaults()
		_, err := Run(t.Context(), c.target(t), p, quick(time.Second))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "471") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one line with %q", err, tt.want)
		}
	}
	if n := len(c.noted()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestSessionsNameProblems(t *testing.T) {
	t.Parallel()
	const login = "sessions: {login: [{path: /login, capture: {token: {header: T}}}]}\n"
	for _, tt := range []struct{ text, want string }{
		{"routes: [{route: /, rate: 1}]\nsessions: {size: 3}", "sessions.login: 0 steps"},
		{"routes: [{route: /, rate: 1}]\nsessions: {size: 201, login: [{path: /login}]}", "sessions.size: want 1 to 200"},
		{"routes: [{route: /, rate: 1}]\nsessions: {login: [{path: /login, body: x}], secrets: {p: {value: x}}}", "value not found"},
		{"routes: [{route: /, rate: 1}]\nsessions: {login: [{path: /login}], secrets: {p: {env: x, file: y}}}", "sessions.secrets.p: want"},
		{"routes: [{route: /, rate: 1}]\nsessions: {login: [{path: '/login/{who}'}]}", "sessions.login[0].path: nothing says what to put in for who"},
		{"routes: [{route: /, rate: 1}]\nsessions: {login: [{path: /login}], renew_on: [200]}", "sessions.renew_on: 200"},
		{login + "routes: [{route: /, rate: 1, headers: {Authorization: 'Bearer {tokn}'}}]", "routes[0].headers.Authorization: nothing says what {tokn} is"},
		{login + "flows: [{flow: a, rate: 1, steps: []}]", "flows[0].steps: 0 of them"},
		{login + "flows: [{flow: a, steps: [{route: /}]}]", "flows[0].rate: want"},
		{login + "flows: [{flow: a, rate: 1, steps: [{route: /, rate: 3}]}]", "flows[0].steps[0].rate: a step has none"},
		{login + "flows: [{flow: a, rate: 1, steps: [{route: /, think: 11m}]}]", "flows[0].steps[0].think"},
		{login + "flows: [{flow: a, rate: 1, steps: [{route: /, capture: {x: {json: a}}}]}]", "flows[0].steps[0].capture.x: json: want a JSON pointer"},
		{login + "flows: [{flow: a, rate: 1, steps: [{route: /, capture: {x: {match: '('}}}]}]", "match: want a regular expression with one group"},
		{login + "flows: [{flow: a, rate: 1, steps: [{route: /, capture: {X-y: {header: a}}}]}]", "is no name in small letters"},
		{login + "flows: [{flow: a, rate: 1, steps: [{route: /, headers: {A: '{late}'}}, {route: /b, capture: {late: {header: a}}}]}]", "nothing says what {late} is"},
		{login + "flows: [{flow: a, rate: 1, steps: [{route: /}]}, {flow: a, rate: 1, steps: [{route: /}]}]", "flows[1].flow: want a name"},
	} {
		if _, err := ParseProfile([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q", tt.text, err, tt.want)
		}
	}
	p, err := ParseProfile([]byte(login + "flows: [{flow: a, rate: 1, steps: [{route: '/:order', path: '/:token'}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	o := quick(time.Second)
	if err := o.Check(&p); err == nil || !strings.Contains(err.Error(), "nothing to put in for token") {
		t.Errorf("got %v, want that :token is no place for a variable", err)
	}
}

// Values are escaped as their place asks for.
func TestVariablesAreEscaped(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"v": `a/b?c&d="e"`}
	for _, tt := range []struct{ kind, body string }{
		{"application/json; charset=utf-8", `{"v": "a/b?c\u0026d=\"e\"", "other": "{w}"}`},
		{"application/x-www-form-urlencoded", `{"v": "a%2Fb%3Fc%26d%3D%22e%22", "other": "{w}"}`},
		{"text/plain", `{"v": "a/b?c&d="e"", "other": "{w}"}`},
	} {
		got := Recorded{Target: "/x/{v}?q={v}", Headers: map[string]string{"Content-Type": tt.kind, "A": "{v}"}, Body: `{"v": "{v}", "other": "{w}"}`}.filled(nil, vars)
		want := Recorded{Target: "/x/a%2Fb%3Fc&d=%22e%22?q=a%2Fb%3Fc%26d%3D%22e%22", Headers: map[string]string{"Content-Type": tt.kind, "A": vars["v"]}, Body: tt.body}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func FuzzPointed(f *testing.F) {
	f.Add([]byte(`{"a/b": [{"~c": "x"}, 1.50, true, null]}`), "/a~1b/0/~0c")
	f.Add([]byte(`[1e400]`), "/0")
	f.Fuzz(func(t *testing.T, body []byte, pointer string) {
		if len(pointer) == 0 || pointer[0] != '/' {
			return
		}
		v, ok := pointed(body, pointer)
		if !ok && v != "" {
			t.Errorf("got %q where there is nothing", v)
		}
		into := map[string]string{}
		if err := captureAll(map[string]Capture{"x": {JSON: pointer}}, httptest.NewRecorder().Result(), body, into); err == nil && !capturable(into["x"]) {
			t.Errorf("captured %q, which can't be sent", into["x"])
		}
	})
}
