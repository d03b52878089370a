package web_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/web"
	"aftershock/web/access"
)

// lacks names what a page should hold and doesn't.
func lacks(t *testing.T, name, body string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %q:\n%s", name, want, body)
		}
	}
	wellFormed(t, name, body)
}

var concealed = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// TestLimitedToggleFromThePage plans with limits, confirms just what the plan's page
// holds, and undoes.
func TestLimitedToggleFromThePage(t *testing.T) {
	s := story(t)
	cookie := signIn(t, s)
	path := s.URL + "/flags/payments-backoff"
	lacks(t, "the form", ask(t, "GET", path, "", "Cookie", cookie).body, `<option value="legacy" selected>legacy (safe)`, `name="percent"`, `name="instances"`,
		`name="region"`, `name="expires"`, "Left empty, as the policy has it: It doesn&#39;t expire.", "Plan it</button>")
	plan := ask(t, "GET", path+"?variant=legacy&percent=25%25&instances=a,+b,&region=eu-1&expires=8h&on_expiry=undo&reason=p99+is+up&upgrade=", "", "Cookie", cookie)
	const whom = "25% of the callers in region eu-1 on instances a, b"
	lacks(t, "the plan", plan.body, "Serve legacy to "+whom+"?", whom+" will get <b>legacy</b> instead of <b>new</b>, at once; everybody else keeps what they get. Undo",
		"It expires 8 h after it is confirmed, about", "it is undone then", "Serve legacy to "+whom+"</button>", "fractional", "without one are in no percentage", `value="p99 is up"`)
	form := url.Values{"actor": {"ana"}}
	_, confirm, _ := strings.Cut(plan.body, `<form method="post" action="/flags/`)
	confirm, _, _ = strings.Cut(confirm, "</form>")
	for _, m := range concealed.FindAllStringSubmatch(confirm, -1) {
		form.Set(m[1], m[2])
	}
	done := post(t, path, form, "Cookie", cookie)
	if done.StatusCode != 303 {
		t.Fatalf("toggle: %d %s", done.StatusCode, done.body)
	}
	now := s.Board.List()[1].Standing
	all, err := s.Journal.Toggles(t.Context(), "payments-backoff", 1)
	if err != nil || len(all) != 1 || len(now) != 1 {
		t.Fatalf("%v, %v, %v", all, now, err)
	}
	want := detector.Scope{Percent: 25, Instances: []string{"a", "b"}, Region: "eu-1"}
	if got := all[0]; got.Scope.String() != want.String() || got.OnExpiry != "undo" || got.Expires.Sub(got.At) != 8*time.Hour || got.Reason != "p99 is up" {
		t.Errorf("the audit has %+v", got)
	}
	lacks(t, "the toggle's page", ask(t, "GET", s.URL+done.Header.Get("Location"), "").body, "Verified: "+whom+" get legacy", "in 8 h: it is undone then.", `href="/flags/payments-backoff#undo">Undo it…`)
	lacks(t, "the flags", ask(t, "GET", s.URL+"/flags", "").body, `href="/flags/payments-backoff#undo"`)
	lacks(t, "the flag", ask(t, "GET", path, "", "Cookie", cookie).body, `<h2 id="undo">`, "Undo legacy for "+whom+"</button>", "which expires", `<span class="why">for `+whom)
	again := ask(t, "GET", path+"?variant=legacy&percent=25&instances=a,b&region=eu-1", "")
	lacks(t, "the same plan again", again.body, whom+" get legacy already")
	lacks(t, "a plan for more", ask(t, "GET", path+"?variant=legacy&percent=50&region=eu-1&instances=a,b", "").body, "50% of the callers in region eu-1 on instances a, b will all get <b>legacy</b>, at once")
	lacks(t, "undo without a reason", post(t, path+"/undo", url.Values{"actor": {"bob"}}, "Cookie", cookie).body, "Nothing was undone: ", "reason is required", `value="bob"`)
	if got := post(t, path+"/undo", url.Values{"reason": {"over"}}, "Cookie", cookie); got.StatusCode != 303 || len(s.Board.List()[1].Standing) != 0 {
		t.Errorf("undo: %d %s", got.StatusCode, got.body)
	}
	if page := ask(t, "GET", s.URL+done.Header.Get("Location"), "").body; strings.Contains(page, "Undo it…") || strings.Contains(page, "It expires") {
		t.Error("what is undone is offered to be undone, or to expire")
	}
}

