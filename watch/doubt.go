package watch

import (
	"slices"
	"strings"

	"aftershock/detector"
)

// missed is how often indicators don't come back within the time that they are
// given although the flag gates what harms them: callers that hold the old value,
// queues that are still full. It is what a toggle that didn't help weighs.
const missed = 0.2

// doubt lowers the suspicion against the binaries that the flag gates, after a
// toggle of everyone that didn't help.
func (l *Loop) doubt(t Treatment, o Outcome) {
	for _, u := range l.judge.Watched() {
		for _, b := range u.Binaries {
			if !slices.Contains(t.Flip.Binaries, b.Name) {
				continue
			}
			if l.memory.Doubts == nil {
				l.memory.Doubts = map[string]string{}
			}
			l.memory.Doubts[u.ID+"/"+b.Name] = "flag " + t.Flip.Flag + " was set to " + t.Flip.Variant + ", and it didn't help: " + o.Evidence
		}
	}
}

// doubted is the story's cause as it is to be told, by Bayes' rule after a toggle
// that didn't help; news says that the alert hasn't told of it yet.
func (l *Loop) doubted(key string, cause detector.Cause, a detector.Alert) (_ detector.Cause, news bool) {
	why, ok := l.memory.Doubts[key]
	if !ok || cause.Kind != detector.CauseBinary {
		return cause, false
	}
	p := cause.Probability
	cause.Probability = missed * p / (missed*p + 1 - p)
	cause.Why = append([]string{why}, cause.Why...)
	return cause, !slices.Contains(a.Cause.Why, why)
}

// forgetDoubts drops what is known of an upgrade whose watch has ended.
func (l *Loop) forgetDoubts(upgrade string) {
	for key := range l.memory.Doubts {
		if strings.HasPrefix(key, upgrade+"/") {
			delete(l.memory.Doubts, key)
		}
	}
}
