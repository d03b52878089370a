package journal

import (
	"errors"
	"math"
	"testing"
)

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("MSA")
	f.Add(position(math.MinInt64, "a b\x00"))
	f.Fuzz(func(t *testing.T, after string) {
		us, key, err := Page{After: after}.position()
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			return
		}
		us2, key2, err := Page{After: position(us, key)}.position()
		if err != nil || us2 != us || key2 != key {
			t.Fatalf("got %d %q %v, want %d %q", us2, key2, err, us, key)
		}
	})
}
