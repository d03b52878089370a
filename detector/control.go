package detector

import (
	"fmt"
	"strings"
)

// control names what an indicator is compared with, the best first: instances that
// still ran the old build beside new ones; its own level just before the upgrade,
// as far as its noise remembers that; and what its baseline expects of the time of
// day and the load, from as many days as there are.
func (j *Judge) control(w *Watch, m moved) string {
	var parts []string
	if n := m.trial.beside(); n > 0 {
		parts = append(parts, fmt.Sprintf("instances on the old build in the same minutes (%d steps)", n))
	}
	parts = append(parts, "the same indicator just before the upgrade")
	switch days := w.Upgrade.StartedAt.Sub(m.track.First).Seconds() / j.cfg.Day.Seconds(); {
	case m.track.First.IsZero() || days < 1:
		parts = append(parts, "less than a day of history, adjusted for load")
	case days >= week:
		parts = append(parts, fmt.Sprintf("the same hours of %.0f days before, weekends apart, adjusted for load", days))
	default:
		parts = append(parts, fmt.Sprintf("the same hours of %.0f days before, adjusted for load", days))
	}
	return strings.Join(parts, "; ")
}

// beside is the number of steps in which old and new builds served side by side.
func (tr *Trial) beside() int {
	k, n := tr.leading().lead, 0
	for i := range tr.Blocks.List {
		if b := &tr.Blocks.List[i]; b.FreshExp[k] > 0 && b.FreshExp[k] < 0.999*b.Exp[k] {
			n += int(b.Steps)
		}
	}
	return n
}
