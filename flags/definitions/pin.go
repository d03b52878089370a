package definitions

import (
	"encoding/json"
	"fmt"
)

// Pin returns a flag's definition changed so that it serves one variant to
// everyone. A targeting rule is wrapped rather than dropped: changing the
// default variant alone would leave it in force. What the definition says
// besides is kept. The variant's being declared is the caller's to check.
func Pin(definition json.RawMessage, variant string) (json.RawMessage, error) {
	var d map[string]json.RawMessage
	if err := json.Unmarshal(definition, &d); err != nil {
		return nil, fmt.Errorf("change flag definition: %w", err)
	}
	name, err := json.Marshal(variant)
	if err != nil {
		return nil, fmt.Errorf("change flag definition: %w", err)
	}
	if isNone(d["targeting"]) {
		d["defaultVariant"] = name
	} else {
		d["targeting"], err = json.Marshal(map[string]any{"if": []any{true, json.RawMessage(name), d["targeting"]}})
		if err != nil {
			return nil, fmt.Errorf("change flag definition: %w", err)
		}
	}
	return json.Marshal(d)
}

// Revalue returns a flag's definition with another value for a variant that it
// declares, of the same kind of JSON: a boolean doesn't become an object.
func Revalue(definition json.RawMessage, variant string, value json.RawMessage) (json.RawMessage, error) {
	var d map[string]json.RawMessage
	var variants map[string]json.RawMessage
	if err := json.Unmarshal(definition, &d); err != nil {
		return nil, fmt.Errorf("change flag definition: %w", err)
	}
	if err := json.Unmarshal(d["variants"], &variants); err != nil {
		return nil, fmt.Errorf("change flag definition: read its variants: %w", err)
	}
	var was, is any
	if err := json.Unmarshal(variants[variant], &was); err != nil {
		return nil, fmt.Errorf("change flag definition: read variant %q: %w", variant, err)
	}
	if err := json.Unmarshal(value, &is); err != nil {
		return nil, fmt.Errorf("change flag definition: read the value: %w", err)
	}
	if was, is := fmt.Sprintf("%T", was), fmt.Sprintf("%T", is); was != is {
		return nil, fmt.Errorf("change flag definition: the value of variant %q is of another kind than it was", variant)
	}
	variants[variant] = value
	var err error
	if d["variants"], err = json.Marshal(variants); err != nil {
		return nil, fmt.Errorf("change flag definition: %w", err)
	}
	return json.Marshal(d)
}
