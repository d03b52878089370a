package reports

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Forms of a review in a file.
const (
	FormHTML     = "html"
	FormMarkdown = "md"
	FormJSON     = "json"
	FormPDF      = "pdf"
)

// Forms are all of them.
var Forms = []string{FormHTML, FormMarkdown, FormJSON, FormPDF}

// Weekly is when and to whom the review of the last week goes.
type Weekly struct {
	// At is a day and a time, "Monday 08:00" by default, or "off".
	At string `yaml:"at"`
	// Zone is the time zone of that, and of the weeks, by its IANA name; UTC by default.
	Zone string `yaml:"zone"`
	// Dir takes the review; empty: none does. Forms say in which, html by default.
	Dir   string   `yaml:"dir"`
	Forms []string `yaml:"forms"`
	// Receivers are names of receivers of alerts that take documents: mail, Slack and
	// Mattermost.
	Receivers []string `yaml:"receivers"`
}

// Browser is the program that prints pages as PDF where none is configured.
const Browser = "chromium"

// SetDefaults fills in what isn't given.
func (w *Weekly) SetDefaults() {
	if w.At == "" {
		w.At = "Monday 08:00"
	}
	if w.Zone == "" {
		w.Zone = "UTC"
	}
	if len(w.Forms) == 0 {
		w.Forms = []string{FormHTML}
	}
}

// Validate lists what is wrong, under path.
func (w *Weekly) Validate(path string) (errs []error) {
	if _, _, err := w.clock(); err != nil {
		errs = append(errs, fmt.Errorf("%s.at: %w", path, err))
	}
	if _, err := time.LoadLocation(w.Zone); err != nil {
		errs = append(errs, fmt.Errorf("%s.zone: %.50q is no time zone like Europe/Berlin", path, w.Zone))
	}
	for i, f := range w.Forms {
		if !slices.Contains(Forms, f) {
			errs = append(errs, fmt.Errorf("%s.forms[%d]: %.20q is none of %s", path, i, f, strings.Join(Forms, ", ")))
		}
	}
	return errs
}

// Off says whether nobody waits for the review.
func (w *Weekly) Off() bool { return w.At == "off" || w.Dir == "" && len(w.Receivers) == 0 }

// Location is the time zone of the weeks.
func (w *Weekly) Location() *time.Location {
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		return time.UTC // Validate has refused it
	}
	return zone
}

// clock is At in its parts: the days since Monday and the time of the day.
func (w *Weekly) clock() (day int, at time.Time, err error) {
	if w.At == "off" {
		return 0, at, nil
	}
	wrong := fmt.Errorf("%.50q is no day and time like %q, nor off", w.At, "Monday 08:00")
	name, clock, ok := strings.Cut(w.At, " ")
	if !ok {
		return 0, at, wrong
	}
	for day = range 7 {
		full := time.Weekday((day + 1) % 7).String()
		if strings.EqualFold(name, full) || strings.EqualFold(name, full[:3]) {
			at, err := time.Parse("15:04", clock)
			if err != nil {
				return 0, at, wrong
			}
			return day, at, nil
		}
	}
	return 0, at, wrong
}

// Due is the week whose review was due last at now.
func (w *Weekly) Due(now time.Time) Span {
	zone := w.Location()
	day, at, err := w.clock()
	if err != nil {
		day, at = 0, time.Time{} // Validate has refused it
	}
	this := WeekOf(now, zone)
	f := this.From
	due := time.Date(f.Year(), f.Month(), f.Day()+day, at.Hour(), at.Minute(), 0, 0, zone)
	if now.Before(due) {
		return this.Before(2)
	}
	return this.Before(1)
}
