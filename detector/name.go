package detector

import (
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// nameSure is how sure it must be that one of the upgrade's binaries did it before
	// any is named, nameSteps steps after it first was and never less than alsoSure
	// since: who is named to people at night had better be guilty. One that is named for
	// another shift already, that shifts of two kinds point to, or that was named before
	// the shift went and came back, needs alsoSure for alsoSteps: it is one story. Among
	// the binaries it must have tieSure.
	nameSure  = 0.95
	alsoSure  = 0.8
	tieSure   = 0.6
	nameSteps = 15
	alsoSteps = 5
	// nameSpan is for how many steps after its last instance switched a binary may be
	// named for the first time: what shows only later can't be told from slow wander, of
	// which the noise promises too little.
	nameSpan = 180
	// nameStands is the least evidence there must be, over the most there was, and
	// nameSlack how far it may fall short in any case, for a binary to be named where
	// nothing else points to it: what is passing was a burst.
	nameStands = 0.8
	nameSlack  = 4
	// changeSure is how sure another cause must be to take over from the one that
	// was told.
	changeSure = 0.6
)

// name says whether a binary has been named as the cause of the trial's shift, by
// now or before.
func (j *Judge) name(s *scene, m moved, causes []Cause) bool {
	tr, lead := m.trial, causes[0]
	if tr.Named != "" {
		return true
	}
	sure, all := j.needed(s, m, lead), 0.0
	for _, c := range causes {
		if c.Kind == CauseBinary {
			all += c.Probability
		}
	}
	switch {
	case lead.Kind != CauseBinary || all < alsoSure || lead.Probability < tieSure:
		tr.Suspect = ""
		return false
	case tr.Suspect != lead.Name && all < sure:
		tr.Suspect = ""
		return false
	case tr.Was == lead.Name:
		tr.Named = lead.Name
		return true
	case sure >= nameSure && tr.side().log < math.Min(nameStands*tr.Peak, tr.Peak-nameSlack):
		tr.Suspect = ""
		return false
	case tr.Suspect != lead.Name:
		tr.Suspect, tr.Suspected = lead.Name, j.last
	}
	stood := time.Duration(nameSteps)
	if sure < nameSure {
		stood = alsoSteps
	}
	if all < sure || j.last.Sub(tr.Suspected) < stood*j.cfg.Step {
		return false
	}
	tr.Named = lead.Name
	return true
}

// needed is how sure it must be that it was a binary for the leading one to be named;
// over 1 where none is.
func (j *Judge) needed(s *scene, m moved, lead Cause) float64 {
	tr := m.trial
	if lead.Kind != CauseBinary || tr.Was == lead.Name {
		return alsoSure
	}
	sure := nameSure
	for _, o := range s.all {
		v := &o.trial.Verdict
		if v.State != tr.Verdict.State || len(v.Causes) == 0 {
			continue
		}
		if o.trial.Named == lead.Name {
			return alsoSure
		}
		c := v.told()
		if c.Name == lead.Name && c.Probability >= kept*alsoSure && v.Indicator.Kind != tr.Verdict.Indicator.Kind {
			sure = alsoSure
		}
	}
	if s.late(m, lead.Name) {
		return 2
	}
	return sure
}

// late says whether it is too late to name a binary for the first time.
func (s *scene) late(m moved, name string) bool {
	for _, b := range s.upgrade.Binaries {
		if b.Name != name {
			continue
		}
		_, last := s.deployed(b)
		if m.trial.Treated.After(last) {
			last = m.trial.Treated
		}
		return s.now.Sub(last) > nameSpan*s.cfg.Step
	}
	return false
}

// kept is what a suspect keeps of its probability while it isn't named.
const kept = 0.45

// withhold puts more than half of what the binaries have to the unknown cause: they
// are suspects, none of which is named.
func withhold(list []Cause) []Cause {
	if list[0].Kind != CauseBinary {
		return list
	}
	moved, at := 0.0, -1
	out := slices.Clone(list)
	for i := range out {
		switch c := &out[i]; c.Kind {
		case CauseBinary:
			moved += (1 - kept) * c.Probability
			c.Probability *= kept
		case CauseUnknown:
			at = i
		}
	}
	if at < 0 {
		at = len(out)
		out = append(out, Cause{Kind: CauseUnknown})
	}
	out[at].Probability += moved
	out[at].Why = append(slices.Clip(out[at].Why), fmt.Sprintf("%s is suspected; it is named when it has been at least %.0f%% sure for %d steps",
		list[0].Name, 100*nameSure, nameSteps))
	return ranked(out)
}
