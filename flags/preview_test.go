package flags

import (
	"errors"
	"strings"
	"testing"

	"aftershock/detector"
	"aftershock/flags/policy"
)

// What a backend's flag can't be asked for is refused before anybody confirms it, as
// it is when they do.
func TestPreviewRefusesAsTheActDoes(t *testing.T) {
	c := Config{Policy: policy.Config{Flags: map[string]policy.Rule{"far-backoff": {Approval: "one"}}}}
	s := afar(t, &memory{}, newFar(), true, c)
	limited, expiring := request("far-masked", "off"), request("far-masked", "off")
	limited.Scope = detector.Scope{Percent: 25}
	expiring.Expires = hours(1)
	for name, tc := range map[string]struct {
		r    Request
		want string
	}{
		"limited":        {limited, "can't be limited"},
		"needs approval": {request("far-backoff", "legacy"), "the policy asks for approval"},
	} {
		p, planned := s.Preview(t.Context(), tc.r)
		_, set := s.Set(t.Context(), tc.r)
		if !errors.Is(planned, ErrReadOnly) || !strings.Contains(planned.Error(), tc.want) || set == nil || planned.Error() != set.Error() || p.Flag != "" {
			t.Errorf("%s: planned %+v, %v; set: %v", name, p, planned, set)
		}
	}
	if p, err := s.Preview(t.Context(), expiring); err != nil || p.After != "off" {
		t.Errorf("one that expires: got %+v, %v", p, err)
	}
}
