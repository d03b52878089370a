package main

import (
	"math"
	"slices"

	"aftershock/detector"
)

// calibration is how often what was claimed with some probability was true.
type calibration [4]bin

// bin is a range of probabilities.
type bin struct {
	part
	sum float64
}

var edges = [4]float64{0, 0.5, 0.8, 0.95}

func (c *calibration) add(sure float64, right bool) {
	i := len(edges) - 1
	for i > 0 && sure < edges[i] {
		i--
	}
	c[i].count(right)
	c[i].sum += sure
}

// error is the expected calibration error over the bins: the mean distance of what
// was claimed from what was true, weighted by how often it was claimed (Naeini,
// Cooper, Hauskrecht 2015). NaN if nothing was.
func (c *calibration) error() float64 {
	sum, n := 0.0, 0
	for _, b := range c {
		sum += math.Abs(b.sum - float64(b.of))
		n += b.all
	}
	return sum / float64(n)
}

// believe holds the causes of a last word against the truth: a culprit that moved the
// indicator, or anything but a binary where none did.
func (s *score) believe(causes []detector.Cause, o *outcome) {
	if len(causes) == 0 {
		return
	}
	var culprits []string
	if o.shifted != nil && o.shifted.Worse {
		culprits = o.shifted.Culprits
	}
	lead := said{}
	lead.lead(causes)
	right := len(culprits) == 0 && lead.binary == "" || slices.Contains(culprits, lead.binary)
	s.sure.add(lead.sure, right)
	if lead.binary != "" {
		s.named.add(lead.sure, right)
	}
	// Of all causes each innocent binary is a claim of its own. Culprits are one
	// together, since the probabilities of two can't both be near 1, and so is all
	// that is no binary, since the truth doesn't always tell load from drift.
	var guilty, other float64
	for _, c := range causes {
		switch {
		case c.Kind != detector.CauseBinary:
			other += c.Probability
		case slices.Contains(culprits, c.Name):
			guilty += c.Probability
		default:
			s.every.add(c.Probability, false)
		}
	}
	s.every.add(other, len(culprits) == 0)
	if len(culprits) > 0 {
		s.every.add(guilty, true)
	}
}
