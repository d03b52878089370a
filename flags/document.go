package flags

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"aftershock/detector"
	"aftershock/flags/definitions"
)

const (
	// maxFile bounds the file of definitions and maxDocument the document in the
	// store, which also holds what toggles replaced, in bytes.
	maxFile     = 1 << 20
	maxDocument = 4 << 20
	// maxStanding is the number of toggles of one flag that can be in force: each can
	// be undone, which takes what it replaced.
	maxStanding = 128
)

// room refuses a toggle of a flag of which n are in force.
func room(flag string, n int) error {
	if n < maxStanding {
		return nil
	}
	return fmt.Errorf("set flag %q: %w: %d of it are, one over the other; undo some of them first", flag, ErrFull, n)
}

// document is what the store keeps: the definitions as they are served, and
// beside them what it takes to undo.
type document struct {
	// Definitions is a flagd document, in which flags are replaced one by one.
	Definitions map[string]json.RawMessage `json:"definitions"`
	Flags       map[string]json.RawMessage `json:"flags"`
	// File holds the digest of each definition as last taken from the file.
	File map[string]string `json:"file,omitempty"`
	// Acts holds what was done to each flag.
	Acts map[string]act `json:"acts,omitempty"`
	// Away holds what was done to flags that live in backends.
	Away map[string]away `json:"away,omitempty"`
}

// act is what was done to one flag by toggles.
type act struct {
	// Last is the toggle that wrote the flag last, Undoes the one that it undid,
	// "" if it was no undo.
	Last   string `json:"last"`
	Undoes string `json:"undoes,omitempty"`
	// Standing are the toggles in force, the latest at the end.
	Standing []standing `json:"standing,omitempty"`
}

// standing is a toggle that can be undone.
type standing struct {
	Toggle string `json:"toggle"`
	// Variant is what the toggle set, Before what was served before it.
	Variant string `json:"variant"`
	Before  string `json:"before"`
	// Replaced is the definition before the toggle, to the byte.
	Replaced []byte `json:"replaced"`
	// Scope is whom the toggle is for.
	Scope detector.Scope `json:"scope,omitzero"`
}

func emptyDocument() document {
	return document{
		Definitions: map[string]json.RawMessage{}, Flags: map[string]json.RawMessage{},
		File: map[string]string{}, Acts: map[string]act{}, Away: map[string]away{},
	}
}

func readDocument(b []byte) (document, error) {
	d := emptyDocument()
	if err := json.Unmarshal(b, &d); err != nil {
		return document{}, err
	}
	if d.Definitions == nil || d.Flags == nil {
		return document{}, fmt.Errorf("the document has no definitions")
	}
	if d.File == nil {
		d.File = map[string]string{}
	}
	if d.Acts == nil {
		d.Acts = map[string]act{}
	}
	if d.Away == nil {
		d.Away = map[string]away{}
	}
	return d, nil
}

// clone copies d so far that flags, digests and acts can be replaced.
func (d document) clone() document {
	return document{
		Definitions: maps.Clone(d.Definitions), Flags: maps.Clone(d.Flags),
		File: maps.Clone(d.File), Acts: maps.Clone(d.Acts), Away: maps.Clone(d.Away),
	}
}

// flagd is the document in flagd's format.
func (d document) flagd() ([]byte, error) {
	whole := maps.Clone(d.Definitions)
	flags, err := json.Marshal(d.Flags)
	if err != nil {
		return nil, err
	}
	whole["flags"] = flags
	return json.Marshal(whole)
}

func (d document) set() (*definitions.Set, error) {
	b, err := d.flagd()
	if err != nil {
		return nil, fmt.Errorf("write flag definitions: %w", err)
	}
	return definitions.Parse(b)
}

// base is the definition under the standing toggles: what new toggles wrap.
func (d document) base(flag string) json.RawMessage {
	if s := d.Acts[flag].Standing; len(s) > 0 {
		return s[0].Replaced
	}
	return d.Flags[flag]
}

// inForce are the toggles of a flag in force, the latest at the end, wherever it lives.
func (d document) inForce(flag string) []standing {
	all := slices.Clone(d.Acts[flag].Standing)
	for _, in := range d.Away[flag].Standing {
		all = append(all, standing{Toggle: in.Toggle, Variant: in.Variant})
	}
	return all
}

