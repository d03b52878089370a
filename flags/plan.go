package flags

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"aftershock/detector"
	"aftershock/flags/definitions"
	"aftershock/flags/policy"
)

// maxText bounds what people say about a toggle, and maxValue the value that they
// give a variant, in bytes.
const (
	maxText  = 2000
	maxValue = 64 << 10
)

// MaxAccepts bounds the price of a toggle: what costs more isn't a compromise.
const MaxAccepts = 10

// Request asks for a toggle.
type Request struct {
	Flag    string
	Variant string
	// Value, if not empty, is the variant's value while the toggle stands: JSON of
	// the kind that it has in the definition.
	Value json.RawMessage
	// Accepts, if not 0, is how many times as many requests over a bound in the tail
	// are taken as the toggle's price: over 1, at most MaxAccepts.
	Accepts float64
	// Reason and Actor are required; Incident and Upgrade are references.
	Reason   string
	Actor    string
	Incident string
	Upgrade  string
	// Revision, if not 0, is the revision that the person saw: the toggle is
	// refused where any flag was changed since.
	Revision int64
	// DryRun plans only.
	DryRun bool
	// Scope is whom the toggle is for; its zero value is everyone.
	Scope detector.Scope
	// Expires is after how long a person is to look at the toggle again, nil as the
	// policy has it, 0 never; OnExpiry what happens then, "" as the policy has it.
	Expires  *time.Duration
	OnExpiry string
	// Emergency is why the toggle can't wait for the approval that the policy asks
	// for: it is then made at once, audited as such, and people are alerted.
	Emergency string
	// Decision is the decision of the automation that asks, "" for a person, and
	// the toggle's ID: asked again, nothing happens. Propose puts it before a person.
	Decision string
	Propose  bool
	// Under are the rules that the decision was made by: where others hold by now it
	// isn't carried out. Nil lets any.
	Under *Rules
}

// Plan is what a toggle would do.
type Plan struct {
	Flag   string `json:"flag"`
	Before string `json:"before"`
	After  string `json:"after"`
	// Revision is the one that the plan was made on.
	Revision int64 `json:"revision"`
	// Value is what will be served.
	Value json.RawMessage `json:"value"`
	// Scope is whom it is for, Effect says in words what would change for whom.
	Scope  detector.Scope `json:"scope,omitzero"`
	Effect string         `json:"effect"`
	// Approvals is how many other people have to approve it.
	Approvals int `json:"approvals,omitempty"`
	// Diff shows the definition before and after, line by line.
	Diff string `json:"diff"`
	// Warnings are doubts: a targeting rule that goes out of force, say.
	Warnings []string `json:"warnings,omitempty"`
	// MayLose are indicators that an upgrade improved and that a binary which the flag
	// gates is behind: Preview and Set look for them.
	MayLose []detector.Gain `json:"may_lose,omitempty"`

	definition json.RawMessage
}

// Plan says what a toggle would do and changes nothing. What may be lost with it is left
// out.
func (s *Switchboard) Plan(r Request) (Plan, error) { return s.serving.Load().plan(r, s) }

