package notify

import (
	"fmt"
	"strings"

	"aftershock/detector"
	"aftershock/detector/words"
)

// Bounds of what one message lists.
const (
	maxReasons  = 5
	maxCleared  = 3
	maxOthers   = 5
	maxCauses   = 4
	maxWarnings = 3
	maxFlags    = 3
)

// Shift is one shifted indicator in words.
type Shift struct {
	// Indicator is "tail latency of checkout /place", Place "checkout /place",
	// Series the exact selector.
	Indicator, Place, Series string
	// What is the measured quantity, Before and After its values, Ratio the
	// ratio with its interval; all empty where the size isn't known.
	What, Before, After, Ratio string
	// Quantiles are like "p99: 0.25–0.5 s → 0.5–1 s".
	Quantiles []string
	// Since is the onset with its interval.
	Since string
}

// Story is what the templates see. Every string is clean and on one line.
type Story struct {
	// Status is "firing" or "resolved".
	Status string
	// Upgrade is the upgrade's ID, Title what people call it: the same where they gave
	// the ID.
	Upgrade, Title string
	// Headline is the ready first line.
	Headline string
	// Root is the shift that the story is told by, Others those under it (at
	// most 5), More how many further ones there are.
	Root   Shift
	Others []Shift
	More   int
	// Cause is the leading cause in words ("dten-payments 4.1.3 → 4.2.0"),
	// CauseKind its kind, Probability like "93%", Why the reasons.
	Cause, CauseKind, Probability string
	Why                           []string
	// Cleared says why the upgrade's other binaries are out; Accusation says who did
	// it, what changed inside it, and that, in one sentence.
	Cleared []string
	// Foreseen says which finding of the package's inspection came true.
	Foreseen   string
	Accusation string
	// Alternatives are the other causes: "third party acme-pay (4%)".
	Alternatives []string
	// Placebos says how often the rule was wrong here; Control what the
	// indicator was compared with; Warnings are doubts.
	Placebos, Control string
	// Marks says how often people found the alerts here to be false.
	Marks    string
	Warnings []string
	// Inside says what changed inside the blamed binary, where that is known.
	Inside string
	// Commands are the commands that put the gating flags to their safe variant,
	// Pages where the console does the same.
	Commands, Pages []string
	// Runbook, Page (the alert's, in the console), Judged (that of its first indicator, with
	// the arithmetic behind the verdict) and Link (the review) are URLs, or empty.
	Runbook, Page, Judged, Link string
	// Recovered says when it was over, for a resolved alert.
	Recovered string
}

func (c *Composer) story(a detector.Alert) Story {
	s := Story{
		Status: StatusFiring, Upgrade: words.Name(a.Upgrade), Title: words.Title(a), Headline: words.Headline(a),
		Root:  shift(a.Root),
		Cause: words.Suspect(a.Cause, a.Binaries), CauseKind: words.Name(a.Cause.Kind),
		Probability: words.Probability(a.Cause.Probability),
		Why:         lines(a.Cause.Why, maxReasons),
		Cleared:     lines(a.Cause.Cleared, maxCleared),
		Accusation:  words.Accusation(a),
		Foreseen:    words.Foreseen(a.Cause),
		Inside:      inside(a),
		Placebos:    words.Placebos(a.Root.FalseAlarms),
		Control:     words.Line(a.Root.Control),
		Warnings:    lines(a.Root.Warnings, maxWarnings),
		Runbook:     runbook(c.RunbookURL, a), Page: c.page(a.Key), Judged: c.indicator(a), Link: c.link(a.Upgrade),
	}
	if a.Tally != nil {
		s.Marks = words.Tally(*a.Tally)
	}
	if s.Root.Since == "" && !a.StartsAt.IsZero() {
		s.Root.Since = words.Time(a.StartsAt)
	}
	for _, v := range a.Others {
		if len(s.Others) == maxOthers {
			s.More = len(a.Others) - maxOthers
			break
		}
		s.Others = append(s.Others, shift(v))
	}
	for _, cause := range a.Root.Causes {
		leading := cause.Kind == a.Cause.Kind && cause.Name == a.Cause.Name
		if leading || len(s.Alternatives) == maxCauses {
			continue
		}
		s.Alternatives = append(s.Alternatives,
			words.Suspect(cause, a.Binaries)+" ("+words.Probability(cause.Probability)+")")
	}
	if a.State == detector.AlertResolved {
		s.Status = StatusResolved
		end := a.Root.Recovered
		if end.IsZero() {
			end = a.EndsAt
		}
		s.Recovered = words.Time(end)
		return s // nothing is left to be done
	}
	for n, flag := range a.Flags {
		if n == maxFlags {
			break
		}
		reason := fmt.Sprintf("%s: %s worse", s.Title, s.Root.Indicator)
		s.Commands = append(s.Commands, words.SetFlag(flag, c.Safe[flag], strings.TrimPrefix(reason, ": ")))
		if c.ExternalURL != "" {
			s.Pages = append(s.Pages, c.plan(words.Name(flag), c.Safe[flag], s.Upgrade))
		}
	}
	return s
}

