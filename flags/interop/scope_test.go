package interop

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"aftershock/flags/definitions"
)

// limited puts toggles for a part of the callers over every second flag, up to
// three of them: the official evaluators must see the same in their rules.
func limited(t *testing.T, r *rand.Rand, document []byte) []byte {
	t.Helper()
	set, err := definitions.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	var whole, all map[string]json.RawMessage
	if err := json.Unmarshal(document, &whole); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(whole["flags"], &all); err != nil {
		t.Fatal(err)
	}
	scopes := []definitions.Scope{
		{Percent: 25},
		{Percent: 0.5},
		{Percent: 62.5},
		{In: map[string][]string{"region": {"eu"}}},
		{In: map[string][]string{"region": {"us", "eu"}}},
		{Percent: 50, In: map[string][]string{"region": {"eu", "us"}, "tier": {"gold"}}},
	}
	for n, key := range set.Keys() {
		f, _ := set.Flag(key)
		for range n % 2 * (1 + r.IntN(3)) {
			names := f.VariantNames()
			if all[key], err = definitions.Narrow(all[key], scopes[r.IntN(len(scopes))], names[r.IntN(len(names))]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if whole["flags"], err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	changed, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
