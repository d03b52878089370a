package detector

import (
	"encoding/binary"
	"errors"
	"math"
)

// packer writes values one after the other, or reads them in the same order: what
// is packed says so once for both. Nothing tells one value from the next, so that
// a thousand small numbers take little more than their own bytes.
type packer struct {
	buf  []byte
	read bool
	err  error
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

// pack packs what was last said of a trial.
func (e *evidence) pack(p *packer) {
	p.double(&e.log)
	p.count(&e.lead)
	e.lead = min(max(0, e.lead), bounds-1)
	for k := range e.have {
		p.truth(&e.have[k])
		if e.have[k] {
			p.double(&e.at[k].log)
			p.double(&e.at[k].variance)
			p.whole(&e.from[k])
		}
	}
}
