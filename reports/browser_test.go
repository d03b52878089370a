package reports_test

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"aftershock/internal/servers"
	"aftershock/reports"
	"aftershock/reports/paper"
)

// chromium is the path of the browser that reviews are looked at with.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath(reports.Browser)
	if err != nil {
		t.Fatalf("find the browser (make tools installs it): %v", err)
	}
	return path
}

// view is how a page is looked at.
type view struct {
	name   string
	width  int64
	media  string // screen or print
	scheme string // light or dark
}

// views are a phone, a screen, and A4 within the margins that Chromium prints with.
var views = []view{
	{"phone", 390, "screen", "light"},
	{"phone, dark", 390, "screen", "dark"},
	{"screen", 1440, "screen", "light"},
	{"screen, dark", 1440, "screen", "dark"},
	{"paper", 718, "print", "light"},
}

// as shows the page in a view.
func as(v view) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.EmulateViewport(v.width, 900), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Media: v.media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}},
		})
		return err
	}))
}

// look.js lists what is wrong with how the page looks.
//
//go:embed testdata/look.js
var look string

// faults opens the page of a file in a tab of its own and lists what is wrong with it:
// what it says on the console, whom it asks for anything, and what can't be seen or read.
func faults(t *testing.T, browser context.Context, page string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	tab, cancel := chromedp.NewContext(browser)
	defer cancel()
	var mu sync.Mutex
	var found []string
	// The events of a command come before its answer, so that all are there at the end.
	err := chromedp.Listen(tab, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			found = append(found, fmt.Sprintf("console: %s", e.Type))
		case *runtime.EventExceptionThrown:
			found = append(found, "script: "+e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			found = append(found, "console: "+e.Entry.Text)
		case *network.EventRequestWillBeSent:
			if e.Request.URL != "file://"+file {
				found = append(found, "request: "+e.Request.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(tab, chromedp.Navigate("file://"+file)); err != nil {
		t.Fatal(err)
	}
	backgrounds := map[string]string{}
	var looks []string
	for _, v := range views {
		if err := chromedp.Do(tab, as(v)); err != nil {
			t.Fatal(err)
		}
		seen, err := chromedp.Run(tab, chromedp.Evaluate[[]string](look))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range seen[1:] {
			looks = append(looks, v.name+": "+s)
		}
		if v.media == "screen" {
			backgrounds[v.scheme] = seen[0]
		}
	}
	if backgrounds["light"] == backgrounds["dark"] {
		looks = append(looks, "dark: as light as the light one")
	}
	mu.Lock()
	defer mu.Unlock()
	return append(looks, found...)
}

// TestInBrowser looks at reviews in a real browser: on a phone, on a screen, by day, by
// night and on paper.
func TestInBrowser(t *testing.T) {
	ctx := servers.Chromium(t)
	for _, tt := range []struct {
		name string
		form func(io.Writer) error
	}{
		{"week", week(t, spring(), "2026-W10", monday).HTML},
		{"week of many", week(t, crowd(), "2026-W10", monday).HTML},
		{"quiet week", week(t, spring(), "2026-W20", instant("2026-05-18T08:00:00Z")).HTML},
		{"hostile week", week(t, hostileWeek(), "2026-W10", monday).HTML},
		{"upgrade", review(t, upgraded(), now).HTML},
		{"harmless upgrade", review(t, harmless(), now).HTML},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, f := range faults(t, ctx, rendered(t, tt.form)) {
				t.Error(f)
			}
		})
	}
}

// TestBrowserFindsFaults: what TestInBrowser looks for would be found.
func TestBrowserFindsFaults(t *testing.T) {
	const bad = `<!doctype html><title>x</title><body style="margin:0">
<script>console.warn("careful"); nothing.at.all()</script><img src="http://127.0.0.1:9/x.png" alt="">
<div style="width:2000px">wide</div><svg class="pic" width="0" height="0"></svg>
<svg class="pic" width="100" height="50"><text x="5" y="20">over</text><text x="8" y="22">lap</text><text x="-30" y="45">before the edge</text></svg>`
	got := faults(t, servers.Chromium(t), bad)
	for _, want := range []string{
		"console: warning", "script: ", "request: http://127.0.0.1:9/x.png", "console: Failed to load", "phone: it is 2000 px wide",
		"paper: it is 2000 px wide", "screen: a picture isn't to be seen", "screen: “over” and “lap” overlap", "dark: as light",
		"phone: “before the edge” is cut",
	} {
		if !slices.ContainsFunc(got, func(f string) bool { return strings.HasPrefix(f, want) }) {
			t.Errorf("no %q among %q", want, got)
		}
	}
}

// TestOnPaper prints both kinds of review.
func TestOnPaper(t *testing.T) {
	path := chromium(t)
	for name, print := range map[string]func() ([]byte, error){
		"week": func() ([]byte, error) {
			return week(t, spring(), "2026-W10", monday).Form(t.Context(), reports.FormPDF, path)
		},
		"upgrade": func() ([]byte, error) {
			return paper.Print(t.Context(), path, []byte(rendered(t, review(t, upgraded(), now).HTML)), now)
		},
	} {
		if pdf, err := print(); err != nil || !strings.HasPrefix(string(pdf), "%PDF-") {
			t.Errorf("%s: got %d bytes, %v", name, len(pdf), err)
		}
	}
}
