package web_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/flags/policy"
	"aftershock/internal/servers"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/access"
	"aftershock/web/webtest"
)

// gaining is the story in which the upgrade also improved something that dten-payments is
// behind: fewer charges fail.
func gaining(now time.Time) (journal.Tick, *detector.Verdict) {
	tick := webtest.Story(now)
	v := tick.Verdicts[0]
	v.Indicator = webtest.Indicator(detector.Error, "http_requests_total", "service", "payments", "http_route", "/pay")
	v.State, v.Direction, v.Quantiles, v.Distribution = detector.Improved, detector.Better, nil, nil
	v.Effect = &detector.Effect{What: "share of failed requests", Before: 0.03, After: 0.01, Ratio: 0.33, Low: 0.25, High: 0.45}
	v.Course = webtest.Course(v.Onset.At, now, *v.Effect)
	tick.Verdicts = append(tick.Verdicts, v)
	return tick, &tick.Verdicts[len(tick.Verdicts)-1]
}

// set toggles payments-backoff over the API.
func set(t testing.TB, s *webtest.Server, variant string) (g detector.Toggle) {
	t.Helper()
	got := ask(t, "PUT", s.URL+"/api/v1/flags/payments-backoff", `{"variant":"`+variant+`","reason":"retries","actor":"ana","upgrade":"`+webtest.UpgradeID+`"}`, "Authorization", bearer)
	got.decode(t, &g)
	if g.State != detector.ToggleVerified {
		t.Fatalf("toggled: %d %s", got.StatusCode, got.body)
	}
	return g
}

// proposed is a proposal of the automation.
func proposed(t testing.TB, s *webtest.Server) detector.Toggle {
	t.Helper()
	g, err := s.Board.Set(t.Context(), flags.Request{
		Flag: "payments-backoff", Variant: "legacy", Reason: "retries regressed", Actor: policy.Actor, Upgrade: webtest.UpgradeID, Decision: "auto-1-proposal", Propose: true,
	})
	if err != nil || g.State != detector.ToggleWaiting {
		t.Fatalf("proposed: %+v, %v", g, err)
	}
	return g
}

var markup = regexp.MustCompile(`(?s)<(script|style|svg).*?</(script|style|svg)>|<[^>]*>`)

// reading is a page's text as people read it.
func reading(body string) string {
	return strings.Join(strings.Fields(html.UnescapeString(markup.ReplaceAllString(body, " "))), " ")
}

// What the upgrade improved is told before the toggle as what may be lost, and after it as
// lost again, by every page and by the API alike; what stays isn't.
func TestWhatMayBeLostAndIs(t *testing.T) {
	s := webtest.Start(t)
	now := time.Now().UTC()
	tick, gain := gaining(now)
	s.Tell(t, tick)
	const named = "errors of payments /pay share of failed requests: 3% → 1%, ×0.33 (0.25–0.45) put down to dten-payments (93%)"
	plan := reading(ask(t, "GET", s.URL+"/flags/payments-backoff?variant=legacy&upgrade="+webtest.UpgradeID, "").body)
	for _, want := range []string{"What may be lost", "with legacy it may go back to its old level", named} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan lacks %q: %s", want, plan)
		}
	}
	if other := ask(t, "GET", s.URL+"/flags/checkout-banner?variant=on", "").body; strings.Contains(other, "What may be lost") {
		t.Error("a flag that gates nothing is told to lose something")
	}
	dry := ask(t, "PUT", s.URL+"/api/v1/flags/payments-backoff", `{"variant":"legacy","reason":"x","dry_run":true}`, "Authorization", bearer)
	described(t, "PUT", "/api/v1/flags/payments-backoff", dry)
	var planned detector.Toggle
	dry.decode(t, &planned)
	if len(planned.MayLose) != 1 || planned.MayLose[0].Binary != "dten-payments" || !strings.Contains(planned.Evidence, "  may be lost: errors of payments /pay") {
		t.Errorf("the dry run: %s", dry.body)
	}
	g := set(t, s, "legacy")
	read := func() (text string, d web.ToggleDetail) {
		got := ask(t, "GET", s.URL+"/api/v1/toggles/"+g.ID, "")
		described(t, "GET", "/api/v1/toggles/"+g.ID, got)
		got.decode(t, &d)
		page := ask(t, "GET", s.URL+"/toggles/"+g.ID, "").body
		wellFormed(t, "the toggle", page)
		return reading(page), d
	}
	if text, d := read(); !strings.Contains(text, "errors of payments /pay not lost so far") || len(d.Gains) != 1 || !d.Gains[0].Lost.IsZero() {
		t.Errorf("before it is lost: %+v: %s", d.Gains, text)
	}
	back := time.Now().UTC()
	gain.State, gain.Recovered = detector.Clear, back
	gain.Course = append(gain.Course, detector.CoursePoint{Time: back.Add(time.Minute), Bad: 30, Total: 1000, Expected: 0.03, Low: 0.02, High: 0.04})
	tick.Verdicts[0].State, tick.Verdicts[0].Recovered = detector.Clear, back
	s.Tell(t, tick)
	time.Sleep(1100 * time.Millisecond) // a review is of whole seconds
	text, d := read()
	if !strings.Contains(text, "errors of payments /pay lost again "+gain.Recovered.Format("15:04")) || len(d.Gains) != 1 || !d.Gains[0].Lost.Equal(gain.Recovered) {
		t.Errorf("after it is lost: %+v: %s", d.Gains, text)
	}
	upgrade := reading(ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID, "").body)
	review := reading(ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID+"/report", "").body)
	indicator := ask(t, "GET", s.URL+pageOf(*gain), "").body
	for name, want := range map[string]struct{ text, want string }{
		"the overview":  {reading(ask(t, "GET", s.URL+"/", "").body), "0 improved 1 lost again"},
		"the upgrade":   {upgrade, "errors of payments /pay lost again"},
		"its recovery":  {upgrade, "tail latency of checkout /place recovered"},
		"the review":    {review, "1 indicator that had improved is lost again."},
		"its shift":     {review, "Errors of payments /pay lost again"},
		"its time":      {review, "errors of payments /pay lost again: it is back at its old level"},
		"the indicator": {reading(indicator), "lost again"},
		"its picture":   {indicator, ", lost again "},
		"its periods":   {reading(indicator), "since it was lost again"},
	} {
		if !strings.Contains(want.text, want.want) {
			t.Errorf("%s lacks %q: %s", name, want.want, want.text)
		}
	}
	if strings.Contains(upgrade, "/pay recovered") || strings.Contains(review, "/pay recovered") || strings.Contains(review, "/pay back within") {
		t.Error("what is lost again is told as recovered")
	}
}

