package manifest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aftershock/upgrades/preflight/inventory"
)

const page = "../../../docs/preflight/manifests.md"

func pageText(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestPage: the page's example is read as it stands, and has nothing above a note but for what the
// inventory would have to say.
func TestPage(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(pageText(t))
	m, findings := Parse("manifest.yaml", []byte(block[1]))
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if len(m.Dependencies) != 3 || len(m.Steps) != 2 || len(m.Configuration.Required) != 1 || m.BuiltAt.IsZero() || *m.Files[0].Size != 18874368 {
		t.Errorf("%+v", m)
	}
	inv := inventory.Inventory{
		Packages: []inventory.Package{{Name: "libssl3", Version: "3.0.15-1~deb12u1", Source: "dpkg"}},
		Services: []inventory.Service{{Service: "checkout", Version: "4.1.3"}, {Service: "payments", Version: "4.2.1"}, {Service: "redis", Version: "7.4.0"}},
	}
	want := []string{"note setting-removed manifest.yaml:30", "note setting-required manifest.yaml:29"}
	if d := cmp.Diff(want, rules(t, m.Check(Facts{Inventory: &inv}))); d != "" {
		t.Error(d)
	}
}

// TestPageHasRules: the page's table has each rule of the code, and no other.
func TestPageHasRules(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code, table []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:k\.add|say)\("([a-z-]+)"|"manifest/([a-z-]+)"`).FindAllStringSubmatch(string(data), -1) {
			code = append(code, m[1]+m[2])
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `manifest/([a-z-]+)` \\| (?:blocker|risk|note)").FindAllStringSubmatch(pageText(t), -1) {
		table = append(table, m[1])
	}
	slices.Sort(code)
	slices.Sort(table)
	if d := cmp.Diff(slices.Compact(code), table); d != "" {
		t.Error(d)
	}
}
