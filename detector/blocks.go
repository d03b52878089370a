package detector

import "time"

// Block is what one indicator counted over a run of steps, next to what was
// expected, at each of its bounds.
type Block struct {
	End   int64 // Unix nanoseconds
	Steps int32
	Total float32
	// Load is the number of requests with those of instances that were warming
	// up.
	Load float32
	// Usual is the sum over the steps of the log load that is usual at the time
	// of day.
	Usual float32
	Obs   [bounds]float32
	Exp   [bounds]float32
	// FreshObs and FreshExp are what of those was counted and expected on
	// instances of the new build.
	FreshObs [bounds]float32
	FreshExp [bounds]float32
}

func (b *Block) merge(o *Block) {
	b.End = o.End
	b.Steps += o.Steps
	b.Total += o.Total
	b.Load += o.Load
	b.Usual += o.Usual
	for k := range b.Obs {
		b.Obs[k] += o.Obs[k]
		b.Exp[k] += o.Exp[k]
		b.FreshObs[k] += o.FreshObs[k]
		b.FreshExp[k] += o.FreshExp[k]
	}
}

func (b *Block) end() time.Time { return time.Unix(0, b.End).UTC() }

// maxBlocks bounds the memory of a course: when it is full, neighbours are
// merged and each block covers twice as many steps.
const maxBlocks = 256

// Blocks is a course of blocks in order of time.
type Blocks struct {
	List []Block
	// Grain is the number of steps in a full block.
	Grain int32
}

func (b *Blocks) add(step Block) {
	if b.Grain == 0 {
		b.Grain = 1
	}
	if n := len(b.List); n > 0 && b.List[n-1].Steps < b.Grain {
		b.List[n-1].merge(&step)
		return
	}
	if len(b.List) == maxBlocks {
		b.halve()
	}
	b.List = append(b.List, step)
}

// halve doubles the grain: neighbours that fit into it together are merged.
func (b *Blocks) halve() {
	for len(b.List) == maxBlocks {
		b.Grain *= 2
		half := b.List[:0]
		for i := 0; i < len(b.List); i++ {
			m := b.List[i]
			for i+1 < len(b.List) && m.Steps+b.List[i+1].Steps <= b.Grain {
				i++
				m.merge(&b.List[i])
			}
			half = append(half, m)
		}
		b.List = half
	}
}

// since sums the blocks that ended after t.
func (b *Blocks) since(t time.Time) Block { return b.between(t, time.Unix(1<<33, 0)) }

// between sums the blocks that ended after from and not after to.
func (b *Blocks) between(from, to time.Time) Block {
	var sum Block
	low, high := from.UnixNano(), to.UnixNano()
	if from.IsZero() {
		low = 0
	}
	for i := range b.List {
		if x := &b.List[i]; x.End > low && x.End <= high {
			sum.merge(x)
		}
	}
	return sum
}

// Recent is the memory of what came before now, the finer the nearer: single
// steps, then blocks of 4, 16 and 64 steps, some twelve of each. It lets a watch
// look back at the day before its upgrade, and placebo upgrades be tried.
type Recent struct{ List []Past }

// Past is a Block of a time when nothing was watched, without what only a watch asks
// for.
type Past struct {
	End         int64 // Unix nanoseconds
	Steps       int32
	Total, Load float32
	Obs, Exp    [bounds]float32
}

func (p *Past) merge(o *Past) {
	p.End = o.End
	p.Steps += o.Steps
	p.Total += o.Total
	p.Load += o.Load
	for k := range p.Obs {
		p.Obs[k] += o.Obs[k]
		p.Exp[k] += o.Exp[k]
	}
}

// blocks appends the blocks that ended by an instant.
func (r *Recent) blocks(by int64, out []Block) []Block {
	for i := range r.List {
		if p := &r.List[i]; p.End <= by {
			out = append(out, Block{End: p.End, Steps: p.Steps, Total: p.Total, Load: p.Load, Obs: p.Obs, Exp: p.Exp})
		}
	}
	return out
}

const (
	// recentLevels is the number of block lengths, recentEach how many blocks of
	// a length are kept before four of them become one of the next.
	recentLevels = 4
	recentEach   = 12
)

func (r *Recent) add(step Block) {
	r.List = append(r.List, Past{step.End, step.Steps, step.Total, step.Load, step.Obs, step.Exp})
	at := len(r.List)
	for size := int32(1); ; size *= 4 {
		from := at
		for from > 0 && r.List[from-1].Steps < 4*size {
			from--
		}
		if at-from < recentEach+4 {
			return
		}
		if size == 1<<(2*(recentLevels-1)) {
			r.List = append(r.List[:from], r.List[from+1:]...)
			return
		}
		for i := 1; i < 4; i++ {
			r.List[from].merge(&r.List[from+i])
		}
		r.List = append(r.List[:from+1], r.List[from+4:]...)
		at = from + 1
	}
}
