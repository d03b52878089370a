package detector

import (
	"math"
	"time"

	"aftershock/detector/stat"
)

// views are the last steps that a screen looks at.
var views = [...]int32{5, 20, 80}

// screen is a rough look at a trial: by how many standard deviations what was
// counted of late is off, at each bound. It says nothing of a shift but whether it
// is worth to weigh the trial.
type screen [bounds][len(views)]float32

const (
	// odd is how far off the screen must be, and oddMore how much farther than when
	// the trial was last weighed.
	odd     = 2.5
	oddMore = 0.5
	// levelSteps is the time before the upgrade that tells the level.
	levelSteps = 240
)

// moved says whether a screen is off, and farther than it was.
func (s *screen) moved(was *screen) bool {
	for k := range s {
		for i, z := range s[k] {
			old := was[k][i]
			if z < 0 {
				z, old = -z, -old
			}
			if z >= odd && z >= max(0, old)+oddMore {
				return true
			}
		}
	}
	return false
}

// quick is the noise that a level doesn't tell.
func quick(n stat.Noise) stat.Noise {
	n[stat.Components-2] /= 2
	n[stat.Components-1] = 0
	return n
}

// screen sums the last blocks since the upgrade.
func (tr *Trial) screen(start time.Time) (s screen) {
	var sum Block
	from, next := start.UnixNano(), 0
	view := func() {
		for k := range s {
			s[k][next] = tr.off(&sum, k)
		}
	}
	for i := len(tr.Blocks.List) - 1; i >= 0 && next < len(views); i-- {
		b := &tr.Blocks.List[i]
		if b.End <= from {
			break
		}
		sum.Steps += b.Steps
		for k := range b.Obs {
			sum.Obs[k] += b.Obs[k]
			sum.Exp[k] += b.Exp[k]
		}
		for next < len(views) && sum.Steps >= views[next] {
			view()
			next++
		}
	}
	return s
}

// off is by how many standard deviations a sum of blocks is off at bound k.
func (tr *Trial) off(sum *Block, k int) float32 {
	obs, exp := float64(sum.Obs[k]), float64(sum.Exp[k])
	if !(exp > 0) {
		return 0
	}
	y := logRatio(obs, exp) - float64(tr.Level[k])
	n := quick(tr.Noise[k])
	return float32(y / math.Sqrt(1/math.Max(exp, math.Min(1, obs))+n.Over(float64(sum.Steps))))
}

// level finds the level at the upgrade, as far as the blocks before tell it.
func (tr *Trial) level() {
	for k := range tr.Level {
		obs, exp, steps := 0.0, 0.0, int32(0)
		for i := len(tr.Blocks.List) - 1; i >= 0 && steps < levelSteps; i-- {
			b := &tr.Blocks.List[i]
			obs, exp, steps = obs+float64(b.Obs[k]), exp+float64(b.Exp[k]), steps+b.Steps
		}
		if exp > 0 {
			slow := tr.Noise[k][stat.Components-1] + tr.Noise[k][stat.Components-2]
			tr.Level[k] = float32(logRatio(obs, exp) * slow / (slow + 1/exp))
		}
	}
}
