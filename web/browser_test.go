package web_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"aftershock/internal/servers"
	"aftershock/web/webtest"
)

// view is how the console is looked at.
type view struct {
	width  int64
	scheme string // light or dark
	silent bool   // scripts don't run
}

func (v view) String() string {
	scripts := "with scripts"
	if v.silent {
		scripts = "without scripts"
	}
	return fmt.Sprintf("%d px, %s, %s", v.width, v.scheme, scripts)
}

// show has the tab show pages so.
func (v view) show() chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.EmulateViewport(v.width, 900), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.silent}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}},
		})
		return err
	}))
}

// tab is a tab of the browser that writes down what goes wrong in it.
type tab struct {
	t      *testing.T
	ctx    context.Context
	mu     sync.Mutex
	faults []string
}

// open opens a tab that has no session, and in which only what comes from the console's
// own address is in order.
func open(t *testing.T, browser context.Context, home string) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			b.faults = append(b.faults, fmt.Sprintf("console: %s", e.Type))
		case *runtime.EventExceptionThrown:
			b.faults = append(b.faults, "script: "+e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			b.faults = append(b.faults, "console: "+e.Entry.Text)
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, home+"/") {
				b.faults = append(b.faults, "request: "+e.Request.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.ClearBrowserCookies, cdp.Empty{})
		return err
	}))
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// press clicks on what leads to another page, and waits for that.
func (b *tab) press(what string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.Click(chromedp.CSS(what)))); err != nil {
		b.t.Fatalf("press %s: %v", what, err)
	}
	b.look(what)
}

// look holds the page against what every page is to be like: as wide as the window, in
// the right colours.
func (b *tab) look(after string) {
	b.t.Helper()
	wide, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`(() => { const e = document.documentElement;
		return e.scrollWidth > e.clientWidth ? location.pathname + " is " + e.scrollWidth + " px wide" : "" })()`))
	if err != nil {
		b.t.Fatal(err)
	}
	if wide != "" {
		b.t.Errorf("after %s: %s", after, wide)
	}
}

