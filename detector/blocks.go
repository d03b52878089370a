package detector

import "time"

// maxBlocks bounds the memory of a course: when it is full, neighbours are
// merged and each block covers twice as many steps.
const maxBlocks = 256

// Block is what one indicator counted over a run of steps, next to what was
// expected, at each of its bounds.
type Block struct {
	End   time.Time
	Steps int
	Total float32
	// Stress is the third party's in a single step, see Model.
	Stress float32
	Obs    [bounds]float32
	Exp    [bounds]float32
}

// Blocks is a course of blocks in order of time.
type Blocks struct {
	List []Block
	// Grain is the number of steps in a full block.
	Grain int
}

func (b *Blocks) add(step Block) {
	if b.Grain == 0 {
		b.Grain = 1
	}
	if n := len(b.List); n > 0 && b.List[n-1].Steps < b.Grain {
		b.List[n-1].merge(step)
		return
	}
	if len(b.List) == maxBlocks {
		half := b.List[:0]
		for i := 0; i+1 < maxBlocks; i += 2 {
			m := b.List[i]
			m.merge(b.List[i+1])
			half = append(half, m)
		}
		b.List = half
		b.Grain *= 2
	}
	b.List = append(b.List, step)
}

func (b *Block) merge(o Block) {
	b.End = o.End
	b.Steps += o.Steps
	b.Total += o.Total
	for k := range b.Obs {
		b.Obs[k] += o.Obs[k]
		b.Exp[k] += o.Exp[k]
	}
}

// since sums the blocks that ended after t.
func (b *Blocks) since(t time.Time) Block {
	var sum Block
	for i := len(b.List) - 1; i >= 0 && b.List[i].End.After(t); i-- {
		end := b.List[i].End
		if sum.Steps > 0 {
			end = sum.End
		}
		sum.merge(b.List[i])
		sum.End = end
	}
	return sum
}

// between sums the blocks that ended after from and not after to.
func (b *Blocks) between(from, to time.Time) Block {
	var sum Block
	for _, x := range b.List {
		if x.End.After(from) && !x.End.After(to) {
			sum.merge(x)
		}
	}
	return sum
}

// Recent is a ring of the last steps, kept for every indicator so that a watch
// can look back at what came just before it.
type Recent struct {
	Ring []Block
	Next int
}

// recentSteps is how many steps Recent keeps.
const recentSteps = 64

func (r *Recent) add(b Block) {
	if len(r.Ring) < recentSteps {
		r.Ring = append(r.Ring, b)
		return
	}
	r.Ring[r.Next] = b
	r.Next = (r.Next + 1) % recentSteps
}

// list is what the ring holds, in order of time.
func (r *Recent) list() []Block {
	out := make([]Block, 0, len(r.Ring))
	out = append(out, r.Ring[r.Next:]...)
	return append(out, r.Ring[:r.Next]...)
}
