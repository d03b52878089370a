package web_test

import (
	"cmp"
	"net/url"
	"strings"
	"testing"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/flags/policy"
	"aftershock/web"
	"aftershock/web/access"
	"aftershock/web/webtest"
)

// fourEyes is a server whose policy asks for one approval of the one flag.
func fourEyes(t *testing.T) *webtest.Server {
	s := webtest.StartFlags(t, policy.Config{Flags: map[string]policy.Rule{"payments-backoff": {Approval: "one"}}})
	return s
}

func TestPolicyAPI(t *testing.T) {
	s := fourEyes(t)
	million := `{"variant":"on","reason":"x","instances":[` + strings.Repeat(`"",`, 300_000) + `""]}`
	banner := "/api/v1/flags/checkout-banner"
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"percent 0", "PUT", banner, `{"variant":"on","reason":"x","percent":0}`, 400, "reaches nobody"},
		{"percent 100", "PUT", banner, `{"variant":"on","reason":"x","percent":100}`, 400, "no percentage"},
		{"percent 1e308", "PUT", banner, `{"variant":"on","reason":"x","percent":1e308}`, 400, "no percentage"},
		{"percent beyond numbers", "PUT", banner, `{"variant":"on","reason":"x","percent":1e999}`, 400, "read the body"},
		{"percent NaN", "PUT", banner, `{"variant":"on","reason":"x","percent":NaN}`, 400, "read the body"},
		{"percent as text", "PUT", banner, `{"variant":"on","reason":"x","percent":"25"}`, 400, "read the body"},
		{"no instances", "PUT", banner, `{"variant":"on","reason":"x","instances":[]}`, 400, "names none"},
		{"very many instances", "PUT", banner, million, 400, "200 are allowed"},
		{"no region", "PUT", banner, `{"variant":"on","reason":"x","region":""}`, 400, "is empty"},
		{"negative expiry", "PUT", banner, `{"variant":"on","reason":"x","expires_in":-1}`, 400, "no number of seconds"},
		{"endless expiry", "PUT", banner, `{"variant":"on","reason":"x","expires_in":1e300}`, 400, "no number of seconds"},
		{"unknown at expiry", "PUT", banner, `{"variant":"on","reason":"x","on_expiry":"restore"}`, 400, "remind, undo"},
		{"huge emergency", "PUT", banner, `{"variant":"on","reason":"x","emergency":"` + strings.Repeat("x", 100_000) + `"}`, 400, "at most 2000 bytes"},
		{"the automation's name", "PUT", banner, `{"variant":"on","reason":"x","actor":"aftershock (automation)"}`, 400, "no person's"},
		{"dry run", "PUT", banner, `{"variant":"on","reason":"x","percent":25,"dry_run":true}`, 200, `25% of the callers will get`},
		{"set for a part", "PUT", banner, `{"variant":"on","reason":"x","actor":"ana","percent":25,"region":"eu-1","expires_in":28800}`, 200, `"scope":{"percent":25,"region":"eu-1"}`},
		{"set it again", "PUT", banner, `{"variant":"on","reason":"x","percent":25,"region":"eu-1"}`, 400, "already"},
		{"show", "GET", banner, "", 200, `"scope":"25% of the callers in region eu-1"`},
		{"extend, for how long", "POST", banner + "/extend", `{"reason":"x"}`, 400, "expires_in: missing"},
		{"extend", "POST", banner + "/extend", `{"reason":"x","actor":"bob","expires_in":60}`, 200, `"by":"bob"`},
		{"extend, of no flag", "POST", "/api/v1/flags/nope/extend", `{"reason":"x","expires_in":60}`, 404, "nope"},
		{"acknowledge", "POST", banner + "/acknowledge", `{"reason":"x","actor":"bob"}`, 200, `"acknowledged":true`},
		{"plan", "PUT", "/api/v1/flags/payments-backoff", `{"variant":"legacy","reason":"x","actor":"ana"}`, 202, `"state":"waiting"`},
		{"waiting", "GET", "/api/v1/toggles/waiting", "", 200, `"needs_approvals":1`},
		{"approve, unknown", "POST", "/api/v1/toggles/nope/approve", `{}`, 404, "nope"},
		{"approve, own", "POST", "/api/v1/toggles/ID/approve", `{"actor":"ana"}`, 400, "somebody else"},
		{"approve", "POST", "/api/v1/toggles/ID/approve", `{"actor":"bob"}`, 200, `"state":"verified"`},
		{"approve, again", "POST", "/api/v1/toggles/ID/approve", `{"actor":"cyd"}`, 409, "it is verified"},
		{"reject, too late", "POST", "/api/v1/toggles/ID/reject", `{"actor":"cyd"}`, 409, "it is verified"},
		{"freeze", "POST", "/api/v1/automation/freeze", `{"reason":"game day","actor":"ana"}`, 200, `"frozen":true`},
		{"automation", "GET", "/api/v1/automation", "", 200, `"reason":"game day"`},
		{"metrics", "GET", "/metrics", "", 200, "aftershock_automation_frozen 1"},
		{"unfreeze", "POST", "/api/v1/automation/unfreeze", `{"actor":"ana"}`, 200, `"frozen":false`},
		{"audit", "GET", "/api/v1/audit?flag=payments-backoff", "", 200, `"approvals":[{"actor":"bob"`},
		{"audit, page", "GET", "/api/v1/audit?limit=1", "", 200, `"next":"1"`},
		{"audit, wrong time", "GET", "/api/v1/audit?since=yesterday", "", 400, "since"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if strings.Contains(tc.path, "ID") {
				all, err := s.Journal.Toggles(t.Context(), "payments-backoff", 1)
				if err != nil || len(all) != 1 {
					t.Fatalf("%v, %v", all, err)
				}
				tc.path = strings.Replace(tc.path, "ID", all[0].ID, 1)
			}
			if tc.method != "GET" {
				if got := ask(t, tc.method, s.URL+tc.path, tc.body); got.StatusCode != 401 {
					t.Fatalf("without the token: %d %s", got.StatusCode, got.body)
				}
			}
			got := ask(t, tc.method, s.URL+tc.path, tc.body, "Authorization", bearer)
			described(t, tc.method, tc.path, got)
			if got.StatusCode != tc.status || !strings.Contains(got.body, tc.want) || len(got.body) > 100_000 {
				t.Fatalf("got %d %.2000s, want %d with %q", got.StatusCode, got.body, tc.status, tc.want)
			}
		})
	}
}

