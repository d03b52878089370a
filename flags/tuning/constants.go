package tuning

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// Strategies of waiting. The wait before retry n, counted from 1, is
//
//	constant     base
//	linear       n * base
//	exponential  base * factor^(n-1)
//
// each at most the cap.
const (
	Constant    = "constant"
	Linear      = "linear"
	Exponential = "exponential"
)

var strategies = [...]string{Constant, Linear, Exponential}

// Jitters that have names: Marc Brooker, "Exponential Backoff And Jitter", AWS
// Architecture Blog, 2015. With d the wait without jitter, full is uniform in
// [0, d), equal in [d/2, d), and decorrelated is uniform between the base and three
// times the wait before, at most the cap.
const (
	NoJitter     = "none"
	Full         = "full"
	Equal        = "equal"
	Decorrelated = "decorrelated"
)

// Bounds of constants.
const (
	maxAttempts = 20
	maxMS       = 600_000 // ten minutes, of any wait or timeout
	maxFactor   = 10
)

// Constants say how a call to a third party is tried again. All times are
// milliseconds.
type Constants struct {
	// Strategy is Constant, Linear or Exponential.
	Strategy string `json:"strategy"`
	// BaseMS is the first wait and CapMS the longest; 0..600000, base <= cap.
	BaseMS float64 `json:"base_ms"`
	CapMS  float64 `json:"cap_ms"`
	// Factor is that of Exponential, 1..10.
	Factor float64 `json:"factor"`
	// Jitter spreads a wait d to d*(1-j)..d*(1+j), unless it has a name.
	Jitter Jitter `json:"jitter"`
	// MaxAttempts is how often a call is tried at most, 1..20.
	MaxAttempts int `json:"max_attempts"`
	// SlowMS is how long an attempt may take before it is given up, except the
	// last; 0 means as long as the last.
	SlowMS float64 `json:"slow_ms"`
	// TimeoutMS is how long the last attempt may take, DeadlineMS the whole call
	// with its waits; 0 means as long as it takes.
	TimeoutMS  float64 `json:"timeout_ms"`
	DeadlineMS float64 `json:"deadline_ms"`
}

// Jitter is one of the named ways, or a spread in 0..1 where Name is "".
type Jitter struct {
	Name   string
	Spread float64
}

// MarshalJSON writes the name or the number.
func (j Jitter) MarshalJSON() ([]byte, error) {
	if j.Name != "" {
		return json.Marshal(j.Name)
	}
	return json.Marshal(j.Spread)
}

// UnmarshalJSON reads a name or a number.
func (j *Jitter) UnmarshalJSON(b []byte) error {
	*j = Jitter{}
	if bytes.HasPrefix(b, []byte(`"`)) {
		if err := json.Unmarshal(b, &j.Name); err != nil {
			return err
		}
		if j.Name == NoJitter {
			j.Name = ""
		}
		return nil
	}
	return json.Unmarshal(b, &j.Spread)
}

func (j Jitter) String() string {
	if j.Name != "" {
		return j.Name
	}
	return fmt.Sprintf("%.3g", j.Spread)
}

// Parse reads constants from a JSON object; what beneath has is taken where the
// object says nothing. Needed are base_ms and max_attempts. Left out, strategy is
// exponential, factor 2, cap_ms the bound, and the rest 0. Keys that aren't
// constants are ignored, and answered in order; a value beyond reason is an error
// of one line that names its key.
func Parse(object []byte, beneath map[string]any) (c Constants, ignored []string, err error) {
	var own map[string]json.RawMessage
	d := json.NewDecoder(bytes.NewReader(object))
	if err := d.Decode(&own); err != nil || own == nil {
		return c, nil, errors.New("constants aren't a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, nil, errors.New("there is something after the JSON object of constants")
	}
	all := map[string]json.RawMessage{}
	for k, v := range beneath {
		if all[k], err = json.Marshal(v); err != nil {
			return c, nil, fmt.Errorf("constant %q can't be written as JSON", k)
		}
	}
	maps.Copy(all, own)
	var named string
	if json.Unmarshal(own["strategy"], &named) == nil && !slices.Contains(strategies[:], named) && beneath["strategy"] != nil {
		// A name of its own stands for what the configuration says of it.
		if all["strategy"], err = json.Marshal(beneath["strategy"]); err != nil {
			return c, nil, errors.New("constant strategy can't be written as JSON")
		}
	}
	c = Constants{Strategy: Exponential, CapMS: maxMS, Factor: 2}
	fields := map[string]any{
		"strategy": &c.Strategy, "base_ms": &c.BaseMS, "cap_ms": &c.CapMS, "factor": &c.Factor, "jitter": &c.Jitter,
		"max_attempts": &c.MaxAttempts, "slow_ms": &c.SlowMS, "timeout_ms": &c.TimeoutMS, "deadline_ms": &c.DeadlineMS,
	}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		to, known := fields[k]
		if !known {
			ignored = append(ignored, k)
			continue
		}
		if err := json.Unmarshal(all[k], to); err != nil {
			return c, nil, fmt.Errorf("constant %s: %.40s is no value for it", k, all[k])
		}
	}
	for _, k := range []string{"base_ms", "max_attempts"} {
		if _, ok := all[k]; !ok {
			return c, nil, fmt.Errorf("constant %s is missing", k)
		}
	}
	return c, ignored, c.check()
}

