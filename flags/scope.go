package flags

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/open-feature/go-sdk/openfeature"

	"aftershock/detector"
	"aftershock/flags/definitions"
	"aftershock/flags/policy"
)

const (
	// maxInstances bounds the instances of one scope, maxName their names and that
	// of a region, in bytes.
	maxInstances = 200
	maxName      = 256
	// maxProbes is how many callers are tried to find one in a percentage, and one
	// out of it: at 0.01 % all but one in 10^13 searches succeed.
	maxProbes = 300_000
)

// Attributes name the attributes of callers' contexts that scopes are about.
type Attributes struct {
	// Instance holds the name of the caller's instance, "instance" if left out;
	// Region its region, "region" if left out.
	Instance string `yaml:"instance"`
	Region   string `yaml:"region"`
}

// SetDefaults fills in what was left out.
func (a *Attributes) SetDefaults() {
	if a.Instance == "" {
		a.Instance = "instance"
	}
	if a.Region == "" {
		a.Region = "region"
	}
}

// attribute is a name that rules take for itself; a dot would lead into an object.
var attribute = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,99}$`)

// Validate lists what is wrong, each error with its YAML path under path.
func (a *Attributes) Validate(path string) []error {
	var errs []error
	for name, value := range map[string]string{"instance": a.Instance, "region": a.Region} {
		if !attribute.MatchString(value) || value == openfeature.TargetingKey {
			errs = append(errs, fmt.Errorf("%s.%s: %.40q is no name of an attribute: letters, digits, _ and -", path, name, value))
		}
	}
	if a.Instance == a.Region {
		errs = append(errs, fmt.Errorf("%s.region: is the same as instance", path))
	}
	return errs
}

// checkScope says what is wrong with a scope.
func checkScope(s detector.Scope) error {
	// Not a number is no percentage, whatever it is compared with.
	if s.Percent != 0 && !policy.Percent(s.Percent) {
		return fmt.Errorf("%v is no percentage from 0.01 to 99.99; leave it out for everyone", s.Percent)
	}
	if len(s.Instances) > maxInstances {
		return fmt.Errorf("%d instances, and %d are allowed: use a percentage or a region", len(s.Instances), maxInstances)
	}
	for _, i := range s.Instances {
		if i == "" || len(i) > maxName || !utf8.ValidString(i) {
			return fmt.Errorf("instance %.40q is no UTF-8 text of 1 to %d bytes", i, maxName)
		}
	}
	if len(s.Region) > maxName || !utf8.ValidString(s.Region) {
		return fmt.Errorf("region %.40q is no UTF-8 text of at most %d bytes", s.Region, maxName)
	}
	return nil
}

// rule is the scope in the words of definitions.
func (a Attributes) rule(s detector.Scope) definitions.Scope {
	r := definitions.Scope{Percent: s.Percent, In: map[string][]string{}}
	if len(s.Instances) > 0 {
		r.In[a.Instance] = slices.Compact(slices.Sorted(slices.Values(s.Instances)))
	}
	if s.Region != "" {
		r.In[a.Region] = []string{s.Region}
	}
	return r
}

// change is the flag's definition with the toggle. One for everyone wraps the
// definition under all toggles, as those are masked by it; a limited one wraps
// what is there, which others go on to get.
func (n *snapshot) change(r Request, s *Switchboard) (json.RawMessage, error) {
	if r.Scope.Everyone() {
		base := n.document.base(r.Flag)
		if len(r.Value) > 0 {
			var err error
			if base, err = definitions.Revalue(base, r.Variant, r.Value); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
			}
		}
		return definitions.Pin(base, r.Variant)
	}
	return definitions.Narrow(n.document.Flags[r.Flag], s.config.Attributes.rule(r.Scope), r.Variant)
}

// masked says whether the last toggle in force gives the same already to all
// those in scope.
func (n *snapshot) masked(r Request) bool {
	in := n.document.Acts[r.Flag].Standing
	if len(in) == 0 || n.document.Acts[r.Flag].Last != in[len(in)-1].Toggle {
		return false
	}
	last := in[len(in)-1]
	return last.Variant == r.Variant && last.Scope.Covers(r.Scope)
}

// reached is the variant that those in scope get before the toggle, by one of them.
func (n *snapshot) reached(r Request, s *Switchboard) string {
	if r.Scope.Everyone() {
		return n.served(r.Flag, s)
	}
	callers, err := s.callers(r.Flag, r.Scope)
	if err != nil {
		return n.served(r.Flag, s)
	}
	return n.set.Evaluate(r.Flag, callers[0].context(), s.now()).Variant
}

// gets names a scope as those who get something.
func gets(s detector.Scope) string {
	if s.Everyone() {
		return "everyone gets"
	}
	return s.String() + " get"
}

// explain puts the effect into words, with its doubts.
func (p *Plan) explain(n *snapshot, f definitions.Flag) {
	before := "what they get now"
	if p.Before != "" {
		before = strconv.Quote(p.Before)
	}
	p.Effect = fmt.Sprintf("everyone will get %q instead of %s", p.After, before)
	standing := n.document.Acts[p.Flag].Standing
	if !p.Scope.Everyone() {
		p.Effect = fmt.Sprintf("%s will get %q instead of %s; everybody else keeps what they get", p.Scope, p.After, before)
	}
	if p.Approvals > 0 {
		p.Effect += fmt.Sprintf("; %s other than the planner must approve it", people(p.Approvals))
	}
	if p.Scope.Percent > 0 {
		p.Warnings = append(p.Warnings, "callers are told apart by their targeting key: those without one are in no percentage")
	}
	if len(standing) == 0 && len(f.Targeting) > 0 {
		whom := ""
		if !p.Scope.Everyone() {
			whom = " for " + p.Scope.String()
		}
		p.Warnings = append(p.Warnings, fmt.Sprintf("the targeting rule goes out of force%s until the toggle is undone; %q is what a caller without properties gets from it", whom, p.Before))
	}
	if n := len(standing); n >= maxStanding*3/4 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d toggles of it are in force, and %d may be: undo those that are no longer needed", n, maxStanding))
	}
	held := 0
	for i := range standing {
		if over(standing, i) == nil {
			held++
		}
	}
	switch {
	case held == 0 || !p.Scope.Everyone():
	case held == 1:
		p.Effect += "; the toggle in force comes back when it is undone"
	default:
		p.Effect += fmt.Sprintf("; the %d toggles in force come back when it is undone", held)
	}
}

func people(n int) string {
	if n == 1 {
		return "one person"
	}
	return fmt.Sprintf("%d people", n)
}

// text is the plan for people, line by line.
func (p Plan) text() string {
	var b strings.Builder
	b.WriteString("  " + p.Effect + "\n")
	for _, w := range p.Warnings {
		b.WriteString("  doubt: " + w + "\n")
	}
	return b.String() + p.losses() + p.Diff
}

// caller is somebody whose evaluation is looked at.
type caller struct {
	key        string
	attributes map[string]any
	in         bool // in scope
}

func (c caller) context() map[string]any {
	context := maps.Clone(c.attributes)
	if context == nil {
		context = map[string]any{}
	}
	context[openfeature.TargetingKey] = c.key
	return context
}

// callers are some in scope, which come first, and some out of it; all are in a
// scope of everyone.
func (s *Switchboard) callers(flag string, scope detector.Scope) ([]caller, error) {
	if scope.Everyone() {
		return []caller{{key: probeKey(0), in: true}, {key: probeKey(1), in: true}}, nil
	}
	rule := s.config.Attributes.rule(scope)
	members, err := definitions.Members(flag, rule)
	if err != nil {
		return nil, err
	}
	is := func(c caller) bool { return members.Evaluate(flag, c.context(), s.now()).Variant == "in" }
	inside := map[string]any{}
	for name, values := range rule.In {
		inside[name] = values[0]
	}
	var in, out *caller
	for i := 0; i < maxProbes && (in == nil || out == nil); i++ {
		c := caller{key: probeKey(i), attributes: inside}
		if c.in = is(c); c.in && in == nil {
			in = &c
		} else if !c.in && out == nil {
			out = &c
		}
		if rule.Percent == 0 {
			break // the key doesn't matter
		}
	}
	if in == nil {
		return nil, errors.New("no caller was found that is in scope")
	}
	all := []caller{*in}
	for name, values := range rule.In {
		outside := "aftershock-outside"
		for slices.Contains(values, outside) {
			outside += "-"
		}
		for _, v := range []string{values[len(values)-1], outside} {
			c := caller{key: in.key, attributes: maps.Clone(inside)}
			c.attributes[name] = v
			c.in = is(c)
			all = append(all, c)
		}
	}
	if out != nil {
		all = append(all, *out)
	}
	if !slices.ContainsFunc(all, func(c caller) bool { return !c.in }) {
		return nil, errors.New("no caller was found that is out of scope")
	}
	return all, nil
}

func probeKey(n int) string { return "aftershock-probe-" + strconv.Itoa(n) }

// beneath is the flag as it was before the toggle; pin is false where the toggle
// isn't the last in force.
func (n *snapshot) beneath(t detector.Toggle) (before *definitions.Set, pin bool, err error) {
	in := n.document.Acts[t.Flag].Standing
	if len(in) == 0 || in[len(in)-1].Toggle != t.ID {
		return nil, false, nil
	}
	d := n.document
	d.Flags = map[string]json.RawMessage{t.Flag: in[len(in)-1].Replaced}
	before, err = d.set()
	return before, true, err
}

// seen says that the toggle was verified.
func (s *Switchboard) seen(t detector.Toggle, after time.Duration) string {
	callers, err := s.callers(t.Flag, t.Scope)
	n := passes * len(callers)
	if err != nil || t.Scope.Everyone() {
		return fmt.Sprintf("seen through OpenFeature: %d of %d evaluations in a row gave variant %q at revision %s, %s after it was written",
			n, n, t.After, t.Revision, after)
	}
	return fmt.Sprintf("seen through OpenFeature: %d of %d evaluations in a row, in scope (%s) and out of it, were as written at revision %s, %s after it was written",
		n, n, t.Scope, t.Revision, after)
}
