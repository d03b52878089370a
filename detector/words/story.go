package words

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
)

// Place is where the indicator is measured, short: checkout /place,
// payments → acme-pay.
func Place(i detector.Indicator) string {
	service := i.Service()
	if service == "" {
		service = i.Metric
	}
	if service = Name(service); service == "" {
		service = "an indicator"
	}
	if i.Kind == detector.Retry {
		if peer := Name(i.Peer()); peer != "" && peer != service {
			return service + " → " + peer
		}
		return service
	}
	if route := Name(i.Route()); route != "" {
		return service + " " + route
	}
	return service
}

// Indicator is the indicator's name for people, cleaned:
// tail latency of checkout /place.
func Indicator(i detector.Indicator) string {
	labels := make(map[string]string, len(i.Labels))
	for n, v := range i.Labels {
		labels[n] = Name(v)
	}
	i.Labels, i.Metric = labels, Name(i.Metric)
	return Clean(i.Name(), 2*NameLen)
}

// Series is the indicator's exact identity as a selector, with its labels in
// order of name: metric{service="checkout"}.
func Series(i detector.Indicator) string {
	var b strings.Builder
	b.WriteString(Name(i.Metric))
	b.WriteByte('{')
	for n, name := range slices.Sorted(maps.Keys(i.Labels)) {
		if n == 12 {
			fmt.Fprintf(&b, ", %d more", len(i.Labels)-n)
			break
		}
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%q", Name(name), Name(i.Labels[name]))
	}
	b.WriteByte('}')
	return b.String()
}

// Versions writes a binary with its change: dten-payments 4.1.3 → 4.2.0.
func Versions(b detector.Binary) string {
	name, from, to := Name(b.Name), Clean(b.From, 40), Clean(b.To, 40)
	switch {
	case from != "" && to != "":
		return name + " " + from + " → " + to
	case to != "":
		return name + " " + to
	case from != "":
		return name + " (was " + from + ")"
	}
	return name
}

// Suspect writes a cause in words, with the versions of a binary where the
// upgrade's binaries say them.
func Suspect(c detector.Cause, binaries []detector.Binary) string {
	name := Name(c.Name)
	switch c.Kind {
	case detector.CauseBinary:
		for _, b := range binaries {
			if b.Name == c.Name {
				return Versions(b)
			}
		}
		return name
	case detector.CauseFlag:
		return strings.TrimSpace("flag " + name)
	case detector.CauseSchedule:
		return strings.TrimSpace("what the package schedules in " + name)
	case detector.CauseMigration:
		return strings.TrimSpace("the locks of the migration in " + name)
	case detector.CauseThirdParty:
		return strings.TrimSpace("third party " + name)
	case detector.CauseLoad:
		return strings.TrimSpace("load " + name)
	case detector.CauseEnvironment:
		return strings.TrimSpace("environment " + name)
	case detector.CauseEarlier:
		return "something that began before the upgrade"
	case detector.CauseUnknown, "":
		return "unknown"
	}
	return strings.TrimSpace(Name(c.Kind) + " " + name)
}

// Accepted says by what toggle a shift was accepted, and how much of it.
func Accepted(a detector.Acceptance) string {
	return fmt.Sprintf("accepted up to %s by %s with %s", Factor(a.Ratio), Name(a.Actor), Name(a.Flag))
}

// Probability writes a cause's probability as a whole percentage; the ends are
// kept for certainty, which there is none of.
func Probability(p float64) string {
	switch {
	case p > 0.99:
		return "over 99%"
	case p > 0 && p < 0.01:
		return "under 1%"
	}
	return fmt.Sprintf("%.0f%%", p*100)
}

// Placebos says how often the rule fired where nothing had been upgraded.
func Placebos(f *detector.FalseAlarms) string {
	if f == nil || f.Placebos <= 0 {
		return "this rule has no placebo figure here yet (too little quiet history)"
	}
	return fmt.Sprintf("this rule fired at %d of %d placebo upgrades here", f.Fired, f.Placebos)
}

// Tally says how often people found the alerts here to be false, or "" where none
// fired yet.
func Tally(t detector.Tally) string {
	switch {
	case t.Fired <= 0:
		return ""
	case t.Marked <= 0 && t.Fired == 1:
		return "nobody marked the one alert that fired here"
	case t.Marked <= 0:
		return fmt.Sprintf("people marked none of the %d alerts that fired here", t.Fired)
	}
	return fmt.Sprintf("people marked %d of %d alerts as false (%s), of %d that fired here",
		t.False, t.Marked, Share(float64(t.False)/float64(t.Marked)), t.Fired)
}

// Headline is the alert's first line, at most HeadlineLen characters:
// checkout /place: requests over 0.5 s ×2.26 since 09:15 UTC, dten-payments 4.1.3 → 4.2.0 (93%).
func Headline(a detector.Alert) string {
	v := a.Root
	var b strings.Builder
	if a.State == detector.AlertResolved {
		b.WriteString("Resolved: ")
	}
	b.WriteString(cut(Place(v.Indicator), 40))
	b.WriteString(": ")
	if v.Effect == nil {
		b.WriteString(strings.TrimSpace(Name(string(v.Indicator.Kind)) + " shifted"))
	} else {
		b.WriteString(cut(strings.TrimPrefix(Name(v.Effect.What), "share of "), 30))
		b.WriteString(" " + Factor(v.Effect.Ratio))
	}
	b.WriteString(since(a))
	if a.Cause.Kind != "" {
		b.WriteString(", " + cut(blame(a), 48))
	}
	return Clean(b.String(), HeadlineLen) // names may be empty
}

// since says when it began, or when it ended for a resolved alert.
func since(a detector.Alert) string {
	if a.State == detector.AlertResolved {
		end := a.Root.Recovered
		if end.IsZero() {
			end = a.EndsAt
		}
		if end.IsZero() {
			return " over"
		}
		return " until " + Clock(end) + " UTC"
	}
	start := a.StartsAt
	if a.Root.Onset != nil {
		start = a.Root.Onset.At
	}
	if start.IsZero() {
		return ""
	}
	return " since " + Clock(start) + " UTC"
}

func blame(a detector.Alert) string {
	suspect := Suspect(a.Cause, a.Binaries)
	if a.Cause.Kind == detector.CauseUnknown {
		return "cause unknown"
	}
	if a.Cause.Probability < 0.5 {
		return "perhaps " + cut(suspect, 32) + " (" + Probability(a.Cause.Probability) + ")"
	}
	return cut(suspect, 40) + " (" + Probability(a.Cause.Probability) + ")"
}

// SetFlag is the command that puts a flag to its safe variant, ready to paste.
// With an empty variant it holds the word SAFE_VARIANT, for a person to fill in.
func SetFlag(flag, variant, reason string) string {
	if variant == "" {
		variant = "SAFE_VARIANT"
	}
	return fmt.Sprintf("aftershock flags set %s %s --reason %s", Shell(flag), Shell(variant), Shell(reason))
}

// DecidedIn says when an undecided verdict is expected to be decided, or "" where
// that can't be told.
func DecidedIn(v detector.Verdict) string {
	if v.DecidedIn <= 0 || v.DecidedIn > (10*365*24*time.Hour).Seconds() {
		return ""
	}
	return "in about " + Duration(time.Duration(v.DecidedIn*float64(time.Second)))
}