// Of two toggles, one over the other, one is in force: everything says so of the same one,
// and by which the other was replaced, until the one over it is undone.
func TestAReplacedToggle(t *testing.T) {
	s := story(t)
	first := set(t, s, "legacy")
	if _, err := s.Board.Recovered(t.Context(), first.ID, "all are back"); err != nil {
		t.Fatal(err)
	}
	second := set(t, s, "tuned")
	link := `recovered, then <a href="/toggles/` + second.ID + `">replaced by tuned</a>`
	for _, at := range []string{"/flags", "/flags/payments-backoff", alertPath} {
		page := ask(t, "GET", s.URL+at, "").body
		lacks(t, at, page, link)
		if at == alertPath {
			continue
		}
		text := reading(page)
		if !strings.Contains(text, "In force: tuned for everyone") || strings.Contains(text, "In force: legacy") || !strings.Contains(text, "1 toggle in force") {
			t.Errorf("%s: %s", at, text)
		}
	}
	page := ask(t, "GET", s.URL+"/toggles/"+first.ID, "").body
	lacks(t, "the replaced one", page, "Replaced: it is in force no more", `<a href="/toggles/`+second.ID+`">legacy → tuned for everyone</a>`, "While it was in force: recovered: all are back")
	if strings.Contains(page, "Undo it…") || strings.Contains(page, `id="live"`) {
		t.Error("a replaced toggle offers its undo, or waits for something")
	}
	time.Sleep(1100 * time.Millisecond) // a review is of whole seconds
	review := reading(ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID+"/report", "").body)
	if !strings.Contains(review, "recovered, then replaced by tuned") || !strings.Contains(review, "Toggles still on: payments-backoff on tuned") {
		t.Errorf("the review: %s", review)
	}
	var shown flags.View
	got := ask(t, "GET", s.URL+"/api/v1/flags/payments-backoff", "")
	described(t, "GET", "/api/v1/flags/payments-backoff", got)
	got.decode(t, &shown)
	if in := shown.InForce(); len(in) != 1 || in[0].Toggle != second.ID || shown.Toggles != 2 || *shown.Standing[0].ReplacedBy != (detector.Replacement{Toggle: second.ID, Variant: "tuned"}) {
		t.Errorf("the API: %s", got.body)
	}
	for _, at := range []string{"/api/v1/toggles/" + first.ID, "/api/v1/flags/payments-backoff/history"} {
		got := ask(t, "GET", s.URL+at, "")
		described(t, "GET", at, got)
		if strings.Count(got.body, `"replaced_by":{"toggle":"`+second.ID+`","variant":"tuned"}`) != 1 {
			t.Errorf("%s: %s", at, got.body)
		}
	}
	signedIn := signIn(t, s)
	if flag := reading(ask(t, "GET", s.URL+"/flags/payments-backoff", "", "Cookie", signedIn).body); !strings.Contains(flag, "to the byte: tuned for everyone. Then legacy for everyone is in force again.") {
		t.Errorf("the undo doesn't say what comes back: %s", flag)
	}
	if _, err := s.Board.Undo(t.Context(), "payments-backoff", "enough", "ana"); err != nil {
		t.Fatal(err)
	}
	page = ask(t, "GET", s.URL+"/toggles/"+first.ID, "").body
	lacks(t, "the one that is in force again", page, "Recovered: the indicators came back", "Undo it…")
}

