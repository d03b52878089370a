package detector

import (
	"testing"
)

// A gate finds the binary that a metric's name can't have a dash for.
func TestNamesOfBinaries(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"dten-payments", "dten_payments", true},
		{"dten-payments", "dten-payments", true},
		{"dten-payments", "dten-payment", false},
		{"", "", true},
	} {
		if got := SameBinary(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}