func (n *snapshot) plan(r Request, s *Switchboard) (Plan, error) {
	if err := r.check(); err != nil {
		return Plan{}, err
	}
	f, err := n.flag(r.Flag)
	if err != nil {
		return Plan{}, err
	}
	if f.Problem != "" {
		return Plan{}, fmt.Errorf("set flag %q: %w: its definition can't be served: %s", r.Flag, ErrInvalid, f.Problem)
	}
	value, ok := f.Variants[r.Variant]
	if !ok {
		return Plan{}, fmt.Errorf("set flag %q: variant %q is %w: it has %s", r.Flag, cut(r.Variant, 100), ErrUnknown, strings.Join(f.VariantNames(), ", "))
	}
	if f.State == definitions.Disabled {
		return Plan{}, fmt.Errorf("set flag %q: %w: the flag is disabled, so its callers use their own defaults; enable it in its definition first", r.Flag, ErrInvalid)
	}
	if r.Revision != 0 && r.Revision != n.revision {
		return Plan{}, fmt.Errorf("set flag %q: %w: you saw revision %d, it is %d by now; look again", r.Flag, ErrConflict, r.Revision, n.revision)
	}
	if err := room(r.Flag, len(n.document.Acts[r.Flag].Standing)); err != nil {
		return Plan{}, err
	}
	definition, err := n.change(r, s)
	if err != nil {
		return Plan{}, fmt.Errorf("set flag %q: %w", r.Flag, err)
	}
	value = valueIn(definition, r.Variant, value)
	p := Plan{
		Flag: r.Flag, Before: n.reached(r, s), After: r.Variant, Revision: n.revision, Value: value, definition: definition,
		Scope: r.Scope, Approvals: s.Rules().Policy.For(r.Flag).Approvals(),
	}
	old := n.document.Flags[r.Flag]
	// The order of the keys may differ.
	if slices.Equal(lines(old), lines(definition)) || !r.Scope.Everyone() && n.masked(r) {
		return Plan{}, fmt.Errorf("set flag %q: %w: %s %q already", r.Flag, ErrUnchanged, gets(r.Scope), r.Variant)
	}
	p.Diff = diff(old, definition)
	p.explain(n, f)
	if len(r.Value) > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%q has another value until the toggle is undone or another is set", r.Variant))
	}
	return p, nil
}

// valueIn is the value that a variant has in a definition: that of what is served now
// may be a toggle's own. Where there is none it is preset.
func valueIn(definition []byte, variant string, preset json.RawMessage) json.RawMessage {
	var d struct {
		Variants map[string]json.RawMessage `json:"variants"`
	}
	if json.Unmarshal(definition, &d) != nil {
		return preset
	}
	if v, ok := d.Variants[variant]; ok {
		return v
	}
	return preset
}

// check says what the request lacks.
func (r Request) check() error {
	switch {
	case r.Flag == "":
		return fmt.Errorf("set flag: %w: no flag named", ErrInvalid)
	case strings.TrimSpace(r.Reason) == "":
		return fmt.Errorf("set flag %q: %w: a reason is required", cut(r.Flag, 100), ErrInvalid)
	case len(r.Value) > maxValue || len(r.Value) > 0 && !json.Valid(r.Value):
		return fmt.Errorf("set flag %q: %w: the value isn't JSON of at most %d bytes", cut(r.Flag, 100), ErrInvalid, maxValue)
	}
	if r.Accepts != 0 && !(r.Accepts > 1 && r.Accepts <= MaxAccepts) {
		return fmt.Errorf("set flag %q: %w: a longer tail is accepted as a ratio over 1 and up to %d, not %g", cut(r.Flag, 100), ErrInvalid, MaxAccepts, r.Accepts)
	}
	if err := r.checkTexts(); err != nil {
		return err
	}
	if err := r.checkTerm(); err != nil {
		return fmt.Errorf("set flag %q: %w: %w", cut(r.Flag, 100), ErrInvalid, err)
	}
	if len(r.Value) > 0 && !r.Scope.Everyone() {
		return fmt.Errorf("set flag %q: %w: a variant's own value is for everyone who gets the variant: leave out the value or the limits", cut(r.Flag, 100), ErrInvalid)
	}
	if err := checkScope(r.Scope); err != nil {
		return fmt.Errorf("set flag %q: %w: %w", cut(r.Flag, 100), ErrInvalid, err)
	}
	return nil
}

