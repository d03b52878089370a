package detector

import (
	"math"
	"slices"
)

// The evidence of mechanism: how much likelier a shift of a kind is by a binary in
// which the change touches what such shifts are made of, and by one in which it
// doesn't. Between two releases much is touched by chance, and not all that is
// changed is seen. Assumed, not measured: nobody has published how often innocent
// releases touch their retries.
const (
	fits       = 4   // retries, where the change touches retries or waits
	misfits    = 0.5 // retries, where it doesn't; inlined code and small numbers are easily missed
	fitsTail   = 2   // other kinds
	misfitTail = 0.67
	unchanged  = 0.02 // where nothing differs between the two builds
)

// makings are the words that a change touches when it moves a kind of indicator.
var makings = map[Kind][]string{
	Retry:   {"retry", "backoff", "attempt", "jitter", "timeout", "deadline", "limit", "wait"},
	Latency: {"retry", "backoff", "attempt", "jitter", "timeout", "deadline", "pool", "limit", "wait"},
	Error:   {"retry", "attempt", "timeout", "deadline", "pool", "limit"},
}

// mechanism is the factor by which what changed inside the binary makes it likelier,
// or less so, that it moved an indicator of a kind, as a logarithm; 0 where nobody
// knows what changed.
func (i *Inside) mechanism(kind Kind) float64 {
	if i == nil {
		return 0
	}
	yes, no := float64(fitsTail), misfitTail
	if kind == Retry {
		yes, no = fits, misfits
	}
	switch {
	case i.Same:
		return math.Log(unchanged)
	case slices.ContainsFunc(i.Touches, func(word string) bool { return slices.Contains(makings[kind], word) }):
		return math.Log(yes)
	}
	return math.Log(no)
}

// why says what changed inside, with what that makes of the binary as a suspect.
func (i *Inside) why(kind Kind) []string {
	switch x := i.mechanism(kind); {
	case i == nil:
		return nil
	case i.Same:
		return []string{"but nothing differs between the two builds"}
	case x > 0:
		return []string{"what changed inside it fits: " + i.Summary}
	default:
		return []string{"what changed inside it hardly fits: " + i.Summary}
	}
}
