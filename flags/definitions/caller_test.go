package definitions

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Flags that are resolved for one caller don't see one another.
func TestCaller(t *testing.T) {
	s := parse(t, `{"flags":{
		"key":{"state":"ENABLED","variants":{"key":1,"no":2},"defaultVariant":"no","targeting":{"var":"$flagd.flagKey"}},
		"fresh":{"state":"ENABLED","variants":{"a":1,"b":2},"defaultVariant":"a","targeting":{"if":[{"missing":["current","accumulator","x"]},"b",null]}},
		"sum":{"state":"ENABLED","variants":{"6":1,"no":2},"defaultVariant":"no","targeting":{"reduce":[{"var":"list"},{"+":[{"var":"current"},{"var":"accumulator"}]},0]}},
		"some":{"state":"ENABLED","variants":{"true":1,"no":2},"defaultVariant":"no","targeting":{"some":[{"map":[{"var":"list"},{"*":[{"var":""},2]}]},{"==":[{"var":""},6]}]}},
		"half":{"state":"ENABLED","variants":{"x":1,"y":2},"defaultVariant":"x","targeting":{"fractional":[["x",1],["y",1]]}},
		"bad":{"state":"ENABLED","variants":{"x":1},"defaultVariant":"x","targeting":{"+":[{"var":""}]}}}}`)
	context := map[string]any{"targetingKey": "u", "list": []any{1.0, 2.0, 3.0}}
	before := fmt.Sprint(context)
	caller := s.For(context, now)
	for range 2 {
		for _, key := range append(s.Keys(), "unknown") {
			if d := cmp.Diff(s.Evaluate(key, context, now), caller.Evaluate(key)); d != "" {
				t.Errorf("%s (-alone +after others):\n%s", key, d)
			}
		}
	}
	if after := fmt.Sprint(context); after != before {
		t.Errorf("the context was changed from %s to %s", before, after)
	}
	for key, want := range map[string]string{"key": "key", "fresh": "b", "sum": "6", "some": "true"} {
		if got := caller.Evaluate(key).Variant; got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}
