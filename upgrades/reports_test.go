package upgrades

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

var nine = time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)

// told is a report: an ID, its source, its window in minutes after nine (end < 0
// for none), and its binaries with their new versions in turn.
func told(id, source string, start, end int, binaries ...string) detector.Upgrade {
	u := detector.Upgrade{ID: id, Source: source, StartedAt: nine.Add(time.Duration(start) * time.Minute)}
	if end >= 0 {
		u.FinishedAt = nine.Add(time.Duration(end) * time.Minute)
	}
	for i := 0; i < len(binaries); i += 2 {
		u.Binaries = append(u.Binaries, detector.Binary{Name: binaries[i], To: binaries[i+1]})
	}
	return u
}

// upgradesOf are the upgrades that the ledger knows, by the IDs they go by.
func upgradesOf(l *Ledger) map[string]detector.Upgrade {
	out := map[string]detector.Upgrade{}
	for _, id := range l.book.As {
		out[id] = l.whole(id)
	}
	return out
}

func TestReportsOfOneChangeAreOneUpgrade(t *testing.T) {
	record := told("mine", "record", 2, -1, "dten-payments", "4.2.0")
	record.Package = "dten.zip"
	reports := []detector.Upgrade{
		told("argocd-payments-1", "argocd/production", 0, -1, "dten-payments", "4.2.0"),
		told("argocd-payments-1", "argocd/production", 0, 6, "dten-payments", "4.2.0"),
		told("cdevents-payments-1", "cdevents/production", 6, 6, "payments", "v4.2.0"),
		told("github-shop-1", "github/production", 1, 7, "payments", ""),
	}
	// The order in which they come mustn't matter, nor whether one comes again.
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l := ledger(t)
		switchOver(l, nine)
		deliveries := append(reports, reports[rng.IntN(len(reports))], reports[rng.IntN(len(reports))])
		deliveries = append([]detector.Upgrade{}, deliveries...)
		rng.Shuffle(len(deliveries), func(i, j int) { deliveries[i], deliveries[j] = deliveries[j], deliveries[i] })
		at := rng.IntN(len(deliveries))
		for i, u := range deliveries {
			if i == at {
				l.Record(record)
			}
			if _, known := l.Report(u, false); !known {
				t.Fatal("a report isn't known")
			}
		}
		all := upgradesOf(l)
		if len(all) != 1 {
			t.Fatalf("order %d: got %d upgrades, want one: %+v", seed, len(all), all)
		}
		for _, u := range all {
			if len(u.Binaries) != 1 || u.Binaries[0].Name != "dten-payments" || u.Binaries[0].From != "4.1.3" || u.Package != "dten.zip" ||
				u.Binaries[0].Selector["service"] != "payments" || len(u.Binaries[0].Instances) != 1 {
				t.Errorf("order %d: got %+v, want dten-payments from 4.1.3 in dten.zip with its series and its instance", seed, u)
			}
			for _, source := range []string{"record", "argocd/production", "cdevents/production", "github/production", "build-info"} {
				if !strings.Contains(u.Source, source) {
					t.Errorf("order %d: source %q lacks %s", seed, u.Source, source)
				}
			}
			if got := u.FinishedAt.Sub(nine); got < 6*time.Minute || got > 8*time.Minute || u.StartedAt.After(nine) {
				t.Errorf("order %d: got the window %s to %s", seed, u.StartedAt, u.FinishedAt)
			}
		}
	}
}

