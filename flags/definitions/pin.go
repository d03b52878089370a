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
