// Package machine reads machine code as far as a comparison needs it: where an
// instruction names an address that the linker chose, which immediates it
// carries, and a digest of all else. Two builds of one function give one digest
// wherever the linker has put it.
package machine

import (
	"crypto/sha256"
	"encoding/binary"
)

// Use is what an instruction does with an address.
type Use uint8

// The uses of an address.
const (
	Call Use = iota + 1
	Jump
	Take // its value alone: LEA, ADRP with ADD
	Access
)

// Reference is an address outside the function that an instruction names.
type Reference struct {
	Target uint64
	// At is the instruction's number within the function.
	At uint32
	// Width is how many bytes an Access touches.
	Width uint8
	Use   Use
	// Float says that what is accessed is a floating point number.
	Float bool
	// Next is one more than the number of the register that Go's calling
	// convention would pass the length of a string in whose address this is;
	// 0 when there is none.
	Next uint8
}

// Immediate is a number that an instruction carries.
type Immediate struct {
	// Bits is a signed integer, or the bits of a float64.
	Bits  uint64
	At    uint32
	Float bool
	// Moved says that it is put into a register or into memory as it is, or
	// compared with, as lengths are.
	Moved, Compared bool
	// Register is one more than the number of the one that it is put into.
	Register uint8
}

// Digest is the first half of a SHA-256.
type Digest [2]uint64

// Sum digests bytes.
func Sum(b []byte) Digest {
	s := sha256.Sum256(b)
	return Digest{binary.LittleEndian.Uint64(s[:]), binary.LittleEndian.Uint64(s[8:])}
}

// Body is what a function's code consists of.
type Body struct {
	// Code digests everything but references, Shape everything but references
	// and immediates.
	Code, Shape Digest
	References  []Reference
	Immediates  []Immediate
	// Size is in bytes, without padding at the end.
	Size int
	// Odd says that some bytes are no instructions that are known here.
	Odd bool

	masked, shape []byte
}

// Reader reads the code of one architecture.
type Reader interface {
	// Read reads the function whose code stands at the address, into a Body
	// whose memory is used again. The code is not changed.
	Read(address uint64, code []byte, into *Body)
}

// For gives the reader of an architecture by Go's name for it, nil when there
// is none.
func For(goarch string) Reader {
	switch goarch {
	case "amd64":
		return amd64{}
	case "arm64":
		return arm64{}
	}
	return nil
}

func (b *Body) begin(code []byte) {
	b.References, b.Immediates = b.References[:0], b.Immediates[:0]
	b.masked = append(b.masked[:0], code...)
	b.shape = append(b.shape[:0], code...)
	b.Size, b.Odd = len(code), false
}

// end digests; size is the length without padding.
func (b *Body) end(size int) {
	b.Size = size
	b.Code, b.Shape = Sum(b.masked[:size]), Sum(b.shape[:size])
}

// hide zeroes bytes that the linker chose.
func (b *Body) hide(from, to int) {
	clear(b.masked[from:to])
	clear(b.shape[from:to])
}
