package detector

import (
	"slices"
	"time"
)

// Acceptance is a price that somebody took when toggling a flag: a longer tail of the
// requests that come by the binaries that it gates, since other constants save calls by
// waiting. What stays within it is told, but wakes nobody.
type Acceptance struct {
	Flag   string `json:"flag"`
	Toggle string `json:"toggle,omitempty"`
	Actor  string `json:"actor,omitempty"`
	// Ratio is how many times as many requests over a bound in the tail are taken.
	Ratio float64 `json:"ratio"`
	// At is when the toggle took effect: what began before it isn't its price.
	At       time.Time `json:"at"`
	Binaries []string  `json:"-"`
}

// maxAccepted bounds how many prices are in force at once; the oldest goes first.
const maxAccepted = 64

// price keeps what a flip of ours accepts, until the flag is flipped again by anybody.
func (j *Judge) price(f Flip) {
	j.accepted = slices.DeleteFunc(j.accepted, func(a Acceptance) bool { return a.Flag == f.Flag })
	if !f.Ours || !(f.Accepts > 1) {
		return
	}
	if n := len(j.accepted); n >= maxAccepted {
		j.accepted = slices.Delete(j.accepted, 0, n-maxAccepted+1)
	}
	j.accepted = append(j.accepted, Acceptance{
		Flag: f.Flag, Toggle: f.Toggle, Actor: f.Actor, Ratio: f.Accepts, At: f.At, Binaries: f.Binaries,
	})
}

// taken is the price that covers a trial's shift, nil where none does: a tail that is
// longer since the toggle, where requests come by a binary that the flag gates, isn't
// proven to be longer than was accepted, and isn't put down to another binary.
func (j *Judge) taken(tr *Trial) *Acceptance {
	v := &tr.Verdict
	if v.State != Regressed || v.Indicator.Kind != Latency || v.Effect == nil {
		return nil
	}
	for i := range j.accepted {
		a := &j.accepted[i]
		switch {
		case v.Since.Before(a.At) || tr.Began != nil && tr.Began.Latest.Before(a.At):
		case v.Effect.Low > a.Ratio:
		case len(v.Causes) > 0 && v.Causes[0].Kind == CauseBinary && !hasBinary(a.Binaries, v.Causes[0].Name):
		case j.comesBy(v.Indicator.Service(), a.Binaries):
			price := *a
			return &price
		}
	}
	return nil
}

// comesBy says whether requests to a service are known to be passed on to one that the
// binaries serve.
func (j *Judge) comesBy(service string, binaries []string) bool {
	for binary, services := range j.services {
		if !hasBinary(binaries, binary) {
			continue
		}
		for s := range services {
			if j.graph.Reaches(service, s) {
				return true
			}
		}
	}
	return false
}