// reads says that a part of the page holds a text.
func (b *tab) reads(what, want string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(what)))
	if err != nil || !strings.Contains(got, want) {
		shown, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + ": " + document.body.innerText.slice(0, 300)`))
		b.t.Fatalf("%s reads %q, %v, want %q; the page is %s", what, got, err, want, shown)
	}
}

// clean says what went wrong in the tab.
func (b *tab) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		b.t.Error(f)
	}
}

const (
	alertPath = "/alerts/dten-4.2.0%2Fdten-payments"
	plan      = `form[action="/flags/payments-backoff"][method="post"]`
)

// TestOnCallInABrowser goes the way of somebody who is woken: from the alert's page to the
// upgrade, the plan of the safe variant, the sign-in, the toggle, its proof, and its undo.
func TestOnCallInABrowser(t *testing.T) {
	browser := servers.Chromium(t)
	for _, v := range []view{{390, "light", false}, {390, "dark", true}, {1440, "dark", false}, {1440, "light", true}} {
		t.Run(v.String(), func(t *testing.T) {
			s := story(t)
			b := open(t, browser, s.URL)
			b.do(v.show(), chromedp.Navigate(s.URL+alertPath))
			b.look("the alert")
			b.reads("h1", "dten-payments 4.1.3 → 4.2.0")
			b.press(`main a[href="/upgrades/dten-4.2.0"]`)
			b.reads(".answer h2", "Very likely the upgrade")
			b.press(`a.button[href*="variant=legacy"]`)
			b.reads(".answer h2", "Serve legacy to everyone?")
			b.do(chromedp.SendKeys(chromedp.CSS("#token"), webtest.Token))
			b.press(`form[action="/sign-in"] button`)
			b.do(chromedp.SendKeys(chromedp.CSS("#actor"), "ana"))
			b.press(plan + " button")
			b.reads(".answer h2", "Verified: everyone gets legacy")
			b.reads(".answer", "seen through OpenFeature")
			b.press(`.answer a.button`)
			b.do(chromedp.SendKeys(chromedp.CSS("#undo-reason"), "4.2.1 is out"))
			b.press(`form[action$="/undo"] button`)
			b.reads(".answer h2", "Verified: everyone gets new")
			b.press(`nav form button`)
			b.clean()
			history, err := s.Board.History(t.Context(), "payments-backoff")
			if err != nil || len(history) != 2 || history[1].Actor != "ana" || history[1].Reason == "" || history[0].Reason != "4.2.1 is out" {
				t.Errorf("the audit: %+v, %v", history, err)
			}
		})
	}
}

// hurdles runs axe-core on the page. A page without scripts renews itself as a whole, which
// only those who have scripts are spared.
const hurdles = `axe.run(document, {resultTypes: ["violations"], rules: {"meta-refresh": {enabled: document.scripts.length > 0}}}).then((r) =>
	[getComputedStyle(document.body).backgroundColor].concat(r.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
		.flatMap((v) => v.nodes.map((n) => v.impact + " " + v.id + ": " + n.html.slice(0, 200) + " " + n.failureSummary))))`

// axe says what on the page keeps people from using it, in each view. A page that renews
// itself meanwhile is looked at again.
func (b *tab) axe(source, at string) (found []string) {
	b.t.Helper()
	backgrounds := map[string]bool{}
	for _, v := range []view{{width: 390, scheme: "light"}, {width: 390, scheme: "dark"}, {width: 1440, scheme: "dark"}, {width: 1440, scheme: "light"}} {
		var said []string
		err := error(nil)
		for range 3 {
			b.do(v.show(), chromedp.Navigate(at))
			b.look(at)
			if _, err = chromedp.Run(b.ctx, chromedp.Evaluate[any](source+"\n;0")); err != nil {
				continue
			}
			if said, err = chromedp.Run(b.ctx, chromedp.Evaluate[[]string](hurdles, chromedp.EvalAwaitPromise)); err == nil {
				break
			}
		}
		if err != nil {
			b.t.Fatalf("%s: %v", at, err)
		}
		backgrounds[v.scheme+said[0]], backgrounds[said[0]] = true, true
		for _, f := range said[1:] {
			found = append(found, v.String()+": "+f)
		}
	}
	if len(backgrounds) != 4 { // two schemes, each with a colour of its own
		found = append(found, fmt.Sprintf("the schemes have the colours %v", backgrounds))
	}
	return found
}

// TestNothingBarsPeople looks at every page with axe-core, signed in and not.
func TestNothingBarsPeople(t *testing.T) {
	s, _ := toggled(t)
	found(t, s)
	source := servers.Axe(t)
	b := open(t, servers.Chromium(t), s.URL)
	made, err := s.Board.History(t.Context(), "payments-backoff")
	if err != nil {
		t.Fatal(err)
	}
	pages := []string{
		"/", "/upgrades/" + webtest.UpgradeID, "/upgrades/" + webtest.UpgradeID + "/report", alertPath, "/flags",
		"/flags/payments-backoff", "/flags/payments-backoff?variant=legacy&upgrade=dten-4.2.0&reason=x",
		"/flags/payments-backoff?variant=legacy&percent=no", "/toggles/" + url.PathEscape(made[0].ID), "/health", "/nowhere",
		"/flags/payments-backoff/tuning", packagePage,
		"/status/" + webtest.UpgradeID, "/reports", "/reports/this", pageOf(webtest.Story(time.Now()).Verdicts[0]),
	}
	for _, who := range []string{"nobody", "on call"} {
		if who == "on call" {
			b.do(chromedp.Navigate(s.URL+"/flags"), chromedp.SendKeys(chromedp.CSS("#token"), webtest.Token))
			b.press(`form[action="/sign-in"] button`)
		}
		for _, p := range pages {
			for _, f := range b.axe(source, s.URL+p) {
				t.Errorf("%s for %s: %s", p, who, f)
			}
		}
	}
}

// TestBarsAreFound: what TestNothingBarsPeople looks for would be found.
func TestBarsAreFound(t *testing.T) {
	b := open(t, servers.Chromium(t), "data:")
	const bad = `data:text/html,<html lang="en"><title>x</title><body style="background:white"><img src="data:,"><p style="color:rgb(250,250,250)">pale</p><input>`
	found := strings.Join(b.axe(servers.Axe(t), bad), "\n")
	for _, want := range []string{"critical image-alt", "serious color-contrast", "critical label", "the schemes have the colours"} {
		if !strings.Contains(found, want) {
			t.Errorf("no %q among %s", want, found)
		}
	}
}