func TestPolicyPages(t *testing.T) {
	s := fourEyes(t)
	cookie := signIn(t, s)
	if _, err := s.Board.Freeze(t.Context(), "game day", "ana"); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"variant": {"legacy"}, "reason": {"p99 is up"}, "revision": {"1"}, "actor": {"ana"}}
	planned := post(t, s.URL+"/flags/payments-backoff", form, "Cookie", cookie)
	if planned.StatusCode != 303 {
		t.Fatalf("plan: %d %s", planned.StatusCode, planned.body)
	}
	at := planned.Header.Get("Location")
	for path, wants := range map[string][]string{
		at:                        {"Planned: payments-backoff: new → legacy", "Planned, waits for approval by one person on call other than ana", "Nothing is changed by it yet", "Approve and apply", `content="5"`},
		"/flags":                  {"The automation is frozen by ana", "game day", `payments-backoff → legacy for everyone</a>: planned, waits for approval by one person on call other than ana`, "By ana"},
		"/flags/payments-backoff": {"Approval: one", "automation: propose"},
	} {
		page := ask(t, "GET", s.URL+path, "", "Cookie", cookie)
		for _, want := range wants {
			if !strings.Contains(page.body, want) {
				t.Errorf("%s lacks %q: %s", path, want, page.body)
			}
		}
		wellFormed(t, path, page.body)
	}
	if page := ask(t, "GET", s.URL+at, ""); !strings.Contains(page.body, "aftershock flags approve ") || strings.Contains(page.body, "Approve and apply") {
		t.Errorf("signed out: %s", page.body)
	}
	if got := post(t, s.URL+at+"/approve", url.Values{"actor": {"bob"}}); got.StatusCode != 401 {
		t.Errorf("approved without a session: %d", got.StatusCode)
	}
	if got := post(t, s.URL+at+"/approve", url.Values{"actor": {"ana"}}, "Cookie", cookie); got.StatusCode != 400 {
		t.Errorf("approved by the planner: %d", got.StatusCode)
	}
	if got := post(t, s.URL+at+"/approve", url.Values{"actor": {"bob"}, "reason": {"yes"}}, "Cookie", cookie); got.StatusCode != 303 {
		t.Errorf("approve: %d %s", got.StatusCode, got.body)
	}
	page := ask(t, "GET", s.URL+at, "")
	for _, want := range []string{"Verified: everyone gets legacy", "Approved by bob"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the toggle's page lacks %q", want)
		}
	}
	form.Set("variant", "tuned")
	form.Set("revision", "2")
	again := post(t, s.URL+"/flags/payments-backoff", form, "Cookie", cookie)
	if got := post(t, s.URL+again.Header.Get("Location")+"/reject", url.Values{"actor": {"bob"}}, "Cookie", cookie); got.StatusCode != 303 {
		t.Errorf("reject: %d %s", got.StatusCode, got.body)
	}
	all, err := s.Journal.Toggles(t.Context(), "payments-backoff", 1)
	if err != nil || all[0].State != detector.ToggleRejected || all[0].By != "bob" {
		t.Errorf("rejected: %+v, %v", all, err)
	}
}

