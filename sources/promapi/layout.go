package promapi

import (
	"errors"
	"fmt"
	"io"
)

// What a native histogram's layout may claim. Prometheus' own limits are in
// the hundreds of buckets.
const (
	maxSpans   = 4096
	maxBuckets = 1 << 16
)

// checkLayout reads the layout at the beginning of a histogram chunk's data and
// refuses absurd ones: the TSDB's decoder allocates what the layout claims
// before it reads the buckets, so that 20 bytes could ask for 100 GB.
//
// The layout is zero threshold, schema, positive and negative spans, each span
// a length and an offset (tsdb/chunkenc/histogram_meta.go).
func checkLayout(data []byte) error {
	b := bits{data: data}
	first, err := b.read(8)
	if err != nil {
		return err
	}
	if first == 255 { // a zero threshold that isn't a small power of two
		if _, err := b.read(64); err != nil {
			return err
		}
	}
	if _, err := b.varbit(); err != nil { // the schema
		return err
	}
	var spans, buckets uint64
	for range 2 {
		n, err := b.varbit()
		if err != nil {
			return err
		}
		if spans += n; n > maxSpans || spans > maxSpans {
			return fmt.Errorf("a histogram has more than %d spans", maxSpans)
		}
		for range n {
			length, err := b.varbit()
			if err != nil {
				return err
			}
			if buckets += length; length > maxBuckets || buckets > maxBuckets {
				return fmt.Errorf("a histogram has more than %d buckets", maxBuckets)
			}
			if _, err := b.varbit(); err != nil { // the offset
				return err
			}
		}
	}
	return nil
}

// bits reads a bit stream, the highest bit first.
type bits struct {
	data []byte
	pos  int
}

func (b *bits) read(n int) (uint64, error) {
	if b.pos+n > 8*len(b.data) {
		return 0, fmt.Errorf("a histogram chunk ends in its layout: %w", io.ErrUnexpectedEOF)
	}
	var v uint64
	for range n {
		v = v<<1 | uint64(b.data[b.pos/8]>>(7-b.pos%8)&1)
		b.pos++
	}
	return v, nil
}

// varbit reads an unsigned number in the TSDB's variable length; for a signed
// one only its length is right.
func (b *bits) varbit() (uint64, error) {
	ones := 0
	for ; ones < 8; ones++ {
		bit, err := b.read(1)
		if err != nil {
			return 0, err
		}
		if bit == 0 {
			break
		}
	}
	sizes := [...]int{0, 3, 6, 9, 12, 18, 25, 56, 64}
	if ones >= len(sizes) {
		return 0, errors.New("a histogram chunk has a wrong number")
	}
	return b.read(sizes[ones])
}