// A proposal of the automation reads as one everywhere, and changes nothing until somebody
// who may approves it; a second click is no second act.
func TestAProposalReadsAsOne(t *testing.T) {
	path, tokens := people(t)
	s := story(t, func(o *web.Options) { o.Config.Access.TokensFile = path })
	g := proposed(t, s)
	const stands = "proposed, waits for approval by one person on call"
	at := "/toggles/" + g.ID
	for _, p := range []string{"/", "/flags", "/flags/payments-backoff", alertPath, at} {
		text := reading(ask(t, "GET", s.URL+p, "").body)
		if !strings.Contains(strings.ToLower(text), stands) {
			t.Errorf("%s lacks %q: %s", p, stands, text)
		}
		if strings.Contains(text, "In force") || strings.Contains(text, "Verified") {
			t.Errorf("%s reads as if it had happened: %s", p, text)
		}
	}
	for _, p := range []string{"/", alertPath} {
		lacks(t, p, ask(t, "GET", s.URL+p, "").body, `<a href="`+at+`">payments-backoff: new → legacy</a>: `+stands)
	}
	time.Sleep(1100 * time.Millisecond) // a review is of whole seconds
	review := reading(ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID+"/report", "").body)
	for _, want := range []string{"aftershock (automation) proposed to set", stands, "No flag was toggled"} {
		if !strings.Contains(review, want) {
			t.Errorf("the review lacks %q: %s", want, review)
		}
	}
	// The upgrade turns out to have improved something after it was proposed.
	tick, _ := gaining(time.Now())
	s.Tell(t, tick)
	if text := reading(ask(t, "GET", s.URL+at, "").body); !strings.Contains(text, "What may be lost errors of payments /pay improved") {
		t.Errorf("the proposal doesn't say what may be lost by now: %s", text)
	}
	cookies := map[access.Role]string{}
	for _, role := range []access.Role{access.Viewer, access.OnCall} {
		cookies[role] = strings.SplitN(post(t, s.URL+"/sign-in", url.Values{"token": {tokens[role]}}).Header.Get("Set-Cookie"), ";", 2)[0]
	}
	const button = "Approve and apply"
	if page := ask(t, "GET", s.URL+at, "").body; strings.Contains(page, button) || !strings.Contains(page, `id="token"`) {
		t.Error("nobody in particular gets the button, or no way to sign in")
	}
	if page := ask(t, "GET", s.URL+at, "", "Cookie", cookies[access.Viewer]).body; strings.Contains(page, button) || !strings.Contains(page, "Somebody on call decides on it") {
		t.Error("a viewer gets the button, or isn't told who decides")
	}
	if page := ask(t, "GET", s.URL+at, "", "Cookie", cookies[access.OnCall]).body; !strings.Contains(page, button) {
		t.Error("who is on call doesn't get the button")
	}
	if got := post(t, s.URL+at+"/approve", nil, "Cookie", cookies[access.Viewer]); got.StatusCode != 401 && got.StatusCode != 403 {
		t.Errorf("a viewer approved: %d", got.StatusCode)
	}
	if got := postAs(t, s.URL+at+"/approve", nil, "Cookie", cookies[access.OnCall]); got.StatusCode != 403 {
		t.Errorf("approved without the form's stamp: %d", got.StatusCode)
	}
	if v, err := s.Board.Show("payments-backoff"); err != nil || v.Serving != "new" {
		t.Fatalf("it serves %q, %v", v.Serving, err)
	}
	var wg sync.WaitGroup
	for range 3 { // a nervous finger
		wg.Go(func() {
			if got := post(t, s.URL+at+"/approve", url.Values{"reason": {"yes"}}, "Cookie", cookies[access.OnCall]); got.StatusCode != 303 || got.Header.Get("Location") != at {
				t.Errorf("approve: %d %s", got.StatusCode, reading(got.body))
			}
		})
	}
	wg.Wait()
	states, err := s.Journal.ToggleHistory(t.Context(), g.ID)
	if last := states[len(states)-1]; err != nil || last.State != detector.ToggleVerified || len(last.Approvals) != 1 || last.Approvals[0].Actor != "olga" {
		t.Errorf("got %+v, %v", last, err)
	}
	// It is marked when it was done, not when it was proposed, and with what was known by then.
	last := states[len(states)-1]
	var detail struct {
		Flips []struct{ At time.Time }
	}
	ask(t, "GET", s.URL+"/api/v1"+pageOf(webtest.Story(time.Now()).Verdicts[0]), "").decode(t, &detail)
	if !last.Applied.After(last.At) || len(detail.Flips) != 1 || !detail.Flips[0].At.Equal(last.Applied) {
		t.Errorf("proposed at %s and applied at %s, marked at %+v", last.At, last.Applied, detail.Flips)
	}
	if len(last.MayLose) != 1 || last.MayLose[0].Indicator.Service() != "payments" {
		t.Errorf("the audit of what may be lost: %+v", last.MayLose)
	}
	time.Sleep(1100 * time.Millisecond)
	after := reading(ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID+"/report", "").body)
	for _, want := range []string{"aftershock (automation) proposed to set payments-backoff from new to legacy", "olga let it be done: payments-backoff went from new to legacy"} {
		if !strings.Contains(after, want) {
			t.Errorf("the review of what was approved lacks %q", want)
		}
	}
	if v, _ := s.Board.Show("payments-backoff"); v.Serving != "legacy" || v.Toggles != 1 {
		t.Errorf("it serves %s with %d toggles", v.Serving, v.Toggles)
	}
	late := post(t, s.URL+at+"/reject", nil, "Cookie", cookies[access.OnCall])
	if late.StatusCode != 409 || !strings.Contains(late.body, "Nothing was decided: ") || !strings.Contains(late.body, "it is verified by now") {
		t.Errorf("rejected too late: %d %s", late.StatusCode, late.body)
	}
}

