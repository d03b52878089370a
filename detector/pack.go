package detector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"aftershock/detector/hist"
)

// packer writes values one after the other, or reads them in the same order: what
// is packed says so once for both. Nothing tells one value from the next, so that
// a thousand small numbers take little more than their own bytes.
type packer struct {
	buf  []byte
	read bool
	err  error
	// layouts are the bucket bounds of histograms, each saved but once.
	layouts *layouts
}

// layouts numbers bucket bounds.
type layouts struct {
	list [][]float64
	at   map[string]int
	// by finds most of them at once: bounds are shared as a rule.
	by map[*float64]int
}

func (l *layouts) number(x []float64) int {
	if n, ok := l.by[&x[0]]; ok && len(l.list[n]) == len(x) {
		return n
	}
	key := fmt.Sprint(x)
	n, ok := l.at[key]
	if !ok {
		n = len(l.list)
		l.list, l.at[key] = append(l.list, x), n
	}
	l.by[&x[0]] = n
	return n
}

var errShort = errors.New("the state ends too early")

// take answers the next n bytes, or zeros where there are none left.
func (p *packer) take(n int) []byte {
	if len(p.buf) < n {
		p.err, p.buf = errShort, nil
		return make([]byte, n)
	}
	out := p.buf[:n]
	p.buf = p.buf[n:]
	return out
}

func (p *packer) single(x *float32) {
	if p.read {
		*x = math.Float32frombits(binary.LittleEndian.Uint32(p.take(4)))
		return
	}
	p.buf = binary.LittleEndian.AppendUint32(p.buf, math.Float32bits(*x))
}

func (p *packer) double(x *float64) {
	if p.read {
		*x = math.Float64frombits(binary.LittleEndian.Uint64(p.take(8)))
		return
	}
	p.buf = binary.LittleEndian.AppendUint64(p.buf, math.Float64bits(*x))
}

func (p *packer) whole(x *int64) {
	if !p.read {
		p.buf = binary.AppendVarint(p.buf, *x)
		return
	}
	v, n := binary.Varint(p.buf)
	if n <= 0 {
		p.err, p.buf = errShort, nil
		*x = 0
		return
	}
	*x, p.buf = v, p.buf[n:]
}

func (p *packer) count(x *int) {
	v := int64(*x)
	p.whole(&v)
	*x = int(v)
}

func (p *packer) truth(x *bool) {
	v := int64(0)
	if *x {
		v = 1
	}
	p.whole(&v)
	*x = v != 0
}

// size packs the length of a list, of which each entry takes a byte at least.
func (p *packer) size(n int) int {
	p.count(&n)
	if p.read && (n < 0 || n > len(p.buf)) {
		p.err, p.buf = errShort, nil
		return 0
	}
	return n
}

// number packs what is a whole number as a rule.
func (p *packer) number(x *float64) {
	v := int64(-1)
	if !p.read && *x >= 0 && *x < 1<<52 && *x == math.Trunc(*x) && !math.Signbit(*x) {
		v = int64(*x)
	}
	if p.whole(&v); v < 0 {
		p.double(x)
		return
	}
	*x = float64(v)
}

// amount packs a count of single precision, which is a whole number as a rule.
func (p *packer) amount(x *float32) {
	v := int64(-1)
	if f := float64(*x); !p.read && f >= 0 && f < 1<<24 && f == math.Trunc(f) && !math.Signbit(f) {
		v = int64(f)
	}
	if p.whole(&v); v < 0 {
		p.single(x)
		return
	}
	*x = float32(v)
}

// narrow packs a number that was rounded to single precision.
func (p *packer) narrow(x *float64) {
	v := float32(*x)
	p.single(&v)
	*x = float64(v)
}

// histogram packs bounds and counts, the latter rounded to single precision where
// they are narrow.
func (p *packer) histogram(h *hist.Histogram, number func(*float64)) {
	at := -1
	if !p.read && len(h.Bounds) > 0 {
		at = p.layouts.number(h.Bounds)
	}
	p.count(&at)
	if p.read {
		if at < 0 || at >= len(p.layouts.list) {
			return
		}
		h.Bounds = p.layouts.list[at]
		h.Counts = make([]float64, len(h.Bounds))
	}
	for i := range h.Counts {
		number(&h.Counts[i])
	}
}