// TestSlipsOfTheForm tells what is wrong beside the field, and keeps what was typed.
func TestSlipsOfTheForm(t *testing.T) {
	s := story(t)
	cookie := signIn(t, s)
	path := s.URL + "/flags/payments-backoff"
	for _, tc := range []struct{ fields, field, want string }{
		{"percent=0&variant=legacy", "percent", "no percentage from 0.01 to 99.99"},
		{"percent=100&variant=legacy", "percent", "leave it empty for everyone"},
		{"percent=NaN&variant=legacy", "percent", "no percentage"},
		{"percent=1e999&variant=legacy", "percent", "no percentage"},
		{"instances=+,+&variant=legacy", "instances", "names no instance"},
		{"expires=8&variant=legacy", "expires", "no time like 30m, 8h or 3d"},
		{"expires=-8h&variant=legacy", "expires", "no time like"},
		{"expires=400d&variant=legacy", "expires", "to 366 days"},
		{"region=eu-1", "variant", "choose the variant"},
		{"on_expiry=restore&variant=legacy", "", "none of remind, undo"},
		{"region=" + strings.Repeat("x", 300) + "&variant=legacy", "", "at most 256 bytes"},
	} {
		got := ask(t, "GET", path+"?reason=typed+before&"+tc.fields, "")
		if got.StatusCode != 400 || strings.Count(got.body, `role="alert"`) != 1 || strings.Contains(got.body, "Serve legacy to") {
			t.Errorf("%s: %d, not told, or planned all the same: %s", tc.fields, got.StatusCode, got.body)
		}
		lacks(t, tc.fields, got.body, tc.want, `value="typed before"`)
		if tc.field != "" {
			lacks(t, tc.fields, got.body, `id="`+tc.field+`-error"`, tc.field+`-error"`, `aria-invalid="true" autofocus`)
		}
	}
	form := url.Values{"variant": {"legacy"}, "revision": {"1"}, "region": {"eu-1"}, "actor": {"ana"}, "incident": {"INC-7"}}
	got := post(t, path, form, "Cookie", cookie)
	lacks(t, "without a reason", got.body, "say why", "Serve legacy to callers in region eu-1</button>", `value="ana"`, `value="INC-7"`, `<input id="why" name="reason"`)
	form.Set("reason", "x")
	form.Set("revision", "9")
	stale := post(t, path, form, "Cookie", cookie)
	lacks(t, "of another revision", stale.body, "Nothing was changed: ", "look again", `value="eu-1"`, "Plan it</button>")
	if got.StatusCode != 400 || stale.StatusCode != 409 || strings.Contains(stale.body, "</button> <a href") || s.Board.Revision() != 1 {
		t.Errorf("%d, %d, revision %d", got.StatusCode, stale.StatusCode, s.Board.Revision())
	}
}