func TestOtherChangesStayApart(t *testing.T) {
	first := told("argocd-checkout-1", "argocd/production", 0, 5, "dten-checkout", "4.2.0")
	for _, tt := range []struct {
		name  string
		other detector.Upgrade
	}{
		{"another binary at the same time", told("argocd-cart-1", "argocd/production", 0, 5, "dten-cart", "4.2.0")},
		{"another version", told("argocd-checkout-2", "argocd/production", 9, 12, "dten-checkout", "4.2.1")},
		{"another environment", told("github-checkout-1", "github/staging", 3, 4, "dten-checkout", "4.2.0")},
		{"much later", told("cdevents-checkout-1", "cdevents", 300, 300, "dten-checkout", "4.2.0")},
		{"a roll-back", told("cdevents-checkout-2", "cdevents, rollback", 10, 10, "dten-checkout", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := ledger(t)
			l.Report(first, false)
			l.Report(tt.other, false)
			if all := upgradesOf(l); len(all) != 2 {
				t.Errorf("got %+v, want two upgrades", all)
			}
		})
	}
	l := ledger(t)
	l.Record(told("a", "record", 0, 5, "dten-checkout", "4.2.0"))
	l.Record(told("b", "record", 1, 5, "dten-checkout", "4.2.0"))
	if all := upgradesOf(l); len(all) != 2 {
		t.Errorf("two records with IDs of their own: got %+v, want two upgrades", all)
	}
}

// A tool that goes back to a revision and forth again uses the ID again.
func TestARevisionThatComesAgain(t *testing.T) {
	l := ledger(t)
	for _, tt := range []struct {
		u      detector.Upgrade
		update bool
		want   string
	}{
		{told("flux-apps-1", "flux", 0, -1, "checkout", ""), false, "flux-apps-1"},
		{told("flux-apps-1", "flux", 5, 5, "apps", ""), true, "flux-apps-1"},
		{told("flux-apps-1", "flux", 200, -1, "checkout", ""), false, "flux-apps-1-2"},
		{told("flux-apps-1", "flux", 204, 204, "apps", ""), true, "flux-apps-1-2"},
		{told("flux-apps-1", "flux", 0, -1, "checkout", ""), false, "flux-apps-1"},
	} {
		if got, known := l.Report(tt.u, tt.update); !known || got.ID != tt.want || len(got.Binaries) != 1 || got.Binaries[0].Name != "checkout" {
			t.Errorf("got %+v, %t, want %s of checkout", got, known, tt.want)
		}
	}
	all := upgradesOf(l)
	if got := all["flux-apps-1"].FinishedAt.Sub(nine); got != 5*time.Minute || len(all) != 2 {
		t.Errorf("the first ended after %s, want 5m; all: %+v", got, all)
	}
	if _, known := l.Report(told("flux-other-1", "flux", 5, 5, "other", ""), true); known || len(upgradesOf(l)) != 2 {
		t.Error("the end of what never began made an upgrade")
	}
	// Without the ID, what it speaks of is found by its binary and time.
	if got, known := l.Report(told("cdevents-checkout-9", "cdevents", 206, 206, "checkout", ""), true); !known || got.ID != "flux-apps-1-2" {
		t.Errorf("got %s, %t, want the upgrade of checkout that it speaks of", got.ID, known)
	}
}

func TestAReportAfterARestartAndAClose(t *testing.T) {
	l := ledger(t)
	u := told("argocd-checkout-1", "argocd", 0, -1, "dten-checkout", "4.2.0")
	l.Report(u, false)
	l.Close(u.ID, nine.Add(time.Hour))
	state, err := l.Save()
	if err != nil {
		t.Fatal(err)
	}
	again := ledger(t)
	if err := again.Restore(state); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(upgradesOf(l), upgradesOf(again)); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
	got, _ := again.Report(u, false)
	if got.ID != u.ID || got.ClosedAt.IsZero() {
		t.Errorf("got %+v, want it closed as before", got)
	}
}

