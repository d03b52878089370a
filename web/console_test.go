package web_test

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/webtest"
)

// post sends a form as a page has it that was shown to whoever holds the cookie among the headers.
func post(t testing.TB, u string, form url.Values, headers ...string) reply {
	t.Helper()
	if at := slices.Index(headers, "Cookie"); at >= 0 {
		to, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		form = maps.Clone(form)
		if form == nil {
			form = url.Values{}
		}
		form.Set("stamp", stampOn(ask(t, "GET", to.Scheme+"://"+to.Host+"/flags", "", "Cookie", headers[at+1]).body))
	}
	return postAs(t, u, form, headers...)
}

var stamps = regexp.MustCompile(`name="stamp" value="([0-9a-f]*)"`)

// stampOn is the stamp on the forms of a page, "" where they have none.
func stampOn(page string) string {
	if m := stamps.FindStringSubmatch(page); m != nil {
		return m[1]
	}
	return ""
}

// postAs sends a form as it is.
func postAs(t testing.TB, u string, form url.Values, headers ...string) reply {
	t.Helper()
	return ask(t, "POST", u, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

func signIn(t testing.TB, s *webtest.Server) (cookie string) {
	t.Helper()
	r := post(t, s.URL+"/sign-in", url.Values{"token": {" " + webtest.Token + "\n"}, "next": {"/flags/payments-backoff?variant=legacy"}})
	if r.StatusCode != 303 || r.Header.Get("Location") != "/flags/payments-backoff?variant=legacy" || len(r.Cookies()) != 1 {
		t.Fatalf("sign in: %d %v %s", r.StatusCode, r.Header, r.body)
	}
	c := r.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Secure || c.MaxAge != 12*3600 || len(c.Value) < 20 {
		t.Errorf("attributes of the cookie: %+v", c)
	}
	return c.Name + "=" + c.Value
}

func TestPagesAnswerTheQuestion(t *testing.T) {
	s := story(t)
	command := "aftershock flags set payments-backoff legacy --reason"
	for path, want := range map[string][]string{
		"/":                                   {"Very likely the upgrade: dten-payments 4.1.3 → 4.2.0 (93%)", "Set payments-backoff to legacy…", command, "Earlier upgrades", "dten-4.1.3"},
		"/upgrades/" + webtest.UpgradeID:      {"Very likely the upgrade", "Probably not the upgrade, but third party geo-api (61%)", command, `<svg class="chart"`, `role="img" aria-label="Course of`, "16</b> clear", "dten-checkout"},
		"/flags":                              {"payments-backoff", "safe: legacy", `type="password"`},
		"/flags/payments-backoff":             {"Serves <b>new</b>", "/flags/payments-backoff?variant=legacy"},
		"/flags/payments-backoff?variant=new": {"there is nothing to change"},
		"/health":                             {"Telemetry is being read", "1 waiting"},
	} {
		got := ask(t, "GET", s.URL+path, "")
		if got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %v", path, got.StatusCode, got.Header)
		}
		for _, w := range want {
			if !strings.Contains(got.body, w) {
				t.Errorf("%s lacks %q", path, w)
			}
		}
		if strings.Contains(got.body, webtest.Token) || strings.Contains(got.body, "payload-of-a-job") {
			t.Errorf("%s holds a secret", path)
		}
		wellFormed(t, path, got.body)
	}
	// A page with an input that a person fills in must not reload under their hands.
	if got := ask(t, "GET", s.URL+"/flags/payments-backoff?variant=legacy", "", "Cookie", signIn(t, s)); strings.Contains(got.body, `http-equiv="refresh"`) || !strings.Contains(got.body, `name="reason"`) {
		t.Error("the form reloads, or isn't there")
	}
}

var (
	label   = regexp.MustCompile(`<label for="([^"]+)"`)
	input   = regexp.MustCompile(`<input id="([^"]+)"`)
	naked   = regexp.MustCompile(`<input (name|type="(text|password)")`)
	heading = regexp.MustCompile(`<h([1-6])`)
	th      = regexp.MustCompile(`<th( class="[^"]*")?>`)
)

// scriptless is a page without the one script that it may have.
func scriptless(body string) string {
	return strings.Replace(body, `<script src="/live.js" defer></script>`, "", 1)
}

// wellFormed looks for what a screen reader and the strict policy need.
func wellFormed(t *testing.T, path, body string) {
	t.Helper()
	body = scriptless(body)
	for _, bad := range []string{"<script", " style=", "<style", " onclick", "javascript:", "ZgotmplZ", "<no value>", "%!"} {
		if strings.Contains(body, bad) {
			t.Errorf("%s holds %q", path, bad)
		}
	}
	labels := map[string]bool{}
	for _, m := range label.FindAllStringSubmatch(body, -1) {
		labels[m[1]] = true
	}
	for _, m := range input.FindAllStringSubmatch(body, -1) {
		if !labels[m[1]] {
			t.Errorf("%s: input %s has no label", path, m[1])
		}
	}
	if m := naked.FindString(body); m != "" {
		t.Errorf("%s: an input without an id: %s", path, m)
	}
	if m := th.FindString(body); m != "" {
		t.Errorf("%s: a header of a table without its scope", path)
	}
	last := byte('0')
	for _, m := range heading.FindAllStringSubmatch(body, -1) {
		if m[1][0] > last+1 {
			t.Errorf("%s: heading %s after %c", path, m[1], last)
		}
		last = m[1][0]
	}
	if strings.Count(body, "<h1") != 1 || !strings.Contains(body, `<html lang="en">`) || !strings.Contains(body, `<main id="main">`) {
		t.Errorf("%s: not one h1, no language or no main", path)
	}
	if len(body) > 100_000 {
		t.Errorf("%s: %d bytes", path, len(body))
	}
}

func TestHeaders(t *testing.T) {
	s := story(t)
	page := "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	review := "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
	for path, want := range map[string]string{
		"/": page, "/flags": page, "/nowhere": page, "/style.css": page, "/api/v1/status": page, "/metrics": page,
		"/upgrades/" + webtest.UpgradeID + "/report": review, "/upgrades/nope/report": page,
	} {
		got := ask(t, "GET", s.URL+path, "")
		if csp := got.Header.Get("Content-Security-Policy"); csp != want {
			t.Errorf("%s: policy %q, want %q", path, csp, want)
		}
		for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"} {
			if got.Header.Get(name) != value {
				t.Errorf("%s: %s is %q", path, name, got.Header.Get(name))
			}
		}
	}
	for path, status := range map[string]int{"/nowhere": 404, "/upgrades/nope": 404, "/flags/nope": 404, "/toggles/nope": 404, "/flags/payments-backoff?variant=nope": 404, "/flags/payments-backoff?varient=legacy": 400, "/upgrades/nope/report": 404} {
		if got := ask(t, "GET", s.URL+path, ""); got.StatusCode != status || !strings.Contains(got.body, `role="alert"`) {
			t.Errorf("%s: %d, want %d as a page", path, got.StatusCode, status)
		}
	}
	if got := ask(t, "POST", s.URL+"/flags", ""); got.StatusCode != 405 {
		t.Errorf("POST /flags: %d", got.StatusCode)
	}
	if got := ask(t, "GET", s.URL+"/style.css", ""); got.Header.Get("Content-Type") != "text/css; charset=utf-8" || len(got.body) > 20_000 {
		t.Errorf("style: %v, %d bytes", got.Header, len(got.body))
	}
}

