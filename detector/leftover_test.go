package detector_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "aftershock/detector"
)

// What of an upgrade was left behind is said once it is done and has had its time, names
// the finding that foresaw it, and is no news of what was taken back or replaced since.
func TestLeftovers(t *testing.T) {
	noon := time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	old := func(h Hypothesis) []Finding {
		h.Kind, h.Says = HypothesisOldBuild, "the host goes on running the old build"
		return []Finding{{Rule: "scripts/unit-missing", Place: Place{File: "install.sh", Line: 7}, Hypotheses: []Hypothesis{h}}}
	}
	const cited = "the host goes on running the old build (scripts/unit-missing, install.sh:7)"
	upgrade := func(change func(*Upgrade)) Upgrade {
		u := Upgrade{
			ID: "u", StartedAt: noon, FinishedAt: at(20), Source: "record",
			Binaries: []Binary{
				{Name: "dten-payments", From: "1", To: "2", Selector: map[string]string{"service": "payments"}, Fleet: &Fleet{Since: at(10), New: 2, Old: 1}},
				{Name: "dten-sync", From: "1", To: "2", Fleet: &Fleet{Since: at(10), New: 3}},
				{Name: "dten-cart", From: "1", To: "2"},
			},
		}
		if change != nil {
			change(&u)
		}
		return u
	}
	later := func(to string, minute int) []Upgrade {
		return []Upgrade{{ID: "v", StartedAt: at(minute), Binaries: []Binary{{Name: "dten_payments", To: to}}}}
	}
	for name, tt := range map[string]struct {
		change func(*Upgrade)
		others []Upgrade
		now    int
		want   []string // binary, finding and minute
	}{
		"done for half an hour":     {now: 50, want: []string{"dten-payments", "", "50"}},
		"done for less":             {now: 49},
		"not done":                  {now: 500, change: func(u *Upgrade) { u.FinishedAt = time.Time{} }},
		"only planned":              {now: 500, change: func(u *Upgrade) { u.StartedAt = time.Time{} }},
		"taken back":                {now: 500, change: func(u *Upgrade) { u.Source = "build-info, rolled back" }},
		"seen later":                {now: 99, change: func(u *Upgrade) { u.Binaries[0].Fleet.Since = at(70) }},
		"seen later, by now":        {now: 100, change: func(u *Upgrade) { u.Binaries[0].Fleet.Since = at(70) }, want: []string{"dten-payments", "", "100"}},
		"another build since":       {now: 60, others: later("3", 40)},
		"back to the old one since": {now: 60, others: later("1", 40)},
		"the same build since":      {now: 60, others: later("2", 40), want: []string{"dten-payments", "", "50"}},
		"another build before":      {now: 60, others: later("1", -40), want: []string{"dten-payments", "", "50"}},
		"foreseen of it":            {now: 60, change: func(u *Upgrade) { u.Findings = old(Hypothesis{Binaries: []string{"dten_payments"}}) }, want: []string{"dten-payments", cited, "50"}},
		"foreseen of another":       {now: 60, change: func(u *Upgrade) { u.Findings = old(Hypothesis{Binaries: []string{"dten-cart"}}) }, want: []string{"dten-payments", "", "50"}},
		"its service":               {now: 60, change: func(u *Upgrade) { u.Findings = old(Hypothesis{Services: []string{"payments"}}) }, want: []string{"dten-payments", cited, "50"}},
		"another service":           {now: 60, change: func(u *Upgrade) { u.Findings = old(Hypothesis{Services: []string{"cart"}}) }, want: []string{"dten-payments", "", "50"}},
		"its unit":                  {now: 60, change: func(u *Upgrade) { u.Findings = old(Hypothesis{Unit: "dten-payments.service"}) }, want: []string{"dten-payments", cited, "50"}},
		"the unit of another":       {now: 60, change: func(u *Upgrade) { u.Findings = old(Hypothesis{Unit: "dten-sync.service"}) }, want: []string{"dten-payments", "", "50"}},
		"a unit of nobody":          {now: 60, change: func(u *Upgrade) { u.Findings = old(Hypothesis{Unit: "dtend.service"}) }, want: []string{"dten-payments", cited, "50"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, l := range upgrade(tt.change).Leftovers(tt.others, at(tt.now)) {
				got = append(got, l.Binary.Name, l.Foreseen, strconv.Itoa(int(l.Since.Sub(noon).Minutes())))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeclared(t *testing.T) {
	for source, want := range map[string]bool{
		"": false, "build-info": false, "toolchain, rollback": false, "build-info, rolled back, flapping": false,
		"record": true, "record, build-info": true, "argocd/production": true,
	} {
		if got := (Upgrade{Source: source}).Declared(); got != want {
			t.Errorf("%q: got %t", source, got)
		}
	}
}