// Who planned a toggle may withdraw it, and isn't offered to approve it.
func TestOnesOwnPlan(t *testing.T) {
	path, tokens := people(t)
	s := story(t, func(o *web.Options) { o.Config.Access.TokensFile = path })
	s.Board.SetRules(nil, policy.Config{Rule: policy.Rule{Approval: "one"}})
	g, err := s.Board.Set(t.Context(), flags.Request{Flag: "payments-backoff", Variant: "legacy", Reason: "x", Actor: "olga"})
	if err != nil {
		t.Fatal(err)
	}
	cookie := strings.SplitN(post(t, s.URL+"/sign-in", url.Values{"token": {tokens[access.OnCall]}}).Header.Get("Set-Cookie"), ";", 2)[0]
	page := ask(t, "GET", s.URL+"/toggles/"+g.ID, "", "Cookie", cookie).body
	lacks(t, "the plan", page, "Withdraw it", "You planned it: somebody else has to approve it.")
	if strings.Contains(page, "Approve and apply") {
		t.Error("who planned it is offered to approve it")
	}
	for range 2 {
		if got := post(t, s.URL+"/toggles/"+g.ID+"/reject", url.Values{"reason": {"never mind"}}, "Cookie", cookie); got.StatusCode != 303 {
			t.Errorf("withdraw: %d %s", got.StatusCode, got.body)
		}
	}
	lacks(t, "withdrawn", ask(t, "GET", s.URL+"/toggles/"+g.ID, "").body, "Planned, rejected by olga")
}

// TestProposalInABrowser goes from the alert to the proposal, sees what may be lost, and
// approves it.
func TestProposalInABrowser(t *testing.T) {
	browser := servers.Chromium(t)
	for _, v := range []view{{390, "dark", true}, {1440, "light", false}} {
		t.Run(v.String(), func(t *testing.T) {
			s := webtest.Start(t)
			tick, _ := gaining(time.Now())
			s.Tell(t, tick)
			g := proposed(t, s)
			b := open(t, browser, s.URL)
			b.do(v.show(), chromedp.Navigate(s.URL+alertPath))
			b.press(`.answer a[href="/toggles/` + g.ID + `"]`)
			b.reads("h1", "Proposed: payments-backoff: new → legacy")
			b.reads(".answer h2", "Proposed, waits for approval by one person on call")
			b.reads("#gains + ul", "errors of payments /pay")
			b.do(chromedp.SendKeys(chromedp.CSS("#token"), webtest.Token))
			b.press(`form[action="/sign-in"] button`)
			b.do(chromedp.SendKeys(chromedp.CSS("#who-"+g.ID), "bob"))
			b.press(`form[action="/toggles/` + g.ID + `/approve"] button`)
			b.reads(".answer h2", "Verified: everyone gets legacy")
			b.reads("main", "Approved by bob")
			b.reads("#gains", "What the upgrade had improved")
			b.do(chromedp.Navigate(s.URL + "/flags"))
			b.look("the flags")
			b.reads("main", "In force: legacy for everyone")
			b.clean()
		})
	}
}
