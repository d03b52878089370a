// Package remote holds what the switchboard and the backends beside its own
// agree on: the state of a flag that lives elsewhere, the errors, and an HTTP
// client within bounds.
//
// It promises that nothing a backend answers is taken in without a bound, that
// no error or text made here holds a credential, and that credentials don't
// follow a redirect to another host.
package remote

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors that the switchboard tells apart with errors.Is.
var (
	// ErrUnknown: the backend has no such flag, or the flag no such variant.
	ErrUnknown = errors.New("not declared in the backend")
	// ErrConflict: somebody else changed the flag in between; nothing was written.
	ErrConflict = errors.New("changed in the backend in between")
	// ErrReadOnly: the backend doesn't let the flag be changed in this way, or by
	// these credentials; nothing was written.
	ErrReadOnly = errors.New("the backend refuses the change")
	// ErrUnclear: the backend may or may not have done what was asked for. Only a
	// look at the flag tells.
	ErrUnclear = errors.New("what the backend did isn't known")
	// ErrSlow: the backend didn't answer in time.
	ErrSlow = errors.New("no answer")
	// ErrBusy: the backend wants no requests for a while.
	ErrBusy = errors.New("it asked for no requests")
)

// Abilities is what a backend can do. What it can't is refused in words.
type Abilities struct {
	// Variant: it serves a variant to everyone. Percent and Scope: to a share of
	// the callers, to those with certain properties.
	Variant bool `json:"variant"`
	Percent bool `json:"percent"`
	Scope   bool `json:"scope"`
	// Value: a toggle may bring a value of its own for the variant.
	Value bool `json:"value"`
	// CompareAndSwap: the backend itself refuses a write on an old revision. Where
	// it can't, the flag is read right before and after the write.
	CompareAndSwap bool `json:"compare_and_swap"`
	// DryRun: a plan is held against the backend, which writes nothing.
	DryRun bool `json:"dry_run"`
	// Comment: the reason stands in the backend's own history as well.
	Comment bool `json:"comment"`
}

// State is a flag as a backend has it.
type State struct {
	// Revision is the backend's own, in whatever form; it changes with the flag
	// and perhaps oftener.
	Revision string
	// Definition is what a toggle may change, as JSON: what undo restores.
	Definition json.RawMessage
	// Variants are the values that can be served.
	Variants map[string]json.RawMessage
	// Variant is what a caller without properties gets, "" where that isn't known;
	// Everyone says that all callers get it.
	Variant  string
	Everyone bool
	// Expect, if not nil, evaluates the flag for a caller.
	Expect func(context map[string]any, now time.Time) (variant string)
}

// Fingerprint is a number from 1 to 2^52-1 that stands for the definition,
// whatever the order of its keys and its white space.
func (s State) Fingerprint() int64 {
	sum := sha256.Sum256(Canonical(s.Definition))
	return int64(binary.BigEndian.Uint64(sum[:8])>>12 | 1)
}

// Change is one write.
type Change struct {
	// From is the state that the change was planned on, To the definition that is
	// to be.
	From State
	To   json.RawMessage
	// Variant is what To serves, "" where that isn't known.
	Variant string
	// Toggle is the change's identity, Comment why it is made.
	Toggle  string
	Comment string
	// DryRun: hold it against the backend, and write nothing.
	DryRun bool
}

// Same says whether two definitions are equal but for white space and the order
// of keys.
func Same(a, b json.RawMessage) bool { return bytes.Equal(Canonical(a), Canonical(b)) }

// Canonical writes JSON without white space and with its keys in order. What is
// no JSON stays as it is.
func Canonical(raw json.RawMessage) []byte {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // a large number must not lose its last digits
	var v any
	if !json.Valid(raw) || d.Decode(&v) != nil {
		return raw
	}
	b, err := json.Marshal(v)
	if err != nil {
		return raw
	}
	return b
}

// Digest is a short fingerprint of bytes, as a revision for what has none.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// List writes names for people: at most 20, each cut.
func List(names []string) string {
	more := ""
	if len(names) > 20 {
		more = fmt.Sprintf(" and %d more", len(names)-20)
		names = names[:20]
	}
	short := make([]string, len(names))
	for i, n := range names {
		short[i] = Cut(n, 100)
	}
	return strings.Join(short, ", ") + more
}

// Cut shortens a text from outside to about n bytes and makes it one line of
// valid UTF-8.
func Cut(s string, n int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "�")), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
