package definitions

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Scope is a part of the callers. All of its limits hold together.
type Scope struct {
	// Percent of the callers by their targeting key, 0 for no limit. A caller
	// without a key is in no percentage.
	Percent float64
	// In holds, for an attribute of the context, the texts that are in scope.
	In map[string][]string
}

// fine is the total weight of a percentage that isn't a whole number.
const fine = 100_000

// condition is the rule that is true for those in scope. Who is in 25% is in
// 50% as well, since flagd sorts keys by one hash.
func (s Scope) condition() (json.RawMessage, error) {
	var all []any
	for _, name := range slices.Sorted(maps.Keys(s.In)) {
		values := s.In[name]
		if len(values) == 1 {
			all = append(all, map[string]any{"===": []any{map[string]any{"var": name}, values[0]}})
			continue
		}
		all = append(all, map[string]any{"in": []any{map[string]any{"var": name}, values}})
	}
	if s.Percent != 0 {
		hit, total := s.Percent, 100.0
		if hit != math.Trunc(hit) {
			hit, total = math.Round(hit/100*fine), fine
		}
		if !(hit > 0 && hit < total) {
			return nil, fmt.Errorf("limit a rule: %v%% is not between 0 and 100", s.Percent)
		}
		buckets := []any{[]any{"hit", hit}, []any{"miss", total - hit}}
		all = append(all, map[string]any{"==": []any{map[string]any{"fractional": buckets}, "hit"}})
	}
	switch len(all) {
	case 0:
		return nil, fmt.Errorf("limit a rule: the scope has no limit")
	case 1:
		return json.Marshal(all[0])
	}
	return json.Marshal(map[string]any{"and": all})
}

// Narrow returns a flag's definition changed so that it serves one variant to
// those in scope, and to everybody else what it serves without the change. The
// rule that was there is wrapped; where it is a chain of conditions itself the
// new one is put before them, so that many changes don't nest. The variant's
// being declared is the caller's to check.
func Narrow(definition json.RawMessage, scope Scope, variant string) (json.RawMessage, error) {
	var d map[string]json.RawMessage
	if err := json.Unmarshal(definition, &d); err != nil {
		return nil, fmt.Errorf("change flag definition: %w", err)
	}
	condition, err := scope.condition()
	if err != nil {
		return nil, err
	}
	chain := []any{condition, variant}
	if old := d["targeting"]; !isNone(old) {
		var rule map[string]json.RawMessage
		var rest []json.RawMessage
		if json.Unmarshal(old, &rule) == nil && len(rule) == 1 && json.Unmarshal(rule["if"], &rest) == nil && rest != nil {
			for _, r := range rest {
				chain = append(chain, r)
			}
		} else {
			chain = append(chain, old)
		}
	}
	if d["targeting"], err = json.Marshal(map[string]any{"if": chain}); err != nil {
		return nil, fmt.Errorf("change flag definition: %w", err)
	}
	return json.Marshal(d)
}

// Members is a set of one flag that tells who is in scope: it serves "in" to
// those, and "out" to everybody else. The flag has to be the same, as flagd's
// percentages depend on its name.
func Members(flag string, scope Scope) (*Set, error) {
	definition, err := Narrow([]byte(`{"state":"ENABLED","defaultVariant":"out","variants":{"in":true,"out":false}}`), scope, "in")
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(map[string]any{"flags": map[string]json.RawMessage{flag: definition}})
	if err != nil {
		return nil, fmt.Errorf("tell who is in scope: %w", err)
	}
	return Parse(b)
}
