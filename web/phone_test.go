package web_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/channel"
	"aftershock/web/webtest"
)

// TestPagesOnAPhone: pages fit, and can be read by day and by night, with all that can be
// opened open.
func TestPagesOnAPhone(t *testing.T) {
	look, err := os.ReadFile("../reports/testdata/look.js") // what reviews are looked at with
	if err != nil {
		t.Fatal(err)
	}
	eyes := strings.ReplaceAll(string(look), "svg.pic", "svg.chart")
	s := webtest.Start(t, func(o *web.Options) {
		o.Receivers = func() []web.Receiver {
			return []web.Receiver{{Name: "oncall", At: time.Now()}, {Name: "mail", At: time.Now(), Error: "deliver to mail: 535 no such user", Since: time.Now()}}
		}
	})
	tick := webtest.Story(time.Now())
	long := &tick.Upgrades[1].Binaries[0]
	long.Name, long.From = strings.Repeat("dten-checkout-", 8), strings.Repeat("4.1.3-rc", 5)
	// Buckets of a native histogram are many, and their bounds have many digits.
	narrow := &detector.Distribution{}
	for bound := 0.0341; bound < 7; bound *= 1.189 {
		narrow.Bounds = append(narrow.Bounds, bound)
	}
	narrow.Before = make([]float64, len(narrow.Bounds)+1)
	for n := range narrow.Before {
		narrow.Before[n] = 1 / float64(len(narrow.Before))
	}
	narrow.After = narrow.Before
	tick.Verdicts[2].Distribution = narrow
	s.Tell(t, tick)
	hour := time.Now().UTC().Truncate(time.Hour)
	s.Tell(t, journal.Tick{Coverage: []detector.Coverage{{Hour: hour.Add(-time.Hour), Step: 60, Steps: 30}, {Hour: hour.Add(-2 * time.Hour), Step: 60, Steps: 60, Silent: 9}}})
	found(t, s)
	page := opened(t, s.URL+"/")
	if err := s.Channel.Advance(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Channel.Send(t.Context(), webtest.UpgradeID, channel.Edit{Post: "shift-1", Text: strings.Repeat("Paying takes longer than usual. ", 20), Actor: "ana"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	var made detector.Toggle
	ask(t, "PUT", s.URL+"/api/v1/flags/payments-backoff", `{"variant":"legacy","reason":"retries","actor":"ana","upgrade":"`+webtest.UpgradeID+`"}`, "Authorization", bearer).decode(t, &made)
	for _, path := range []string{
		"/", "/upgrades/" + webtest.UpgradeID, pageOf(tick.Verdicts[0]), pageOf(tick.Verdicts[2]), "/health", "/reports", statusPage, alertPath,
		"/toggles/" + made.ID, "/flags/payments-backoff/tuning", "/flags/payments-backoff", packagePage,
	} {
		for _, scheme := range []string{"light", "dark"} {
			night := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
				_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Media: "screen", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
				})
				return err
			})
			if err := chromedp.Do(page, chromedp.Steps(chromedp.EmulateViewport(390, 900), night, chromedp.Navigate(s.URL+path))); err != nil {
				t.Fatal(err)
			}
			width, err := chromedp.Run(page, chromedp.Evaluate[int](`for (const d of document.querySelectorAll("details")) d.open = true; document.documentElement.scrollWidth`))
			if err != nil || width > 390 {
				t.Errorf("%s, %s: %d pixels wide (%v)", path, scheme, width, err)
			}
			seen, err := chromedp.Run(page, chromedp.Evaluate[[]string](eyes))
			if err != nil || len(seen) != 1 {
				t.Errorf("%s, %s: %q (%v)", path, scheme, seen, err)
			}
		}
	}
}