// Who has a name is asked for none to decide on a plan or to mark an alert, and decides
// under it.
func TestDecidesUnderTheirName(t *testing.T) {
	path, tokens := people(t)
	named, nameless := story(t, func(o *web.Options) { o.Config.Access.TokensFile = path }), story(t)
	for name, s := range map[string]*webtest.Server{"olga": named, "": nameless} {
		s.Board.SetRules(nil, policy.Config{Rule: policy.Rule{Approval: "one"}})
		token := webtest.Token
		if name != "" {
			token = tokens[access.OnCall]
		}
		cookie := strings.SplitN(post(t, s.URL+"/sign-in", url.Values{"token": {token}}).Header.Get("Set-Cookie"), ";", 2)[0]
		plan, err := s.Board.Set(t.Context(), flags.Request{Flag: "payments-backoff", Variant: "legacy", Reason: "x", Actor: "ana"})
		if err != nil || plan.State != detector.ToggleWaiting {
			t.Fatalf("got %+v, %v", plan, err)
		}
		alert := ask(t, "GET", s.URL+"/alerts/"+url.PathEscape(webtest.UpgradeID+"/dten-payments"), "", "Cookie", cookie).body
		lacks(t, "the alert", alert, "It was a false alarm")
		if asks := strings.Contains(alert, "Your name"); asks != (name == "") {
			t.Errorf("the alert's page for %q asks for a name: %t", name, asks)
		}
		for _, at := range []string{"/toggles/" + plan.ID, "/flags"} {
			page := ask(t, "GET", s.URL+at, "", "Cookie", cookie).body
			lacks(t, at, page, `action="/toggles/`+plan.ID+`/approve"`)
			if asks := strings.Contains(page, `<label for="who-`+plan.ID+`">Your name</label>`); asks != (name == "") {
				t.Errorf("%s for %q asks for a name: %t", at, name, asks)
			}
		}
		if got := post(t, s.URL+"/toggles/"+plan.ID+"/approve", url.Values{"reason": {"yes"}}, "Cookie", cookie); got.StatusCode != 303 {
			t.Errorf("%q approves: %d %s", name, got.StatusCode, got.body)
		}
		all, err := s.Journal.Toggles(t.Context(), "payments-backoff", 1)
		if want := cmp.Or(name, "someone at the console"); err != nil || len(all[0].Approvals) != 1 || all[0].Approvals[0].Actor != want {
			t.Errorf("approved: %+v, %v, want by %s", all, err, want)
		}
	}
}
