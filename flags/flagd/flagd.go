// Package flagd reads and changes single flags of documents in flagd's format, as
// they stand in files and in FeatureFlag resources.
//
// It promises that a change touches the bytes of its one flag alone, and that a
// toggle wraps the flag's targeting rule just as the switchboard's own definitions
// have it wrapped.
package flagd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"aftershock/flags/definitions"
	"aftershock/flags/remote"
)

// Keys lists the document's flags.
func Keys(document []byte) ([]string, error) {
	set, err := definitions.Parse(document)
	if err != nil {
		return nil, err
	}
	return set.Keys(), nil
}

// Read returns a flag's state, without a revision.
func Read(document []byte, flag string, now time.Time) (remote.State, error) {
	set, err := definitions.Parse(document)
	if err != nil {
		return remote.State{}, err
	}
	f, ok := set.Flag(flag)
	switch {
	case !ok:
		return remote.State{}, fmt.Errorf("flag %q is %w: it has %s", remote.Cut(flag, 100), remote.ErrUnknown, remote.List(set.Keys()))
	case f.Problem != "":
		return remote.State{}, fmt.Errorf("flag %q can't be used as it is defined: %s", remote.Cut(flag, 100), remote.Cut(f.Problem, 300))
	}
	s := remote.State{
		Definition: bytes.Clone(f.Definition), Variants: f.Variants,
		Expect: func(context map[string]any, now time.Time) string { return set.Evaluate(flag, context, now).Variant },
	}
	if s.Variant, s.Everyone = definitions.Pinned(f.Definition); !s.Everyone {
		s.Variant = s.Expect(map[string]any{}, now)
	}
	return s, nil
}

// Pin changes a definition so that everyone gets the variant.
func Pin(definition json.RawMessage, variant string) (json.RawMessage, []string, error) {
	var d struct {
		State    string                     `json:"state"`
		Variants map[string]json.RawMessage `json:"variants"`
	}
	if err := json.Unmarshal(definition, &d); err != nil {
		return nil, nil, fmt.Errorf("read flag definition: %w", err)
	}
	if d.State == definitions.Disabled {
		return nil, nil, fmt.Errorf("%w: the flag is disabled, so its callers use their own defaults; enable it in its definition first", remote.ErrReadOnly)
	}
	if _, ok := d.Variants[variant]; !ok {
		return nil, nil, fmt.Errorf("variant %q is %w", remote.Cut(variant, 100), remote.ErrUnknown)
	}
	to, err := definitions.Pin(definition, variant)
	return to, nil, err
}

// Replace returns the document with another definition of a flag that it has. All
// other bytes stay.
func Replace(document []byte, flag string, to json.RawMessage) ([]byte, error) {
	if !json.Valid(to) {
		return nil, fmt.Errorf("replace flag %q: the new definition is no JSON", remote.Cut(flag, 100))
	}
	from, end, ok := span(document, "flags")
	if ok {
		var start int
		start, end, ok = span(document[from:end], flag)
		start, end = start+from, end+from
		from = start
	}
	if !ok {
		return nil, fmt.Errorf("replace flag %q: it is %w", remote.Cut(flag, 100), remote.ErrUnknown)
	}
	next := make([]byte, 0, len(document)+len(to))
	next = append(append(append(next, document[:from]...), to...), document[end:]...)
	// What can't be read again must not be written.
	if _, err := Read(next, flag, time.Now()); err != nil {
		return nil, fmt.Errorf("%w: %w", remote.ErrReadOnly, err)
	}
	return next, nil
}

// span is where an object's member has its value.
func span(object []byte, key string) (from, end int, ok bool) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return 0, 0, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return 0, 0, false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return 0, 0, false
		}
		if name == key {
			end := int(d.InputOffset())
			return end - len(value), end, true
		}
	}
	return 0, 0, false
}