// inside is what changed inside the binary that is the leading cause.
func inside(a detector.Alert) string {
	for _, b := range a.Binaries {
		if a.Cause.Kind != detector.CauseBinary || b.Name != a.Cause.Name || b.Inside == nil {
			continue
		}
		if _, change, found := strings.Cut(b.Inside.Summary, ": "); found { // the versions stand before it
			return words.Line(change)
		}
		return words.Line(b.Inside.Summary)
	}
	return ""
}

// links are where the story leads, what is to be done first.
func (s Story) links() []Link {
	var all []Link
	for _, page := range s.Pages {
		all = append(all, Link{"Toggle", page})
	}
	for _, l := range []Link{{"Alert", s.Page}, {"Indicator", s.Judged}, {"Review", s.Link}, {"Runbook", s.Runbook}} {
		if l.URL != "" {
			all = append(all, l)
		}
	}
	return all
}

func shift(v detector.Verdict) Shift {
	s := Shift{
		Indicator: words.Indicator(v.Indicator), Place: words.Place(v.Indicator), Series: words.Series(v.Indicator),
	}
	if e := v.Effect; e != nil {
		s.What = words.Name(e.What)
		s.Before, s.After = words.Value(e.What, e.Before), words.Value(e.What, e.After)
		s.Ratio = words.Ratio(*e)
	}
	for n, q := range v.Quantiles {
		if n == maxReasons {
			break
		}
		s.Quantiles = append(s.Quantiles,
			words.Quantile(q.Q)+": "+words.Bucket(q.Before)+" → "+words.Bucket(q.After))
	}
	if v.Onset != nil {
		s.Since = words.Onset(*v.Onset)
	}
	return s
}

// Effect is the shift's size in one line, or "" where it isn't known.
func (s Shift) Effect() string {
	if s.What == "" {
		return ""
	}
	return s.What + ": " + s.Before + " → " + s.After + ", " + s.Ratio
}

func lines(in []string, most int) []string {
	var out []string
	for _, s := range in {
		if len(out) == most {
			break
		}
		if s = words.Line(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (s Story) annotations(headline, text string) map[string]string {
	a := map[string]string{
		"summary":       headline,
		"description":   text,
		"effect":        s.Root.Effect(),
		"onset":         s.Root.Since,
		"blame":         s.Cause,
		"reason":        s.Accusation,
		"foreseen":      s.Foreseen,
		"placebos":      s.Placebos,
		"marks":         s.Marks,
		"series":        s.Root.Series,
		"runbook_url":   s.Runbook,
		"toggle":        strings.Join(s.Commands, "\n"),
		"review_url":    s.Link,
		"console_url":   s.Page,
		"indicator_url": s.Judged,
	}
	for n, v := range a {
		if v == "" {
			delete(a, n)
		}
	}
	return a
}
