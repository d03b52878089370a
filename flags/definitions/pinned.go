package definitions

import "encoding/json"

// Pinned returns the variant that a flag's definition serves to everyone, whether
// by Pin's doing or by its having no targeting rule; "" and true where everyone is
// left to the caller's default. It is false where a rule decides.
func Pinned(definition json.RawMessage) (variant string, everyone bool) {
	var d struct {
		State          string          `json:"state"`
		DefaultVariant *string         `json:"defaultVariant"`
		Targeting      json.RawMessage `json:"targeting"`
	}
	if json.Unmarshal(definition, &d) != nil {
		return "", false
	}
	if d.State == Disabled {
		return "", true
	}
	if isNone(d.Targeting) {
		if d.DefaultVariant == nil {
			return "", true
		}
		return *d.DefaultVariant, true
	}
	var rule struct {
		If []json.RawMessage `json:"if"`
	}
	if json.Unmarshal(d.Targeting, &rule) != nil || len(rule.If) != 3 || string(rule.If[0]) != "true" {
		return "", false
	}
	if json.Unmarshal(rule.If[1], &variant) != nil {
		return "", false
	}
	return variant, true
}
