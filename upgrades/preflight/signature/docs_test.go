package signature

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = "../../../docs/preflight/signatures.md"

// TestPage: the page's table has each rule of the code, and no other; its example of pins is read as it stands.
func TestPage(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	rules := func(text []byte, pattern string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			all = append(all, string(m[1]))
		}
		slices.Sort(all)
		return all
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var code []byte
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			text, err := os.ReadFile(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			code = append(code, text...)
		}
	}
	if d := cmp.Diff(slices.Compact(rules(code, `"(signature/[a-z-]+)"`)), rules(data, "(?m)^\\| `(signature/[a-z-]+)` \\| (?:blocker|risk|note)")); d != "" {
		t.Error(d)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(data)
	if block == nil {
		t.Fatal("the page has no example of pins")
	}
	if pins, err := parsePins(block[1]); err != nil || len(pins) != 1 || pins[0].FirstSeen.IsZero() {
		t.Errorf("%+v, %v", pins, err)
	}
}