func TestToggleFromThePage(t *testing.T) {
	s := story(t)
	cookie := signIn(t, s)
	plan := ask(t, "GET", s.URL+"/flags/payments-backoff?variant=legacy&upgrade=dten-4.2.0&reason=p99+is+up", "", "Cookie", cookie)
	for _, want := range []string{"Everyone who gets <b>new</b> now will get <b>legacy</b>", `value="p99 is up"`, `name="revision" value="1"`, "Serve legacy to everyone</button>"} {
		if !strings.Contains(plan.body, want) {
			t.Fatalf("the plan lacks %q: %s", want, plan.body)
		}
	}
	form := url.Values{"variant": {"legacy"}, "reason": {"p99 is up"}, "revision": {"1"}, "upgrade": {"dten-4.2.0"}, "actor": {"ana"}}
	path := s.URL + "/flags/payments-backoff"
	if got := post(t, path, form); got.StatusCode != 401 {
		t.Errorf("without a session: %d", got.StatusCode)
	}
	if got := post(t, path, form, "Cookie", "aftershock_session=forged"); got.StatusCode != 401 {
		t.Errorf("with a forged session: %d", got.StatusCode)
	}
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		if got := post(t, path, form, append(headers, "Cookie", cookie)...); got.StatusCode != 403 {
			t.Errorf("%v: %d, want 403", headers, got.StatusCode)
		}
	}
	without := url.Values{"variant": {"legacy"}, "reason": {"x"}}
	if got := post(t, path, without, "Cookie", cookie); got.StatusCode != 400 {
		t.Errorf("without a revision: %d", got.StatusCode)
	}
	if got := post(t, path, url.Values{"reason": {strings.Repeat("x", 1<<20)}}, "Cookie", cookie); got.StatusCode != 413 {
		t.Errorf("too big a form: %d", got.StatusCode)
	}
	if s.Board.Revision() != 1 {
		t.Fatal("something was toggled before it was allowed")
	}
	done := post(t, path, form, "Cookie", cookie, "Sec-Fetch-Site", "same-origin", "Origin", s.URL)
	if done.StatusCode != 303 {
		t.Fatalf("toggle: %d %s", done.StatusCode, done.body)
	}
	page := ask(t, "GET", s.URL+done.Header.Get("Location"), "")
	for _, want := range []string{"Verified: everyone gets legacy", "seen through OpenFeature", "planned", "applied", "By ana: p99 is up", "/upgrades/dten-4.2.0", `content="5"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the toggle's page lacks %q", want)
		}
	}
	wellFormed(t, "/toggles", page.body)
	if got := post(t, path, form, "Cookie", cookie); got.StatusCode != 409 {
		t.Errorf("the same form again: %d", got.StatusCode)
	}
	after := ask(t, "GET", s.URL+"/upgrades/dten-4.2.0", "").body
	for _, want := range []string{"serves <code>legacy</code>, its safe variant, already", `class="flip"`, "payments-backoff → legacy"} {
		if !strings.Contains(after, want) {
			t.Errorf("the upgrade's page lacks %q after the toggle", want)
		}
	}
	undone := post(t, path+"/undo", url.Values{"reason": {"over"}}, "Cookie", cookie)
	if undone.StatusCode != 303 || s.Board.List()[1].Serving != "new" {
		t.Errorf("undo: %d %s", undone.StatusCode, undone.body)
	}
	if got := post(t, s.URL+"/sign-out", nil, "Cookie", cookie); got.StatusCode != 303 || got.Cookies()[0].MaxAge >= 0 {
		t.Errorf("sign out: %d", got.StatusCode)
	}
	if got := post(t, path, form, "Cookie", cookie); got.StatusCode != 401 {
		t.Errorf("after signing out: %d", got.StatusCode)
	}
}

func TestSignIn(t *testing.T) {
	s := webtest.Start(t, func(o *web.Options) { o.Config.ExternalURL = "https://" })
	for _, next := range []string{"", "//evil.example", "https://evil.example", `/\evil.example`, "/\tx", "flags"} {
		got := post(t, s.URL+"/sign-in", url.Values{"token": {webtest.Token}, "next": {next}})
		if got.Header.Get("Location") != "/flags" {
			t.Errorf("next %q leads to %q", next, got.Header.Get("Location"))
		}
	}
	for n := range 12 {
		got := post(t, s.URL+"/sign-in", url.Values{"token": {"guess"}})
		want := 401
		if n >= 10 {
			want = 429
		}
		if got.StatusCode != want || len(got.Cookies()) > 0 {
			t.Fatalf("attempt %d: %d, want %d", n, got.StatusCode, want)
		}
	}
	if got := post(t, s.URL+"/sign-in", url.Values{"token": {webtest.Token}}); got.StatusCode != 429 || got.Header.Get("Retry-After") == "" {
		t.Errorf("the right token after too many tries: %d", got.StatusCode)
	}
	none := webtest.Start(t, func(o *web.Options) { o.Token = "" })
	if got := post(t, none.URL+"/sign-in", url.Values{"token": {""}}); got.StatusCode != 401 {
		t.Errorf("an empty token where none is set: %d", got.StatusCode)
	}
}

func TestSecureCookie(t *testing.T) {
	var config *web.Config
	s := webtest.Start(t, func(o *web.Options) { config = &o.Config; config.ExternalURL = "https://console.example" })
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/sign-in", strings.NewReader("token="+webtest.Token))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "console.example"
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if c := resp.Cookies(); len(c) != 1 || !c[0].Secure {
		t.Errorf("behind https: %v", c)
	}
}

// TestHostileNames shows what comes from outside with its sting drawn.
func TestHostileNames(t *testing.T) {
	s := webtest.Start(t)
	const evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e\x1b[31m"
	tick := webtest.Story(time.Now())
	u := tick.Upgrades[1]
	u.ID = "a/b?c#d"
	u.Binaries = []detector.Binary{{Name: evil, From: evil, To: evil}}
	v := tick.Verdicts[0]
	v.Upgrade, v.Indicator = u.ID, webtest.Indicator(detector.Latency, evil, "service", evil, "http_route", evil)
	v.Causes = []detector.Cause{{Kind: detector.CauseBinary, Name: evil, Probability: 1, Why: []string{evil}}}
	v.Warnings, v.Control, v.Effect = []string{evil}, evil, &detector.Effect{What: evil, Before: 0.1, After: 0.2, Ratio: 2, Low: 1, High: 3}
	w := v
	w.Indicator, w.State, w.Missing = webtest.Indicator(detector.Error, evil, "service", evil), detector.Undecided, evil
	alert := detector.Alert{Key: evil, Upgrade: u.ID, State: detector.AlertFiring, Cause: v.Causes[0], Root: v, Binaries: u.Binaries, StartsAt: u.StartedAt}
	s.Tell(t, journal.Tick{Time: time.Now(), Upgrades: []detector.Upgrade{u}, Verdicts: []detector.Verdict{v, w}, Alerts: []detector.Alert{alert}, Jobs: []journal.Job{{Kind: evil, Key: evil}}})
	toggle := detector.Toggle{ID: "x/" + evil, Flag: "payments-backoff", Before: evil, After: evil, Reason: evil, Actor: evil, Incident: evil, Upgrade: u.ID, State: detector.ToggleApplied, Evidence: evil, At: time.Now(), Updated: time.Now()}
	if err := s.Journal.AuditToggle(t.Context(), toggle); err != nil {
		t.Fatal(err)
	}
	s.Loop.Now.Blind = evil
	for _, path := range []string{"/", "/upgrades/" + url.PathEscape(u.ID), pageOf(v), pageOf(w), "/reports", "/alerts/" + url.PathEscape(evil), "/flags", "/flags/payments-backoff?upgrade=" + url.QueryEscape(evil) + "&reason=" + url.QueryEscape(evil), "/toggles/" + url.PathEscape(toggle.ID), "/health", "/upgrades/" + url.PathEscape(evil)} {
		got := ask(t, "GET", s.URL+path, "")
		if got.StatusCode != 200 && !strings.Contains(path, "script") {
			t.Fatalf("%s: %d %s", path, got.StatusCode, got.body)
		}
		for _, bad := range []string{"<script", "<img", "\x1b", "\u202e", "ZgotmplZ"} {
			if n := strings.Index(scriptless(got.body), bad); n >= 0 {
				t.Errorf("%s holds %q: …%s", path, bad, scriptless(got.body)[max(0, n-80):n])
			}
		}
	}
	if got := ask(t, "GET", s.URL+"/", ""); !strings.Contains(got.body, `href="/upgrades/a%2Fb%3Fc%23d"`) {
		t.Error("an upgrade's link leads astray")
	}
}

func TestCourseOfOddPoints(t *testing.T) {
	s := webtest.Start(t)
	now := time.Now().UTC()
	for n, points := range [][]detector.CoursePoint{
		nil,
		{{Time: now, Bad: 1, Total: 2}},
		{{Time: now}, {Time: now}},
		{{Time: now.Add(-time.Hour)}, {Time: now}},
		{{Time: now.Add(-time.Hour), Bad: -1, Total: 1, Low: -3, High: -1, Expected: -2}, {Time: now, Bad: 1e300, Total: 1e-300}},
		{{Time: now.Add(-20 * 24 * time.Hour), Bad: 1, Total: 1e9, Expected: 1e-9}, {Time: now, Bad: 1, Total: 1, Expected: 1, High: 1e6}},
	} {
		tick := webtest.Story(now)
		tick.Verdicts = tick.Verdicts[:1]
		tick.Verdicts[0].Course = points
		s.Tell(t, tick)
		got := ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID, "")
		for _, bad := range []string{"NaN", "Inf", "%!"} {
			if strings.Contains(got.body, bad) {
				t.Errorf("course %d draws %s", n, bad)
			}
		}
		if drawn := strings.Contains(got.body, `<svg class="chart" `); drawn != (n >= 3) || got.StatusCode != 200 {
			t.Errorf("course %d: %d, drawn %v", n, got.StatusCode, drawn)
		}
	}
}

func TestHeadAndEmptyConsole(t *testing.T) {
	s := webtest.Start(t)
	if got := ask(t, "GET", s.URL+"/", ""); !strings.Contains(got.body, "No upgrade has been seen yet") {
		t.Error("an empty console says nothing")
	}
	resp, err := http.Head(s.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || len(b) != 0 {
		t.Errorf("HEAD: %d", resp.StatusCode)
	}
}

// No data is no good news.
func TestUpgradeOfWhichNothingIsJudged(t *testing.T) {
	s := webtest.Start(t)
	u := detector.Upgrade{
		ID: "told", StartedAt: time.Now().UTC().Add(-time.Hour),
		Binaries: []detector.Binary{{Name: "far-away", To: "2", Inside: &detector.Inside{Summary: "far-away: max 3 -> 5 <b>"}}},
	}
	if err := s.Journal.Commit(t.Context(), journal.Tick{Time: time.Now().UTC(), Upgrades: []detector.Upgrade{u}}); err != nil {
		t.Fatal(err)
	}
	got := ask(t, "GET", s.URL+"/", "")
	if !strings.Contains(got.body, "None of its indicators has been judged") || strings.Contains(got.body, "Nothing has regressed") || strings.Contains(got.body, "notice good") {
		t.Errorf("the overview says\n%s", got.body)
	}
	if got := ask(t, "GET", s.URL+"/upgrades/told", ""); !strings.Contains(got.body, "far-away: max 3 -&gt; 5 &lt;b&gt;") {
		t.Error("the upgrade's page doesn't say what changed inside, or not cleanly")
	}
}
