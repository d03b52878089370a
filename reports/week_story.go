package reports

import (
	"fmt"
	"strings"
	"time"

	"aftershock/detector/words"
)

// head is the week in five lines: the upgrades, the worst of them, what was done, the
// alerts, and what is open.
func (w *Week) head() []string {
	return []string{w.tally(), w.worst(), w.done(), w.alarms(), w.open()}
}

func (w *Week) tally() string {
	if len(w.Upgrades) == 0 {
		return fmt.Sprintf("No upgrade was under watch in week %s.", w.Name)
	}
	counts := map[string]int{}
	carried := 0
	for _, u := range w.Upgrades {
		counts[u.Outcome]++
		if u.Carried {
			carried++
		}
	}
	var parts []string
	for _, o := range []string{Regressed, Accepted, Recovered, Undecided, Clear, Blind} {
		if n := counts[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	text := words.Plural(len(w.Upgrades), "upgrade") + ": " + strings.Join(parts, ", ")
	if carried > 0 {
		text += fmt.Sprintf("; %d began before the week", carried)
	}
	return text + "."
}

func (w *Week) worst() string {
	if len(w.Shifts) == 0 {
		return "No indicator has shifted by more than the margin."
	}
	s := w.Shifts[0]
	if !s.Worse() {
		return fmt.Sprintf("Nothing got worse; %s better.", words.Plural(len(w.Shifts), "indicator"))
	}
	text := words.Capital(words.Indicator(s.Verdict.Indicator)) + " after " + words.TheUpgrade(s.review.Upgrade)
	if e := s.Verdict.Effect; e != nil {
		text += ", " + words.Change(*e)
	}
	if len(s.Verdict.Causes) > 0 {
		text += ", put down to " + words.Suspect(s.Verdict.Causes[0], s.review.Upgrade.Binaries)
	}
	text += ", " + s.State()
	others := 0
	for _, o := range w.Shifts[1:] {
		if o.Worse() {
			others++
		}
	}
	if others > 0 {
		text += fmt.Sprintf("; and %d more", others)
	}
	return text + "."
}

func (w *Week) done() string {
	acts := map[string]bool{}
	flag := ""
	for _, u := range w.Upgrades {
		for _, t := range u.review.Toggles {
			if applied(t) && !t.At.Before(w.From) && !t.At.After(w.Now) {
				acts[t.ID] = true
				flag = t.Flag
			}
		}
	}
	var text string
	switch n := len(acts); {
	case n == 0 && len(w.Shifts) == 0:
		return "Nothing had to be done."
	case n == 0:
		text = "No flag was toggled"
	case n == 1:
		text = "One toggle, of " + words.Name(flag)
	default:
		text = words.Plural(n, "toggle")
	}
	for _, step := range []struct {
		what string
		Spread
	}{{"found", w.Times.Detect}, {"decided", w.Times.Decide}, {"recovered", w.Times.Recover}} {
		if step.N > 0 {
			text += fmt.Sprintf("; %s in %s (median of %d)", step.what, words.Duration(seconds(step.Median)), step.N)
		}
	}
	return text + "."
}

func (w *Week) alarms() string {
	if w.False.Fired == 0 {
		return "No alert fired" + w.compared() + "."
	}
	text := words.Plural(w.False.Fired, "alert") + " fired"
	if w.False.Marked == 0 {
		return text + ", not judged by anybody yet" + w.compared() + "."
	}
	return text + fmt.Sprintf(", %d of the %d that people judged %s false", w.False.False, w.False.Marked, wasWere(w.False.False)) + w.compared() + "."
}

// compared is how many alerts there were in the week before, "" where there is nothing
// to compare with.
func (w *Week) compared() string {
	if len(w.Past) == 0 || w.Past[0].Upgrades == 0 && w.Past[0].Alerts.Fired == 0 {
		return ""
	}
	return fmt.Sprintf(" (week before: %d after %s)", w.Past[0].Alerts.Fired, words.Plural(w.Past[0].Upgrades, "upgrade"))
}

func (w *Week) open() string {
	var open []string
	worse := 0
	for _, s := range w.Shifts {
		if s.State() == Regressed {
			worse++
		}
	}
	if worse > 0 {
		open = append(open, words.Plural(worse, "indicator")+" still worse")
	}
	if n := len(w.On); n > 0 {
		open = append(open, words.Plural(n, "flag")+" still set by a toggle")
	}
	if n := len(w.Undecided) + w.UndecidedMore; n > 0 {
		text := words.Plural(n, "indicator") + " undecided"
		if last := w.lastDecided(); last > 0 {
			text += ", the last until " + words.Time(w.Now.Add(last))
		}
		open = append(open, text)
	}
	if d := w.Data; d.Expected > 0 && d.Steps < d.Expected {
		open = append(open, fmt.Sprintf("%s of the telemetry was judged", percentage(d.Steps, d.Expected)))
	}
	if len(open) == 0 {
		return "Nothing is open."
	}
	return "Open: " + strings.Join(open, "; ") + "."
}

// lastDecided is how long it takes until the last of the undecided is decided, 0 where
// that can't be told.
func (w *Week) lastDecided() time.Duration {
	longest := 0.0
	for _, v := range w.Undecided {
		longest = max(longest, v.DecidedIn)
	}
	if longest > 400*24*3600 {
		return 0
	}
	return seconds(longest)
}

// percentage writes a share of steps; short of all it is never 100%.
func percentage(n, of int) string {
	p := 100 * float64(n) / float64(of)
	if p >= 99.95 && n < of {
		return "99.9%"
	}
	return fmt.Sprintf("%.1f%%", p)
}

func wasWere(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
