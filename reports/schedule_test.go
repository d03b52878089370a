package reports_test

import (
	"strings"
	"testing"

	"aftershock/reports"
)

func TestDue(t *testing.T) {
	for _, tt := range []struct{ at, zone, now, want string }{
		{"", "", "2026-03-09T07:59:59Z", "2026-W09"},
		{"", "", "2026-03-09T08:00:00Z", "2026-W10"},
		{"", "", "2026-03-15T23:59:59Z", "2026-W10"},
		{"Tue 17:30", "", "2026-03-10T17:29:00Z", "2026-W09"},
		{"tuesday 17:30", "", "2026-03-10T17:30:00Z", "2026-W10"},
		{"Sunday 23:00", "", "2026-03-15T22:59:00Z", "2026-W09"},
		{"", "Europe/Berlin", "2026-03-09T06:59:00Z", "2026-W09"},
		{"", "Europe/Berlin", "2026-03-09T07:00:00Z", "2026-W10"},
		{"", "Europe/Berlin", "2026-03-30T06:00:00Z", "2026-W13"}, // summer time
		{"", "Asia/Tokyo", "2026-03-08T23:00:00Z", "2026-W10"},    // Monday there
		{"", "", "2026-01-05T08:00:00Z", "2026-W01"},
		{"", "", "2021-01-04T08:00:00Z", "2020-W53"},
	} {
		w := reports.Weekly{At: tt.at, Zone: tt.zone}
		w.SetDefaults()
		if errs := w.Validate("x"); len(errs) > 0 {
			t.Errorf("%q in %q: %v", tt.at, tt.zone, errs)
		}
		if got := w.Due(instant(tt.now)); got.Name != tt.want {
			t.Errorf("%q in %q at %s: %s is due, want %s", tt.at, tt.zone, tt.now, got.Name, tt.want)
		}
	}
}

func TestWrongSchedules(t *testing.T) {
	for _, tt := range []struct {
		w    reports.Weekly
		want string
	}{
		{reports.Weekly{At: "Monday"}, `reports.weekly.at: "Monday" is no day and time like "Monday 08:00", nor off`},
		{reports.Weekly{At: "Mo 08:00"}, `"Mo 08:00" is no day`},
		{reports.Weekly{At: "Monday 24:00"}, `"Monday 24:00" is no day`},
		{reports.Weekly{Zone: "Mars/Olympus"}, `reports.weekly.zone: "Mars/Olympus" is no time zone`},
		{reports.Weekly{Forms: []string{"html", "docx"}}, `reports.weekly.forms[1]: "docx" is none of html, md, json, pdf`},
	} {
		tt.w.SetDefaults()
		if errs := tt.w.Validate("reports.weekly"); len(errs) != 1 || !strings.Contains(errs[0].Error(), tt.want) {
			t.Errorf("got %v, want %s", errs, tt.want)
		}
	}
	for _, tt := range []struct {
		w    reports.Weekly
		want bool
	}{
		{reports.Weekly{At: "off", Dir: "x"}, true},
		{reports.Weekly{}, true},
		{reports.Weekly{Dir: "x"}, false},
		{reports.Weekly{Receivers: []string{"team"}}, false},
	} {
		tt.w.SetDefaults()
		if errs := tt.w.Validate("x"); len(errs) > 0 || tt.w.Off() != tt.want {
			t.Errorf("%+v: off is %v (%v), want %v", tt.w, tt.w.Off(), errs, tt.want)
		}
	}
}
