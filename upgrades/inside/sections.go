package inside

import "slices"

// maxDiffering is how many words of a section may differ for it to be taken for
// one whose variables stand where they stood.
const maxDiffering = 64

// sections compares the bytes of variables where they stand in the same places:
// so what is too small to be told from other words is seen, as a bool in a
// struct.
func (c *comparison) sections(toldOld, toldNew map[spot]bool) {
	if !c.same {
		return
	}
	for _, n := range c.new.Sections {
		i := slices.IndexFunc(c.old.Sections, func(o Section) bool { return o.Name == n.Name && len(o.Bytes) == len(n.Bytes) })
		if i < 0 {
			continue
		}
		o := c.old.Sections[i]
		var at []int
		for off := 0; off < len(n.Bytes); off += 8 {
			end := min(off+8, len(n.Bytes))
			if string(o.Bytes[off:end]) != string(n.Bytes[off:end]) {
				at = append(at, off)
			}
		}
		if len(at) > maxDiffering || shifted(o, n, at) {
			continue
		}
		for _, off := range at {
			here := spot{n.Name, uint64(off)}
			if toldOld[here] || toldNew[here] || c.partly(here, toldNew) {
				continue
			}
			c.word(o, n, off)
			toldOld[here], toldNew[here] = true, true
		}
	}
}

// shifted says whether most of the words that differ only stand elsewhere.
func shifted(o, n Section, at []int) bool {
	before, values, moved := map[uint64]bool{}, 0, 0
	for _, off := range at {
		before[number(o.Bytes, off, 8)] = true
	}
	for _, off := range at {
		if v := number(n.Bytes, off, 8); v != 0 {
			if values++; before[v] {
				moved++
			}
		}
	}
	return moved*2 > values
}

// partly says whether a variable within the word is told already.
func (c *comparison) partly(here spot, told map[spot]bool) bool {
	for i := uint64(1); i < 8; i++ {
		if told[spot{here.section, here.offset + i}] {
			return true
		}
	}
	return false
}

// word notes the smallest aligned part of a word that covers what differs.
func (c *comparison) word(o, n Section, off int) {
	end := min(off+8, len(n.Bytes))
	first, last := -1, 0
	for i := off; i < end; i++ {
		if o.Bytes[i] != n.Bytes[i] {
			if last = i; first < 0 {
				first = i
			}
		}
	}
	size := 1
	for first/size != last/size {
		size *= 2
	}
	if size == 4 || duration(int64(number(o.Bytes, off, 8)), roundest) || duration(int64(number(n.Bytes, off, 8)), roundest) {
		size = 8 // most that is small but no byte is an int
	}
	from := first / size * size
	before, after := Constant{Bits: number(o.Bytes, from, size)}, Constant{Bits: number(n.Bytes, from, size)}
	if size == 8 && roundFloat(before.Bits) && roundFloat(after.Bits) {
		before.Kind, after.Kind = Float, Float
	}
	c.move(n.Name, &before, &after, nil)
}

// number reads a little-endian integer.
func number(b []byte, at, size int) (v uint64) {
	for i := size - 1; i >= 0; i-- {
		if at+i < len(b) {
			v = v<<8 | uint64(b[at+i])
		}
	}
	return v
}