// CheckPart says what is wrong with constants of which some may be missing.
func CheckPart(part map[string]any) error {
	own := map[string]any{"base_ms": 0, "max_attempts": 1}
	maps.Copy(own, part)
	b, err := json.Marshal(own)
	if err != nil {
		return errors.New("constants can't be written as JSON")
	}
	_, ignored, err := Parse(b, nil)
	if err == nil && len(ignored) > 0 {
		return fmt.Errorf("%.80q is no constant", ignored[0])
	}
	return err
}

// check says what can't be, in one line.
func (c Constants) check() error {
	if !slices.Contains(strategies[:], c.Strategy) {
		return fmt.Errorf("constant strategy: %.40q is none of constant, linear, exponential; say under tunes.constants what it stands for", c.Strategy)
	}
	switch c.Jitter.Name {
	case "", Full, Equal, Decorrelated:
	default:
		return fmt.Errorf("constant jitter: %.40q is none of none, full, equal, decorrelated, nor a number", c.Jitter.Name)
	}
	if c.MaxAttempts < 1 || c.MaxAttempts > maxAttempts {
		return fmt.Errorf("constant max_attempts: %d isn't within 1..%d", c.MaxAttempts, maxAttempts)
	}
	for _, b := range []struct {
		name           string
		value, low, up float64
	}{
		{"base_ms", c.BaseMS, 0, maxMS},
		{"cap_ms", c.CapMS, 0, maxMS},
		{"factor", c.Factor, 1, maxFactor},
		{"jitter", c.Jitter.Spread, 0, 1},
		{"slow_ms", c.SlowMS, 0, maxMS},
		{"timeout_ms", c.TimeoutMS, 0, maxMS},
		{"deadline_ms", c.DeadlineMS, 0, 6 * maxMS},
	} {
		if !(b.value >= b.low && b.value <= b.up) { // false for NaN
			return fmt.Errorf("constant %s: %g isn't within %g..%g", b.name, b.value, b.low, b.up)
		}
	}
	if c.CapMS < c.BaseMS {
		return fmt.Errorf("constant cap_ms: %g is less than base_ms, %g", c.CapMS, c.BaseMS)
	}
	return nil
}

// patience is how long an attempt, counted from 1, may take; +Inf without bound.
func (c Constants) patience(attempt int) float64 {
	p := c.TimeoutMS
	if attempt < c.MaxAttempts && c.SlowMS > 0 {
		p = c.SlowMS
	}
	if p == 0 {
		return math.Inf(1)
	}
	return p
}

// wait is the wait before a retry, counted from 1, after a wait of before; u is
// uniform in [0, 1).
func (c Constants) wait(retry int, before, u float64) float64 {
	if c.Jitter.Name == Decorrelated {
		low := c.BaseMS
		return min(c.CapMS, low+u*(3*max(before, low)-low))
	}
	d := c.BaseMS
	switch c.Strategy {
	case Linear:
		d *= float64(retry)
	case Exponential:
		d *= math.Pow(c.Factor, float64(retry-1))
	}
	d = min(d, c.CapMS)
	switch c.Jitter.Name {
	case Full:
		return u * d
	case Equal:
		return d/2 + u*d/2
	}
	return d * (1 + c.Jitter.Spread*(2*u-1))
}

// Text is the constants in short.
func (c Constants) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %g ms", c.Strategy, c.BaseMS)
	if c.Strategy == Exponential {
		fmt.Fprintf(&b, " ×%.3g", c.Factor)
	}
	if c.CapMS < maxMS && c.Strategy != Constant {
		fmt.Fprintf(&b, " ≤%g ms", c.CapMS)
	}
	if c.Jitter.Name != "" || c.Jitter.Spread > 0 {
		fmt.Fprintf(&b, ", jitter %s", c.Jitter)
	}
	fmt.Fprintf(&b, ", %d attempts", c.MaxAttempts)
	for _, t := range []struct {
		name string
		ms   float64
	}{{"slow after", c.SlowMS}, {"timeout", c.TimeoutMS}, {"deadline", c.DeadlineMS}} {
		if t.ms > 0 {
			fmt.Fprintf(&b, ", %s %g ms", t.name, t.ms)
		}
	}
	return b.String()
}
