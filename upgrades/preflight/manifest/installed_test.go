package manifest

import (
	"os"
	"strings"
	"testing"

	"aftershock/upgrades/preflight/document"
	"aftershock/upgrades/preflight/inventory"
)

// TestInstalledPackages holds the control fields of each package that is installed on this
// machine to the machine itself. dpkg has seen to it that all of them hold: any finding but that
// the version is there already is a false one.
func TestInstalledPackages(t *testing.T) {
	data, err := os.ReadFile("/var/lib/dpkg/status")
	if err != nil {
		t.Skip("dpkg isn't installed")
	}
	inv, err := inventory.Take(t.Context(), "/", inventory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	packages, relations := 0, 0
	for stanza := range strings.SplitSeq(string(data), "\n\n") {
		fields, name := map[string]document.Text{}, ""
		for line := range strings.Lines(stanza) {
			if line[0] == ' ' || line[0] == '\t' {
				fields[name] = document.Text{Value: fields[name].Value + line, Line: 1}
				continue
			}
			var value string
			name, value, _ = strings.Cut(line, ":")
			fields[name] = document.Text{Value: strings.TrimSpace(value), Line: 1}
		}
		if !strings.HasSuffix(fields["Status"].Value, " ok installed") {
			continue
		}
		m := Control("control", fields)
		packages++
		relations += len(m.Dependencies) + len(m.Conflicts)
		same := false
		for _, f := range m.Check(Facts{Inventory: &inv}) {
			if f.Rule == "manifest/same-version" {
				same = true
				continue
			}
			t.Errorf("%s: %s: %s", m.Name.Value, f.Rule, f.What)
		}
		if !same {
			t.Errorf("%s: isn't found to be installed", m.Name.Value)
		}
	}
	t.Logf("%d packages, %d relations", packages, relations)
	if packages < 10 {
		t.Skip("dpkg has hardly any package here")
	}
}