// What a tool told before the telemetry knew of it is named and watched once it
// does, by its builds, or by its series where there are no builds.
func TestAReportIsNamedOnceTheTelemetryKnowsIt(t *testing.T) {
	series := func(at time.Time) detector.Frame {
		return detector.Frame{Time: at, Step: time.Minute, Points: []detector.Point{{
			Indicator: &detector.Indicator{Kind: detector.Latency, Metric: "seconds", Labels: map[string]string{"service_name": "payments"}}, Instance: "payments-0",
		}}}
	}
	for _, tt := range []struct {
		name, as, label string
		frame           detector.Frame
	}{
		{"builds", "dten-payments", "service", frameOf(nine.Add(time.Minute), "4.2.0")},
		{"series alone", "payments", "service_name", series(nine.Add(time.Minute))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := ledger(t)
			got, _ := l.Report(told("argocd-payments-1", "argocd", 0, 1, "payments", "4.2.0", "other", "1.0"), false)
			if Watchable(got) {
				t.Errorf("%+v is watched, and nothing is known of it", got)
			}
			out := l.Observe(tt.frame)
			if len(out) != 1 || out[0].ID != got.ID || out[0].Binaries[0].Name != tt.as || out[0].Binaries[0].Selector[tt.label] != "payments" || !Watchable(out[0]) {
				t.Fatalf("got %+v, want %s with %s=payments", out, tt.as, tt.label)
			}
			if len(out[0].Binaries[1].Selector) > 0 {
				t.Errorf("got %+v for what nothing is known of", out[0].Binaries[1])
			}
			next := tt.frame
			next.Time = next.Time.Add(time.Minute)
			if again := l.Observe(next); len(again) != 0 {
				t.Errorf("told again: %+v", again)
			}
		})
	}
	if l := ledger(t); !Watchable(l.Record(told("mine", "jenkins", 0, 1, "x", ""))) {
		t.Error("a record is not watched")
	}
}

// Names are looked up among as many services as are remembered.
func TestNamesOfManyServices(t *testing.T) {
	l := ledger(t)
	f := detector.Frame{Time: nine, Step: time.Minute}
	for i := range maxServices {
		name := fmt.Sprintf("s%d", i)
		f.Builds = append(f.Builds, detector.Build{Binary: "bin-" + name, Labels: map[string]string{"service": name}, Instance: name, Version: "1"})
	}
	f.Builds = append(f.Builds[:maxServices-1], detector.Build{Binary: "bin-s7", Labels: map[string]string{"service": "s7", "region": "eu"}, Instance: "other", Version: "1"})
	l.Observe(f)
	began := time.Now()
	for i := range 20 {
		u, _ := l.Report(told(fmt.Sprintf("argocd-%d", i), "argocd", 0, 1, fmt.Sprintf("s%d", i), "2"), false)
		b := u.Binaries[0]
		switch want := fmt.Sprintf("bin-s%d", i); {
		case i == 7: // which of its two services isn't said
			if b.Name != "s7" || len(b.Selector) > 0 {
				t.Errorf("got %+v, want s7 without a selector", b)
			}
		case b.Name != want || len(b.Selector) != 1:
			t.Errorf("got %+v, want %s", b, want)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("20 reports took %s", took)
	}
}

// An upgrade that is closed stays so while anything is known of it.
func TestForgettingReopensNothing(t *testing.T) {
	l := ledger(t)
	u := told("argocd-a", "argocd", 0, 1, "a", "1")
	l.Report(u, false)
	l.Report(told("cdevents-a", "cdevents", 3, 3, "a", "1"), false)
	l.Close(u.ID, nine.Add(time.Hour))
	// As many as are remembered of one side, with the older report gone.
	for i := range maxKnown - 1 {
		l.Report(told(fmt.Sprintf("argocd-x%d", i), "argocd", 10, 11, fmt.Sprintf("x%d", i), "1"), false)
	}
	l.Observe(frameOf(nine.Add(time.Hour), "1"))
	got, _ := l.Report(told("cdevents-a", "cdevents", 3, 3, "a", "1"), false)
	if got.ID != u.ID || got.ClosedAt.IsZero() || len(l.book.Reported) > maxKnown {
		t.Errorf("got %+v of %d, want it closed as before", got, len(l.book.Reported))
	}
}
