package definitions

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/diegoholiveira/jsonlogic/v3"
)

// Reasons and error codes of a resolution, in OpenFeature's words.
const (
	ReasonStatic    = "STATIC"
	ReasonDefault   = "DEFAULT"
	ReasonTargeting = "TARGETING_MATCH"
	ReasonDisabled  = "DISABLED"
	ReasonError     = "ERROR"

	CodeFlagNotFound = "FLAG_NOT_FOUND"
	CodeParseError   = "PARSE_ERROR"
	CodeGeneral      = "GENERAL"
)

// propertiesKey is where rules find flagd's own properties in the context.
const propertiesKey = "$flagd"

// Resolution is the answer to one evaluation.
type Resolution struct {
	// Value is JSON. It is nil where an error came up, and where the caller's
	// own default applies: for a disabled flag, and for one without a default
	// variant when no rule matched.
	Value   json.RawMessage
	Variant string
	Reason  string
	// Metadata is the set's with the flag's over it; it is shared, so the caller
	// must not change it.
	Metadata map[string]any
	// ErrorCode is "" unless Reason is ERROR.
	ErrorCode    string
	ErrorDetails string
}

// Evaluate resolves a flag for a context, which holds values as encoding/json
// decodes them (numbers are float64). now is what rules see as
// $flagd.timestamp. The context isn't changed.
func (s *Set) Evaluate(key string, context map[string]any, now time.Time) Resolution {
	return s.For(context, now).Evaluate(key)
}

// Caller is a context in which many flags may be resolved, one after the other.
type Caller struct {
	set     *Set
	context map[string]any
	now     time.Time
	data    map[string]any // what rules see, made when the first one is applied
	longest int            // the length of the context's longest list, once data is made
}

// For is Evaluate for many flags, at the cost of one copy of the context.
func (s *Set) For(context map[string]any, now time.Time) *Caller {
	return &Caller{set: s, context: context, now: now}
}

// Evaluate resolves a flag.
func (c *Caller) Evaluate(key string) Resolution {
	s := c.set
	f, ok := s.flags[key]
	if !ok {
		return failed(s.metadata, CodeFlagNotFound, fmt.Sprintf("flag %q isn't defined", cut(key, MaxKey)))
	}
	metadata := f.Metadata
	if f.err != nil {
		return failed(metadata, CodeParseError, fmt.Sprintf("flag %q can't be served: %v", key, f.err))
	}
	if f.State == Disabled {
		return Resolution{Reason: ReasonDisabled, Metadata: metadata}
	}
	if f.rule == nil {
		return f.serveDefault(ReasonStatic, metadata)
	}
	result, err := c.apply(f)
	if err != nil {
		return failed(metadata, CodeParseError, fmt.Sprintf("evaluate targeting of flag %q: %v", key, err))
	}
	variant := ""
	switch result := result.(type) {
	case nil:
		return f.serveDefault(ReasonDefault, metadata)
	case string:
		variant = result
	case bool:
		variant = strconv.FormatBool(result)
	case float64:
		variant = strconv.FormatFloat(result, 'f', -1, 64)
	default:
		return failed(metadata, CodeGeneral, fmt.Sprintf("evaluate targeting of flag %q: the rule gives no variant's name", key))
	}
	value, ok := f.Variants[variant]
	if !ok {
		return failed(metadata, CodeGeneral,
			fmt.Sprintf("evaluate targeting of flag %q: the rule gives variant %q, which isn't declared", key, cut(variant, MaxKey)))
	}
	return Resolution{Value: value, Variant: variant, Reason: ReasonTargeting, Metadata: metadata}
}

func (f *flag) serveDefault(reason string, metadata map[string]any) Resolution {
	if f.DefaultVariant == "" {
		return Resolution{Reason: ReasonDefault, Metadata: metadata}
	}
	return Resolution{Value: f.Variants[f.DefaultVariant], Variant: f.DefaultVariant, Reason: reason, Metadata: metadata}
}

// apply runs the flag's rule. The library panics on arguments of a wrong type,
// and for some of them with what is no error.
func (c *Caller) apply(f *flag) (result any, err error) {
	register()
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, fmt.Errorf("the rule's arguments don't fit: %v", p)
		}
	}()
	if c.data == nil {
		c.data, c.longest = merge(c.context, nil), longest(c.context)
	}
	if f.iterates && c.longest > dynamicList && steps(f.rule, c.longest) > maxSteps {
		return nil, fmt.Errorf("with a list of %d the rule takes more than the %d steps allowed", c.longest, maxSteps)
	}
	c.data[propertiesKey] = map[string]any{"flagKey": f.Key, "timestamp": float64(c.now.Unix())}
	return jsonlogic.ApplyInterface(f.rule, c.data)
}

func failed(metadata map[string]any, code, details string) Resolution {
	return Resolution{Reason: ReasonError, Metadata: metadata, ErrorCode: code, ErrorDetails: details}
}
