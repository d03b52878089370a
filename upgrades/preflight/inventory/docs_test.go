package inventory

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = "../../../docs/preflight/inventory.md"

// TestPage: the page's examples are read as they stand.
func TestPage(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(# (\\w+)\n.*?)```").FindAllStringSubmatch(string(data), -1) {
		text := []byte(block[1])
		seen[block[2]] = true
		switch block[2] {
		case "inventory":
			inv, err := Parse(text)
			if err != nil {
				t.Error(err)
			}
			if len(inv.Packages) != 3 || len(inv.Services[0].Instances) != 2 || *inv.Databases[0].Tables[0].Rows != 41_000_000 || !inv.Processes[0].Deleted {
				t.Errorf("%+v", inv)
			}
		case "paths":
			p, err := ParsePaths(page, text)
			if err != nil {
				t.Fatal(err)
			}
			steps, err := p.Route("checkout", "4.0.1", "4.2.0")
			if err != nil || len(steps) != 2 || steps[0].To != "4.1.9" {
				t.Errorf("%v, %v", steps, err)
			}
			if steps, err = p.Route("dten", "4.2.0", "4.1.9"); err != nil || len(steps) != 1 {
				t.Errorf("back: %v, %v", steps, err)
			}
		case "compatibility":
			if m, err := ParseCompatibility(page, text); err != nil || len(m.Rules[0].With) != 2 || len(m.Needs[0].Routes) != 2 {
				t.Errorf("%+v, %v", m, err)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("the page has examples of %v", seen)
	}
}

// TestPageHasRules: the page's table has each rule of the code, and no other.
func TestPageHasRules(t *testing.T) {
	rule := regexp.MustCompile(`"(inventory/[a-z-]+)"`)
	if d := cmp.Diff(inCode(t, rule), onPage(t, page, "inventory")); d != "" {
		t.Error(d)
	}
}

func inCode(t *testing.T, rule *regexp.Regexp) []string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		data, err := os.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rule.FindAllStringSubmatch(string(data), -1) {
			all = append(all, m[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func onPage(t *testing.T, page, checker string) []string {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?m)^\\| `("+checker+"/[a-z-]+)` \\| (?:blocker|risk|note)").FindAllStringSubmatch(string(data), -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return all
}