// over is the toggle that lies over the i-th of a flag's standing ones for all that it is
// for, nil where there is none.
func over(stack []standing, i int) *detector.Replacement {
	for _, later := range stack[i+1:] {
		if later.Scope.Covers(stack[i].Scope) {
			return &detector.Replacement{Toggle: later.Toggle, Variant: later.Variant}
		}
	}
	return nil
}

// replaced are the toggles that stand under others, with those that lie over them.
func (d document) replaced() map[string]*detector.Replacement {
	by := map[string]*detector.Replacement{}
	for _, flag := range slices.Concat(slices.Collect(maps.Keys(d.Acts)), slices.Collect(maps.Keys(d.Away))) {
		stack := d.inForce(flag)
		for i, in := range stack {
			if later := over(stack, i); later != nil {
				by[in.Toggle] = later
			}
		}
	}
	return by
}

// toggled returns d with a toggle of the flag on top.
func (d document) toggled(flag string, definition json.RawMessage, s standing) document {
	next := d.clone()
	s.Replaced = d.Flags[flag]
	next.Acts[flag] = act{Last: s.Toggle, Standing: append(slices.Clone(d.Acts[flag].Standing), s)}
	next.Flags[flag] = definition
	return next
}

// undone returns d without the flag's last toggle. There must be one.
func (d document) undone(flag, toggle string) document {
	next := d.clone()
	before := d.Acts[flag].Standing
	last := before[len(before)-1]
	next.Acts[flag] = act{Last: toggle, Undoes: last.Toggle, Standing: slices.Clone(before[:len(before)-1])}
	next.Flags[flag] = last.Replaced
	return next
}

// changes is what a merge of the file did, as keys of flags.
type changes struct {
	added, changed, removed []string
	// kept are those that the file changed or dropped, but a toggle is standing.
	kept []string
	any  bool
}

func (c changes) held() bool { return len(c.kept) > 0 }

// mergeFile returns d with the definitions of a file (flagd's format) taken in:
// flags that are new or differ from what the file had before, and the rest of
// the document. What the file didn't change stays as it is in d, and so does a
// flag with a standing toggle.
func (d document) mergeFile(file []byte) (document, changes, error) {
	var whole map[string]json.RawMessage
	var flags map[string]json.RawMessage
	var c changes
	if err := json.Unmarshal(file, &whole); err != nil {
		return d, c, err
	}
	if err := json.Unmarshal(whole["flags"], &flags); err != nil {
		return d, c, fmt.Errorf("read flags: %w", err)
	}
	delete(whole, "flags")
	next := d.clone()
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		digest := digest(flags[key])
		known, have := d.Flags[key]
		switch {
		case d.File[key] == digest:
			continue
		case len(d.Acts[key].Standing) > 0:
			c.kept = append(c.kept, key)
			continue
		case !have:
			c.added = append(c.added, key)
		case !bytes.Equal(known, compact(flags[key])):
			c.changed = append(c.changed, key)
		}
		next.Flags[key], next.File[key] = compact(flags[key]), digest
		c.any = true
	}
	for _, key := range slices.Sorted(maps.Keys(d.File)) {
		if _, ok := flags[key]; ok {
			continue
		}
		if len(d.Acts[key].Standing) > 0 {
			c.kept = append(c.kept, key)
			continue
		}
		c.removed, c.any = append(c.removed, key), true
		delete(next.Flags, key)
		delete(next.File, key)
	}
	for name, raw := range whole {
		whole[name] = compact(raw)
	}
	if !maps.EqualFunc(whole, d.Definitions, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		next.Definitions, c.any = whole, true
	}
	return next, c, nil
}

// compact drops the white space of valid JSON. Definitions are kept this way,
// as encoding/json would write them so in any case.
func compact(raw json.RawMessage) json.RawMessage {
	b, err := json.Marshal(raw)
	if err != nil {
		return raw
	}
	return b
}

func digest(raw json.RawMessage) string {
	sum := sha256.Sum256(compact(raw))
	return hex.EncodeToString(sum[:])
}
