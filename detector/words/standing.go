package words

import (
	"fmt"
	"strings"

	"aftershock/detector"
)

// Standing says in words which instances of a binary still run the old build; its fleet
// must be known.
func Standing(b detector.Binary) string {
	f := b.Fleet
	verb := "run"
	if f.Old == 1 {
		verb = "runs"
	}
	text := fmt.Sprintf("%d of %d instances still %s %s", f.Old, f.Old+f.New, verb, Name(b.From))
	if b.From == "" {
		text = fmt.Sprintf("%d of %d instances still %s the old build", f.Old, f.Old+f.New, verb)
	}
	if len(f.OldNames) > 0 {
		const most = 5
		var names []string
		for _, n := range f.OldNames[:min(most, len(f.OldNames))] {
			names = append(names, Name(n))
		}
		if more := f.Old - len(names); more > 0 {
			names = append(names, fmt.Sprintf("%d more", more))
		}
		text += " (" + strings.Join(names, ", ") + ")"
	}
	return text
}

// Leftover says which instances of a binary were left behind, and which finding foresaw it.
func Leftover(l detector.Leftover) string {
	text := Standing(l.Binary)
	if l.Foreseen != "" {
		text += ", foreseen before the upgrade: " + Line(l.Foreseen)
	}
	return text
}
