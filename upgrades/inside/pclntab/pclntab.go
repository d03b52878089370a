// Package pclntab reads the table of functions that every Go binary carries,
// stripped or not. debug/gosym reads it too, but keeps neither which functions
// the compiler made up itself nor a bound on what a hostile table costs.
//
// The layout is that of Go 1.18 and later: runtime/symtab.go (pcHeader, functab)
// and runtime/runtime2.go (_func).
package pclntab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Bounds of what is read.
const (
	maxFunctions = 4 << 20
	maxName      = 64 << 10
)

// ErrOld says that the table is of a Go older than 1.18.
var ErrOld = errors.New("table of functions older than go1.18")

// Function is one entry.
type Function struct {
	Name string
	// Start and End are offsets from the start of Go's code; padding is within.
	Start, End uint32
	// Generated says that the compiler wrote it, not a person: wrappers of
	// methods, of defer and go statements, equality and hashing of types.
	Generated bool
}

// Table is a parsed table.
type Table struct {
	Functions []Function
	// Inlined are the names of functions that have no code of their own, for it was put into others:
	// the linker writes the names of all that the inline trees have beside those of the entries.
	Inlined []string
	// TextStart is where Go's code starts by the header; 0 from Go 1.26 on.
	TextStart uint64
}

type reader struct {
	order       binary.ByteOrder
	word        int
	data        []byte
	names, pcln []byte
	started     bool // has startLine
}

func (r reader) at(i int) uint64 {
	b := r.data[8+i*r.word:]
	if r.word == 8 {
		return r.order.Uint64(b)
	}
	return uint64(r.order.Uint32(b))
}

// Parse reads a .gopclntab section.
func Parse(data []byte, order binary.ByteOrder) (Table, error) {
	if len(data) < 8+8*8 {
		return Table{}, errors.New("table of functions is cut short")
	}
	r := reader{order: order, data: data, word: int(data[7])}
	switch order.Uint32(data) {
	case 0xfffffff1:
		r.started = true
	case 0xfffffff0:
	case 0xfffffffa, 0xfffffffb:
		return Table{}, ErrOld
	default:
		return Table{}, errors.New("table of functions has an unknown form")
	}
	if r.word != 4 && r.word != 8 || data[4] != 0 || data[5] != 0 {
		return Table{}, errors.New("table of functions has an unknown form")
	}
	size := uint64(len(data))
	count, names, files, pcln := r.at(0), r.at(3), r.at(4), r.at(7)
	if count > maxFunctions {
		return Table{}, fmt.Errorf("more than %d functions", maxFunctions)
	}
	if names > files || files > size || pcln > size || size-pcln < count*8+4 {
		return Table{}, errors.New("table of functions points beyond its end")
	}
	r.names, r.pcln = data[names:files], data[pcln:]
	t := Table{TextStart: r.at(2), Functions: make([]Function, 0, count)}
	for i := range int(count) {
		f, err := r.function(i)
		if err != nil {
			return Table{}, fmt.Errorf("function %d: %w", i, err)
		}
		t.Functions = append(t.Functions, f)
	}
	t.Inlined = r.inlined(t.Functions)
	return t, nil
}

// inlined gives the names that are of none of the functions.
func (r reader) inlined(functions []Function) (out []string) {
	own := make(map[string]bool, len(functions))
	for i := range functions {
		own[functions[i].Name] = true
	}
	for text := range bytes.SplitSeq(r.names, []byte{0}) {
		if len(text) > 0 && len(text) <= maxName && len(out) < maxFunctions && !own[string(text)] {
			out = append(out, string(text))
		}
	}
	return out
}

func (r reader) function(i int) (Function, error) {
	b := r.pcln[i*8:]
	f := Function{Start: r.order.Uint32(b), End: r.order.Uint32(b[8:])}
	if f.End < f.Start {
		return f, errors.New("ends before it starts")
	}
	at := uint64(r.order.Uint32(b[4:]))
	id := uint64(36)
	if r.started {
		id += 4
	}
	if at+id >= uint64(len(r.pcln)) {
		return f, errors.New("is beyond the table")
	}
	name := uint64(r.order.Uint32(r.pcln[at+4:]))
	if name >= uint64(len(r.names)) {
		return f, errors.New("has no name")
	}
	text := r.names[name:min(name+maxName, uint64(len(r.names)))]
	end := strings.IndexByte(string(text[:min(len(text), 512)]), 0)
	if end < 0 {
		if end = strings.IndexByte(string(text), 0); end < 0 {
			return f, errors.New("has a name without end")
		}
	}
	f.Name = string(text[:end])
	f.Generated = generated(f.Name, r.pcln[at+id])
	return f, nil
}

// generated goes by abi.FuncID, whose special values but that of wrappers are
// given to functions of the runtime alone.
func generated(name string, id byte) bool {
	if strings.HasPrefix(name, "type:.") || strings.HasPrefix(name, "type..") {
		return true
	}
	return id != 0 && !strings.HasPrefix(name, "runtime.") && !strings.HasPrefix(name, "internal/")
}
