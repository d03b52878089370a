package definitions

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/diegoholiveira/jsonlogic/v3"
	"github.com/twmb/murmur3"
	"golang.org/x/mod/semver"
)

// maxText bounds the text that a rule may build, in bytes.
const maxText = 64 << 10

// register makes flagd's operators known to the JSONLogic library, which keeps
// its operators for the whole process and takes them in no other way.
var register = sync.OnceFunc(func() {
	jsonlogic.AddOperator("fractional", fractional)
	jsonlogic.AddOperator("sem_ver", semVer)
	jsonlogic.AddOperator("starts_with", compareText(strings.HasPrefix))
	jsonlogic.AddOperator("ends_with", compareText(strings.HasSuffix))
	jsonlogic.AddOperator("cat", cat)
})

// compareText makes an operator of two texts; anything else gives nil.
func compareText(compare func(s, part string) bool) jsonlogic.OperatorFn {
	return func(values, _ any) any {
		args, ok := values.([]any)
		if !ok || len(args) != 2 {
			return nil
		}
		s, ok1 := args[0].(string)
		part, ok2 := args[1].(string)
		if !ok1 || !ok2 {
			return nil
		}
		return compare(s, part)
	}
}

// cat is the library's own, with a bound: in a reduce, each step could double
// the text.
func cat(values, _ any) any {
	args, ok := values.([]any)
	if !ok {
		args = []any{values}
	}
	var b strings.Builder
	for _, a := range args {
		switch a := a.(type) {
		case nil:
		case string:
			b.WriteString(a)
		case float64:
			b.WriteString(strconv.FormatFloat(a, 'f', -1, 64))
		case bool:
			b.WriteString(strconv.FormatBool(a))
		default:
			panic(fmt.Errorf("cat: can't join a value of type %T", a))
		}
		if b.Len() > maxText {
			panic(fmt.Errorf("cat: the text has more than the %d bytes allowed", maxText))
		}
	}
	return b.String()
}

// partial versions are completed with zeros, as in flagd.
var partialVersion = regexp.MustCompile(`^\d+(\.\d+)?$`)

func version(v any) (string, bool) {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case float64:
		s = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return "", false
	}
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		s = s[1:]
	}
	if !partialVersion.MatchString(s) && strings.Count(strings.SplitN(strings.SplitN(s, "-", 2)[0], "+", 2)[0], ".") != 2 {
		return "", false
	}
	s = "v" + s
	return s, semver.IsValid(s)
}

// semVer compares two semantic versions: [version, operator, version]. What
// can't be compared gives nil.
func semVer(values, _ any) any {
	args, ok := values.([]any)
	if !ok || len(args) != 3 {
		return nil
	}
	a, ok1 := version(args[0])
	b, ok2 := version(args[2])
	operator, ok3 := args[1].(string)
	if !ok1 || !ok2 || !ok3 {
		return nil
	}
	c := semver.Compare(a, b)
	switch operator {
	case "=":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	case "^":
		return semver.Major(a) == semver.Major(b)
	case "~":
		return semver.MajorMinor(a) == semver.MajorMinor(b)
	}
	return nil
}

// bucket is one share of a fractional rule.
type bucket struct {
	variant any
	weight  uint64
}

// fractional picks a bucket by the hash of a text: the first argument if it is
// a text, else the flag's key followed by the targeting key. What can't be
// distributed gives nil, so that the default variant is served.
func fractional(values, data any) any {
	args, ok := values.([]any)
	if !ok || len(args) == 0 {
		return nil
	}
	by, ok := args[0].(string)
	if ok {
		args = args[1:]
	} else {
		if args[0] == nil { // a property that the context doesn't have
			args = args[1:]
		}
		context, _ := data.(map[string]any)
		properties, _ := context[propertiesKey].(map[string]any)
		target, _ := context["targetingKey"].(string)
		key, ok := properties["flagKey"].(string)
		if target == "" || !ok {
			return nil
		}
		by = key + target
	}
	buckets, total, err := readBuckets(args)
	if err != nil {
		return nil
	}
	return pick(murmur3.StringSum32(by), buckets, total)
}

// readBuckets reads [[variant, weight], …]; a weight that is left out is 1, and
// one below 0 (from a computed roll-out) is 0.
func readBuckets(args []any) ([]bucket, uint64, error) {
	buckets, total := make([]bucket, 0, len(args)), uint64(0)
	for _, a := range args {
		entry, ok := a.([]any)
		if !ok || len(entry) == 0 || len(entry) > 2 {
			return nil, 0, errors.New("a bucket is no list of a variant and a weight")
		}
		switch entry[0].(type) {
		case string, float64, bool, nil:
		default:
			return nil, 0, errors.New("a bucket's variant is no text, number or boolean")
		}
		b := bucket{variant: entry[0], weight: 1}
		if len(entry) == 2 {
			w, ok := entry[1].(float64)
			if !ok || w != math.Trunc(w) || w > math.MaxInt32 {
				return nil, 0, errors.New("a bucket's weight is no whole number up to 2147483647")
			}
			b.weight = uint64(max(w, 0))
		}
		buckets = append(buckets, b)
		total += b.weight
	}
	if total > math.MaxInt32 {
		return nil, 0, errors.New("the weights add up to more than 2147483647")
	}
	return buckets, total, nil
}

// pick maps a hash evenly onto [0, total) and returns the variant there. This
// is the second version of flagd's fractional; the first had 100 buckets only.
func pick(hash uint32, buckets []bucket, total uint64) any {
	at, end := uint64(hash)*total>>32, uint64(0)
	for _, b := range buckets {
		end += b.weight
		if at < end {
			return b.variant
		}
	}
	return nil
}
