package main

import (
	"strings"
	"testing"
)

func TestOverload(t *testing.T) {
	for _, tt := range []struct {
		text       string
		processors int
		want       string
	}{
		{"12.16 10.02 7.07 3/512 4711\n", 2, "a load of 12.2 on 2 processors"},
		{"2.99 10.02 7.07 3/512 4711\n", 2, ""},
		{"3.00 0 0", 2, "a load of 3.0"},
		{"12.16 10.02 7.07", 16, ""},
		{"", 1, ""},
		{"x y z", 1, ""},
	} {
		if got := overload(tt.text, tt.processors); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%q on %d: got %q, want %q", tt.text, tt.processors, got, tt.want)
		}
	}
}