// TestFreezeFromThePage stops the automation as somebody on call, and lets it go on as
// an admin alone.
func TestFreezeFromThePage(t *testing.T) {
	file, tokens := people(t)
	s := story(t, func(o *web.Options) { o.Config.Access.TokensFile = file })
	session := func(role access.Role) string {
		c := post(t, s.URL+"/sign-in", url.Values{"token": {tokens[role]}}).Cookies()
		if len(c) != 1 {
			t.Fatalf("%s can't sign in", role)
		}
		return c[0].Name + "=" + c[0].Value
	}
	viewer, onCall, admin := session(access.Viewer), session(access.OnCall), session(access.Admin)
	freeze, unfreeze, form := s.URL+"/automation/freeze", s.URL+"/automation/unfreeze", url.Values{"reason": {"game day"}, "actor": {"somebody else"}}
	page := func(cookie string) string { return ask(t, "GET", s.URL+"/flags", "", "Cookie", cookie).body }
	lacks(t, "before", page(onCall), "The automation isn't frozen", `action="/automation/freeze"`)
	if strings.Contains(page(viewer), "/automation/freeze") {
		t.Error("somebody who may look alone is offered to freeze")
	}
	for name, got := range map[string]reply{
		"nobody": post(t, freeze, form), "a viewer": post(t, freeze, form, "Cookie", viewer),
		"another site": post(t, freeze, form, "Cookie", onCall, "Sec-Fetch-Site", "cross-site"),
	} {
		if got.StatusCode != 401 && got.StatusCode != 403 {
			t.Errorf("%s froze: %d", name, got.StatusCode)
		}
	}
	silent := post(t, freeze, url.Values{"reason": {" "}}, "Cookie", onCall)
	lacks(t, "without a reason", silent.body, "<details open>", `role="alert" id="freeze-error"`, "say why")
	if f, err := s.Board.Frozen(t.Context()); err != nil || f.Frozen || silent.StatusCode != 400 {
		t.Fatalf("frozen before it should: %+v, %v, %d", f, err, silent.StatusCode)
	}
	if got := post(t, freeze, form, "Cookie", onCall); got.StatusCode != 303 || got.Header.Get("Location") != "/flags" {
		t.Fatalf("freeze: %d %s", got.StatusCode, got.body)
	}
	lacks(t, "frozen", page(onCall), "The automation is frozen by olga", "game day", "An admin can let it go on", "aftershock flags unfreeze")
	lacks(t, "frozen, for an admin", page(admin), `action="/automation/unfreeze"`)
	if got := post(t, unfreeze, form, "Cookie", onCall); got.StatusCode != 403 || strings.Contains(page(onCall), "/automation/unfreeze") {
		t.Errorf("somebody on call unfroze: %d", got.StatusCode)
	}
	if got := post(t, unfreeze, form, "Cookie", admin); got.StatusCode != 303 || !strings.Contains(page(admin), "isn't frozen") {
		t.Errorf("unfreeze: %d %s", got.StatusCode, got.body)
	}
	all, err := s.Journal.Freezes(t.Context(), 10)
	if err != nil || len(all) != 2 || all[0].Actor != "ada" || all[1].Actor != "olga" {
		t.Errorf("the audit has %+v, %v", all, err)
	}
}

// Two people see one toggle in force and undo it: the second is told, and takes back
// nothing else.
func TestUndoOfWhatWasSeen(t *testing.T) {
	s := story(t)
	path, cookie := s.URL+"/flags/payments-backoff", signIn(t, s)
	set := func(variant string) (made detector.Toggle) {
		ask(t, "PUT", s.URL+"/api/v1/flags/payments-backoff", `{"variant":"`+variant+`","reason":"x","actor":"ana"}`, "Authorization", bearer).decode(t, &made)
		return made
	}
	first, second := set("legacy"), set("tuned")
	lacks(t, "the form", ask(t, "GET", path, "", "Cookie", cookie).body, `<input type="hidden" name="toggle" value="`+second.ID+`">`)
	undo := func(id string) reply {
		return post(t, path+"/undo", url.Values{"reason": {"over"}, "actor": {"bob"}, "toggle": {id}}, "Cookie", cookie)
	}
	if got := undo(second.ID); got.StatusCode != 303 {
		t.Errorf("undo: %d %s", got.StatusCode, got.body)
	}
	again := undo(second.ID)
	lacks(t, "the second undo", again.body, "Nothing was undone: ", "it is undone by now: undone by bob", `name="toggle" value="`+first.ID+`"`)
	if got := s.Board.List()[1].Standing; again.StatusCode != 409 || len(got) != 1 || got[0].Toggle != first.ID {
		t.Errorf("after two undoes of one toggle: %d, in force %+v", again.StatusCode, got)
	}
	got := ask(t, "POST", s.URL+"/api/v1/flags/payments-backoff/undo", `{"reason":"x","toggle":"`+second.ID+`"}`, "Authorization", bearer)
	if got.StatusCode != 409 || !strings.Contains(got.body, "it is undone by now") {
		t.Errorf("by the API: %d %s", got.StatusCode, got.body)
	}
	undo(first.ID)
	lacks(t, "an undo with nothing in force", undo(first.ID).body, "Nothing was undone: ")
}