// checkTexts says which of the request's texts can't be taken.
func (r Request) checkTexts() error {
	switch {
	case r.Actor == "":
		return fmt.Errorf("set flag %q: %w: nobody named as the actor", cut(r.Flag, 100), ErrInvalid)
	case sameActor(r.Actor, policy.Actor) && r.Decision == "":
		return fmt.Errorf("set flag %q: %w: the automation's name is no person's", cut(r.Flag, 100), ErrInvalid)
	}
	for name, text := range map[string]string{
		"reason": r.Reason, "actor": r.Actor, "incident": r.Incident, "upgrade": r.Upgrade, "emergency": r.Emergency,
	} {
		if len(text) > maxText || !utf8.ValidString(text) {
			return fmt.Errorf("set flag %q: %w: the %s is no UTF-8 text of at most %d bytes", cut(r.Flag, 100), ErrInvalid, name, maxText)
		}
	}
	return nil
}

// flag returns a flag of the set, or an error that names those that there are.
func (n *snapshot) flag(key string) (definitions.Flag, error) {
	f, ok := n.set.Flag(key)
	if ok {
		return f, nil
	}
	keys := n.set.Keys()
	there := "none is"
	if len(keys) > 0 {
		more := ""
		if len(keys) > 20 {
			more = fmt.Sprintf(" and %d more", len(keys)-20)
			keys = keys[:20]
		}
		there = "declared: " + strings.Join(keys, ", ") + more
	}
	return f, fmt.Errorf("flag %q is %w (%s)", cut(key, 100), ErrUnknown, there)
}

// served is the variant that a caller without properties gets, "" where it gets
// none. Where a toggle is for a percentage it has no targeting key either, and so
// is in none.
func (n *snapshot) served(flag string, s *Switchboard) string {
	context := probe(0)
	for _, t := range n.document.Acts[flag].Standing {
		if t.Scope.Percent > 0 {
			context = nil
		}
	}
	return n.set.Evaluate(flag, context, s.now()).Variant
}

// toggle makes the audit's first line of a plan.
func (s *Switchboard) toggle(r Request, p Plan) detector.Toggle {
	now := s.now().UTC()
	return detector.Toggle{
		Flag: r.Flag, Before: p.Before, After: p.After, Reason: strings.TrimSpace(r.Reason), Actor: r.Actor,
		Incident: r.Incident, Upgrade: r.Upgrade, At: now, Updated: now,
		State: detector.TogglePlanned, Revision: strconv.FormatInt(p.Revision, 10), Value: p.Value, Scope: r.Scope,
		Emergency: strings.TrimSpace(r.Emergency), Decision: r.Decision,
		OwnValue: len(r.Value) > 0, Accepts: r.Accepts, MayLose: p.MayLose,
	}
}

// diff is the lines of two JSON texts, those of a alone marked by "-" and those
// of b alone by "+".
func diff(a, b json.RawMessage) string {
	la, lb := lines(a), lines(b)
	// The table below is quadratic; definitions of this size nobody reads.
	if len(la)*len(lb) > 1_000_000 {
		return fmt.Sprintf("(%d lines replaced by %d)\n", len(la), len(lb))
	}
	// longest[i][j] is the length of the longest common part of la[i:] and lb[j:].
	longest := make([][]int, len(la)+1)
	for i := range longest {
		longest[i] = make([]int, len(lb)+1)
	}
	for i := len(la) - 1; i >= 0; i-- {
		for j := len(lb) - 1; j >= 0; j-- {
			if la[i] == lb[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(la) || j < len(lb); {
		switch {
		case i < len(la) && j < len(lb) && la[i] == lb[j]:
			out.WriteString("  " + la[i] + "\n")
			i, j = i+1, j+1
		case i < len(la) && (j == len(lb) || longest[i+1][j] >= longest[i][j+1]):
			out.WriteString("- " + la[i] + "\n")
			i++
		default:
			out.WriteString("+ " + lb[j] + "\n")
			j++
		}
	}
	return out.String()
}

// lines writes JSON with its keys in order, a member a line.
func lines(raw json.RawMessage) []string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return []string{string(raw)}
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return []string{string(raw)}
	}
	return strings.Split(string(b), "\n")
}

// cut shortens s to at most n bytes at a rune's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
