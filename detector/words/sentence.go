package words

import (
	"strings"

	"aftershock/detector"
)

// Foreseen says what the inspection of the package foresaw of a cause, "" where it
// foresaw nothing.
func Foreseen(c detector.Cause) string {
	if c.Foreseen == "" {
		return ""
	}
	return "foreseen before the upgrade: " + Line(c.Foreseen)
}

// Named says whether a cause names a binary: one that is less than even is suspected.
func Named(c detector.Cause) bool { return c.Kind == detector.CauseBinary && c.Probability >= 0.5 }

// Accusation says in one sentence which binary did it, what changed inside it, and
// why the upgrade's other binaries are out; "" where no binary is named, or nothing is
// known of either.
func Accusation(a detector.Alert) string {
	if !Named(a.Cause) {
		return ""
	}
	parts := []string{Suspect(a.Cause, a.Binaries)}
	for _, b := range a.Binaries {
		if b.Name != a.Cause.Name || b.Inside == nil {
			continue
		}
		_, change, found := strings.Cut(b.Inside.Summary, ": ")
		if !found {
			change = b.Inside.Summary
		}
		if change = Line(change); change != "" {
			parts[0] += ", in which " + change
		}
	}
	for _, c := range a.Cause.Cleared {
		parts = append(parts, Line(c))
	}
	if len(parts) == 1 && !strings.Contains(parts[0], ", in which ") {
		return ""
	}
	return strings.Join(parts, "; ")
}
