// Package inside tells what changed inside a binary between two builds.
//
// A file is read once into a Fingerprint: a digest of each function that doesn't
// depend on where the linker put it, the constants and strings each uses, whom it
// calls, and what the file says of its modules. Two fingerprints are compared
// without the files. Linkers move nearly everything when one line changes: of
// 7,000 functions 5,160 differed in their bytes where one differed in its source.
package inside

import (
	"fmt"

	"aftershock/upgrades/inside/machine"
)

// Fingerprint is what is kept of one file. It can be written as JSON.
type Fingerprint struct {
	// Form is what kind of file it is.
	Form      Form   `json:"form"`
	Path      string `json:"path"`
	SHA256    string `json:"sha256"`
	BuildID   string `json:"build_id"`
	Version   string `json:"version"`
	Toolchain string `json:"toolchain"`
	// Main is the path of the main module, Package that of the main package, Machine Go's name of what it
	// runs on.
	Main    string `json:"main,omitempty"`
	Package string `json:"package,omitempty"`
	Machine string `json:"machine,omitempty"`
	// Exact says that functions are compared by instructions, not by size.
	Exact    bool              `json:"exact,omitempty"`
	Modules  map[string]string `json:"modules,omitempty"`
	Settings map[string]string `json:"settings,omitempty"`

	Functions []Function `json:"functions,omitempty"`
	// Inlined are the names of a Go program's functions whose code is in others alone.
	Inlined []string `json:"inlined,omitempty"`
	// Texts are the strings; others point into them.
	Texts []string `json:"texts,omitempty"`
	// DataTexts are those that variables hold.
	DataTexts []int32 `json:"data_texts,omitempty"`
	// Keys are names of settings in the tags of structs.
	Keys []string `json:"keys,omitempty"`
	// Pieces are constants whose address code takes, addresses in them replaced
	// by what they mean. Nothing says where one ends but where the next begins
	// that code or data names, so that there may be more of one than there is.
	Pieces    []Piece    `json:"pieces,omitempty"`
	Variables []Variable `json:"variables,omitempty"`
	// Words are what may be durations in the sections of variables.
	Words []Word `json:"words,omitempty"`
	// Sections are the bytes of variables, addresses zeroed.
	Sections []Section `json:"sections,omitempty"`
	// Named says that variables have names.
	Named bool     `json:"named,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// Form is a kind of file.
type Form string

// The forms.
const (
	FormGo    Form = "go"
	FormELF   Form = "elf"
	FormJAR   Form = "jar"
	FormSBOM  Form = "sbom"
	FormOther Form = "other"
)

// Function is one function, or one class of a JAR.
type Function struct {
	// Name is empty in a stripped file that isn't Go's: then Address says which.
	Name    string `json:"n"`
	Address uint64 `json:"a,omitempty"`
	// Generated says that the compiler wrote it.
	Generated bool `json:"g,omitempty"`
	Size      int  `json:"z,omitempty"`
	// Full digests the code and what it refers to, Shape the code without its
	// immediates and without what it refers to.
	Full  machine.Digest `json:"d"`
	Shape machine.Digest `json:"s"`
	// Callees are indexes of functions, Strings of texts, Variables of variables.
	Callees   []int32    `json:"c,omitempty"`
	Strings   []int32    `json:"t,omitempty"`
	Variables []int32    `json:"v,omitempty"`
	Constants []Constant `json:"k,omitempty"`
	// Pieces are indexes of Pieces, in the order of the code.
	Pieces []int32 `json:"p,omitempty"`
}

// label is its name, or where it is.
func (f *Function) label() string {
	if f.Name != "" {
		return f.Name
	}
	return fmt.Sprintf("code at %#x", f.Address)
}

// Piece is a constant that code refers to.
type Piece struct {
	Bytes []byte `json:"b"`
	// Raw are the bytes as they are, where some may be numbers as well as
	// addresses; else it is empty.
	Raw []byte `json:"r,omitempty"`
}

// Kind is what a constant is.
type Kind uint8

// The kinds. A length belongs to a string; its change is told with the string.
const (
	Integer Kind = iota
	Float
	Length
)

// Constant is a number in code or in what code reads.
type Constant struct {
	Bits uint64 `json:"b"`
	Kind Kind   `json:"k,omitempty"`
}

// Variable is a place in memory that code uses, with what it holds at the start.
type Variable struct {
	// Name is the symbol, empty when the file is stripped.
	Name    string `json:"n,omitempty"`
	Section string `json:"s"`
	Offset  uint64 `json:"o"`
	// Width is how many bytes are used, 0 when that is not known.
	Width uint8 `json:"w,omitempty"`
	Kind  Kind  `json:"k,omitempty"`
	// Opaque says that it holds an address, or nothing that is known.
	Opaque bool   `json:"p,omitempty"`
	Bits   uint64 `json:"b,omitempty"`
}

// Section is a part of the file that variables begin as.
type Section struct {
	Name  string `json:"s"`
	Bytes []byte `json:"b"`
}

// Word is what may be a duration in nanoseconds.
type Word struct {
	Section string `json:"s"`
	// Name is the variable, where it is known.
	Name   string `json:"n,omitempty"`
	Offset uint64 `json:"o"`
	Value  int64  `json:"v"`
}
