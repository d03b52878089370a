package mirror

import (
	"fmt"
	"slices"
	"strings"

	"aftershock/detector"
)

// Weaken takes back what a rehearsal can't claim, since the copy differs from
// production in something that a hypothesis is about: its tables, its setting, its
// binaries. Of a verdict that the hypothesis is about
//
//   - clear and improved become undecided, for want of what the copy lacks, where the
//     difference is major;
//   - regressed stays, with a warning: what is bad on the copy is seldom good elsewhere;
//   - undecided stays, with a warning.
//
// A minor difference warns alone. A difference in a setting or a build that a
// hypothesis names is never minor. The verdicts given are changed in place.
func Weaken(verdicts []detector.Verdict, differences []Difference, hypotheses []detector.Hypothesis) {
	for i := range verdicts {
		v := &verdicts[i]
		for k := range hypotheses {
			h := &hypotheses[k]
			if !about(h, v.Indicator) {
				continue
			}
			for _, d := range differences {
				if weight := matters(h, d); weight != "" {
					weaken(v, d, h, weight)
				}
			}
		}
	}
}

func weaken(v *detector.Verdict, d Difference, h *detector.Hypothesis, weight string) {
	if weight == Major && (v.State == detector.Clear || v.State == detector.Improved) {
		was := "clear"
		if v.State == detector.Improved {
			was = "improved"
		}
		v.State, v.Missing, v.DecidedIn = detector.Undecided, fmt.Sprintf("%s: %s can't be claimed", d.Says, was), 0
	}
	warning := d.Says
	if h.Says != "" {
		warning += ", which matters to: " + h.Says
	}
	if !slices.Contains(v.Warnings, warning) {
		v.Warnings = append(slices.Clone(v.Warnings), warning)
	}
}

// about says whether the hypothesis would show in the indicator.
func about(h *detector.Hypothesis, i detector.Indicator) bool {
	return (len(h.Services) == 0 || slices.Contains(h.Services, i.Service())) &&
		(len(h.Indicators) == 0 || slices.Contains(h.Indicators, i.Kind))
}

// matters is how much a difference matters to a hypothesis, "" where it doesn't.
func matters(h *detector.Hypothesis, d Difference) string {
	switch d.Kind {
	case KindTable:
		if slices.ContainsFunc(h.Tables, func(t string) bool { return sameTable(t, d.Name) }) {
			return d.Weight
		}
	case KindDatabase:
		if len(h.Tables) > 0 && d.Weight == Major {
			return Major
		}
	case KindConfiguration:
		if h.Key != "" && h.Key == d.Name {
			return Major
		}
	case KindPackage, KindService:
		if slices.ContainsFunc(h.Binaries, func(b string) bool { return detector.SameBinary(b, d.Name) }) {
			return Major
		}
	}
	return ""
}

// sameTable says whether two names are of one table; one of them may leave the schema
// out.
func sameTable(a, b string) bool {
	a, b = strings.ToLower(strings.ReplaceAll(a, `"`, "")), strings.ToLower(strings.ReplaceAll(b, `"`, ""))
	return a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a)
}

// Listing is the differences as lines, at most most of them.
func Listing(differences []Difference, most int) []string {
	var lines []string
	for i, d := range differences {
		if i == most {
			lines = append(lines, fmt.Sprintf("… and %d more", len(differences)-most))
			break
		}
		lines = append(lines, fmt.Sprintf("%-6s %s", d.Weight, d.Says))
	}
	return lines
}
