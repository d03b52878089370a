package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/upgrades/preflight/document"
	"aftershock/upgrades/preflight/inventory"
)

// rules are severity, rule and place of findings, sorted.
func rules(t *testing.T, findings []detector.Finding) []string {
	t.Helper()
	var all []string
	for _, f := range findings {
		if f.What == "" || f.Why == "" || f.Do == "" || strings.Contains(f.What, "\n") {
			t.Errorf("%s is incomplete: %+v", f.Rule, f)
		}
		all = append(all, fmt.Sprintf("%s %s %s:%d", f.Severity, strings.TrimPrefix(f.Rule, "manifest/"), f.Place.File, f.Place.Line))
	}
	slices.Sort(all)
	return all
}

func parse(t *testing.T, text string) Manifest {
	t.Helper()
	m, findings := Parse("manifest.yaml", []byte(text))
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	return m
}

var installed = inventory.Inventory{
	Packages: []inventory.Package{
		{Name: "libssl3", Version: "3.0.9-1", Source: "dpkg"},
		{Name: "openssl", Version: "1.1.1n-0+deb11u5", Source: "dpkg"},
		{Name: "exim4", Version: "4.96-15", Source: "dpkg", Provides: []string{"mail-transport-agent"}},
	},
	Services: []inventory.Service{
		{Service: "checkout", Version: "4.0.9", Instances: []string{"c"}},
		{Service: "checkout", Version: "4.1.3", Instances: []string{"a", "b"}},
		{Service: "payments", Version: "4.3.0"},
	},
}

// story is the manifest of the story: loose versions and a vague reboot.
const story = `name: dten
version: 4.2.0
built_at: 2026-02-20
publisher: DTEN Systems
dependencies:
  - name: libssl3
    version: ">= 3"
  - {name: openssl, version: latest}
  - name: redis
    version: about 7
  - name: payments
    version: ">= 4.4, < 5"
binaries:
  - name: dten-checkout
    path: bin/dten-checkout
    version: 4.2.0
    service: checkout
reboot: recommended
downtime: short
upgrade_from: ">= 4.1, < 4.2"
`

func TestStory(t *testing.T) {
	m := parse(t, story)
	findings := m.Check(Facts{
		Inventory: &installed, Contents: []Content{{Path: "manifest.yaml"}, {Path: "bin/dten-checkout", Size: 3}},
		Inside: map[string]string{"bin/dten-checkout": "v4.0.1"}, ScriptsRead: true,
	})
	want := []string{
		"blocker dependency-unsatisfied manifest.yaml:11",
		"blocker upgrade-from manifest.yaml:20", // 4.0.9 still runs
		"note files-unnamed manifest.yaml:0",
		"risk dependency-unbounded manifest.yaml:6",
		"risk dependency-unbounded manifest.yaml:8",
		"risk dependency-unparseable manifest.yaml:9",
		"risk downtime-unreadable manifest.yaml:19",
		"risk reboot-vague manifest.yaml:18",
		"risk version-differs manifest.yaml:14",
	}
	if d := cmp.Diff(want, rules(t, findings)); d != "" {
		t.Error(d)
	}
}

// TestMended: the same manifest with its faults mended has nothing above a note.
func TestMended(t *testing.T) {
	sum := sha256.Sum256([]byte("abc"))
	m := parse(t, `name: dten
version: 4.2.0
dependencies:
  libssl3: ">= 3, < 4"
  payments: 4.x
binaries:
  - {name: dten-checkout, path: bin/dten-checkout, version: 4.2.0, service: checkout}
files:
  - {path: bin/dten-checkout, sha256: `+hex.EncodeToString(sum[:])+`, size: 3}
reboot: none
downtime: 10m
upgrade_from: ">= 4.0, < 4.2"
`)
	fsys := fstest.MapFS{"manifest.yaml": {Data: []byte("x")}, "bin/dten-checkout": {Data: []byte("abc")}, "manifest.yaml.minisig": {Data: []byte("s")}}
	contents, err := Contents(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	findings := m.Check(Facts{Inventory: &installed, Contents: contents, Inside: map[string]string{"bin/dten-checkout": "v4.2.0"}, ScriptsRead: true})
	if len(findings) > 0 {
		t.Error(rules(t, findings))
	}
}

func TestRules(t *testing.T) {
	good := strings.Repeat("ab", 32)
	paths, err := inventory.ParsePaths("paths.yaml", []byte("products:\n- product: checkout\n  paths:\n  - {from: 4.x, to: 4.x, needs: {downtime: 10m}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		facts      Facts
		want       []string
	}{
		{"no inventory, no claims", "name: a\nversion: 1\ndependencies: {b: 1.x}\nupgrade_from: '> 3'\n", Facts{}, nil},
		{"nothing told", "publisher: x\n", Facts{}, []string{"risk incomplete manifest.yaml:0", "risk incomplete manifest.yaml:0"}},
		{"a version without order", "name: a\nversion: spring release\n", Facts{}, []string{"risk version-unparseable manifest.yaml:2"}},
		{"another scheme", "name: a\nversion: 1\nscheme: pip\n", Facts{}, []string{"risk version-unparseable manifest.yaml:3"}},
		{
			"unknown to the inventory",
			"name: a\nversion: 1\ndependencies:\n- b ^1\n- c@2\n",
			Facts{Inventory: &installed},
			[]string{"note dependency-unknown manifest.yaml:4"},
		},
		{"brought along", "name: a\nversion: 1\ndependencies:\n- b ^1\n", Facts{Inventory: &installed, Brings: []string{"b"}}, nil},
		{"brought as a binary", "name: a\nversion: 4.4.0\ndependencies:\n- payments ^4.4\nbinaries:\n- {name: payments}\n", Facts{Inventory: &installed}, nil},
		{
			"brought as a binary, in another version",
			"name: a\nversion: 4.4.0\ndependencies:\n- payments ^4.5\nbinaries:\n- {name: payments}\n",
			Facts{Inventory: &installed},
			[]string{"blocker dependency-unsatisfied manifest.yaml:4"},
		},
		{"in the order of what is installed", "name: a\nversion: 1\ndependencies:\n- openssl = 1.1.1n-0+deb11u5\n", Facts{Inventory: &installed}, nil},
		{
			"not in the order of what is installed",
			"name: a\nversion: 1\ndependencies:\n- openssl = 1.1.1w-0\n",
			Facts{Inventory: &installed},
			[]string{"blocker dependency-unsatisfied manifest.yaml:4"},
		},
		{"a conflict", "name: a\nversion: 1\nconflicts:\n  payments: 4.3.x\n  checkout: 9.x\n", Facts{Inventory: &installed}, []string{"blocker conflict manifest.yaml:4"}},
		{"reboots without a claim", "name: a\nversion: 1\n", Facts{ScriptsRead: true, Reboots: []detector.Place{{File: "scripts/post.sh", Line: 9}}}, []string{"risk reboot-unclaimed manifest.yaml:0"}},
		{"reboots against the claim", "name: a\nversion: 1\nreboot: no\n", Facts{ScriptsRead: true, Reboots: []detector.Place{{File: "scripts/post.sh", Line: 9}}}, []string{"blocker reboot-unclaimed manifest.yaml:3"}},
		{"reboots as claimed", "name: a\nversion: 1\nreboot: true\n", Facts{ScriptsRead: true, Reboots: []detector.Place{{File: "scripts/post.sh", Line: 9}}}, nil},
		{"claims without a script", "name: a\nversion: 1\nreboot: required\n", Facts{ScriptsRead: true}, []string{"note reboot-unscripted manifest.yaml:3"}},
		{"claims, and the scripts aren't known", "name: a\nversion: 1\nreboot: required\n", Facts{}, nil},
		{
			"a downtime that is too short",
			"name: checkout\nversion: 4.4.0\ndowntime: 5m\n",
			Facts{Inventory: &installed, Paths: &paths},
			[]string{"note inventory/step-downtime paths.yaml:4", "note inventory/step-downtime paths.yaml:4", "risk downtime-short manifest.yaml:3"},
		},
		{
			"no way",
			"name: checkout\nversion: 6.0.0\n",
			Facts{Inventory: &installed, Paths: &paths},
			[]string{"blocker inventory/no-upgrade-path manifest.yaml:2", "blocker inventory/no-upgrade-path manifest.yaml:2"},
		},
		{"older than installed", "name: checkout\nversion: 4.1.0\n", Facts{Inventory: &installed}, []string{"risk downgrade manifest.yaml:2"}},
		{"the same again", "name: payments\nversion: v4.3.0\n", Facts{Inventory: &installed}, []string{"note same-version manifest.yaml:2"}},
		{"a roll-out that isn't over", "name: checkout\nversion: 4.1.3\n", Facts{Inventory: &installed}, nil},
		{"ranges that can't be read", "name: a\nversion: 1\nupgrade_from: recent\n", Facts{}, []string{"risk upgrade-from-unparseable manifest.yaml:3"}},
		{
			"files", "name: a\nversion: 1\nfiles:\n  - {path: a, sha256: " + good + ", size: 4}\n  - {path: b, sha256: " + good + "}\n  - {path: c}\n  - {path: ../etc/passwd}\n  - {path: d, sha256: md5}\n  - {path: ./e, sha256: 'SHA256:" + good + "'}\nbinaries:\n  - path: bin/x\n",
			Facts{Contents: []Content{{"a", 3, good}, {"b", 1, strings.Repeat("cd", 32)}, {"d", 1, good}, {"e", 1, good}, {"extra.sh", 1, ""}, {"SHA256SUMS", 1, ""}, {"manifest.yaml", 1, ""}}},
			[]string{
				"blocker file-differs manifest.yaml:4", "blocker file-differs manifest.yaml:5", "blocker file-missing manifest.yaml:11", "blocker file-missing manifest.yaml:6",
				"risk digest-unreadable manifest.yaml:8", "risk file-outside manifest.yaml:7", "risk file-unnamed extra.sh:0",
			},
		},
		{
			"settings", "name: a\nversion: 1\nconfiguration:\n  required:\n    - dten.hybrid.enable\n  removed:\n    - dten.mode\n",
			Facts{},
			[]string{"note setting-removed manifest.yaml:7", "note setting-required manifest.yaml:5"},
		},
		{"a version of a commit", "name: a\nversion: 1\nbinaries:\n  - path: bin/x\n", Facts{Inside: map[string]string{"bin/x": "v0.0.0-20260101120000-0123456789ab"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := rules(t, parse(t, tt.text).Check(tt.facts))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", []string{"risk unreadable m:0"}},
		{"name: a\nversion: [1]\ncolour: blue\nsize: 3\n", []string{"note unknown-field m:3", "risk unreadable m:2"}},
		{"{\"name\": \"a\",\n\t\"binaries\": {},\n\"reboot\": {}}", []string{"risk unreadable m:2", "risk unreadable m:3"}},
		{"name: a\ndependencies: 3\nfiles:\n  - path: a\n    size: -1\n", []string{"risk unreadable m:2", "risk unreadable m:5"}},
		{"name: a\ndependencies:\n  - version: 1\n", []string{"risk unreadable m:3"}},
		{"name: a\nname: b\n", []string{"risk unreadable m:2"}},
		{"steps:\n- stop\n- name: copy\n  run: cp\n- [x]\n", []string{"risk unreadable m:5"}},
	} {
		_, findings := Parse("m", []byte(tt.text))
		if d := cmp.Diff(tt.want, rules(t, findings)); d != "" {
			t.Errorf("%q: %s", tt.text, d)
		}
	}
	rules(t, []detector.Finding{Missing()})
}

func TestForms(t *testing.T) {
	want := []string{"a|>= 1.2|", "b|~> 2|", "c|1|", "d||", "e|2.x|rpm"}
	for _, text := range []string{
		"dependencies:\n- a (>= 1.2)\n- b ~> 2\n- c@1\n- d\n- {name: e, version: 2.x, scheme: rpm}\n",
		"dependencies:\n  a: '>= 1.2'\n  b: ~> 2\n  c: 1\n  d:\n  e: {version: 2.x, scheme: rpm}\n",
		`{"dependencies": {"a": ">= 1.2", "b": "~> 2", "c": 1, "d": null, "e": {"version": "2.x", "scheme": "rpm"}}}`,
	} {
		var got []string
		for _, d := range parse(t, text).Dependencies {
			got = append(got, d.Name+"|"+d.Version+"|"+d.Scheme)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

func TestControl(t *testing.T) {
	at := func(value string, line int) document.Text { return document.Text{Value: value, Line: line} }
	m := Control("control", map[string]document.Text{
		"Package": at("dten", 1), "Version": at("4.2.0-1", 2),
		"Depends": at("libssl3 (>= 3.0.11), default-mta | mail-transport-agent,\n nosuch, ${misc:Depends}, libssl3 (>= 3)", 5), "Pre-Depends": at("dpkg-nosuch | libssl3", 4),
		"Breaks": at("openssl (<< 3), payments (<< 4)", 7), "Conflicts": at("exim4 (>= 5)", 8),
	})
	want := []string{
		"blocker conflict control:7",               // openssl 1.1.1n
		"blocker dependency-unsatisfied control:5", // libssl3
		"risk dependency-missing control:5",        // nosuch
		"risk dependency-unparseable control:5",    // ${misc:Depends}
	}
	if d := cmp.Diff(want, rules(t, m.Check(Facts{Inventory: &installed}))); d != "" {
		t.Error(d)
	}
	if got := rules(t, m.Check(Facts{})); len(got) != 1 {
		t.Errorf("without an inventory: %v", got)
	}
	m = Header("header", map[string]document.Text{
		"Name": at("dten", 0), "Version": at("1:4.2.0-1.el9", 0),
		"Requires": at("openssl-libs >= 1:1.1.1\n/bin/sh\nlibc.so.6(GLIBC_2.34)(64bit)\nnosuch\n(a or b)", 0), "Conflicts": at("dten-old < 4", 0),
	})
	inv := inventory.Inventory{Packages: []inventory.Package{{Name: "openssl-libs", Version: "1:1.1.0-1", Source: "rpm"}, {Name: "dten-old", Version: "3-1", Source: "rpm"}, {Name: "dten", Version: "1:4.3-1", Source: "rpm"}}}
	want = []string{
		"blocker conflict header:0", "blocker dependency-unsatisfied header:0", "risk dependency-missing header:0", "risk dependency-unparseable header:0", "risk downgrade header:0",
	}
	if d := cmp.Diff(want, rules(t, m.Check(Facts{Inventory: &inv}))); d != "" {
		t.Error(d)
	}
}

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		files []string
		want  string
	}{
		{[]string{"manifest.yaml", "manifest.json"}, "manifest.yaml"},
		{[]string{"dten-4.2.0/MANIFEST.json", "dten-4.2.0/bin/x"}, "dten-4.2.0/MANIFEST.json"},
		{[]string{"a/manifest.yaml", "b/x"}, ""},
		{[]string{"readme"}, ""},
	} {
		fsys := fstest.MapFS{}
		for _, f := range tt.files {
			fsys[f] = &fstest.MapFile{}
		}
		if got := Find(fsys); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.files, got, tt.want)
		}
	}
}

// TestWithin: paths are relative to the manifest's directory.
func TestWithin(t *testing.T) {
	m := Manifest{File: "dten-4.2.0/manifest.yaml"}
	for name, want := range map[string]string{"bin/x": "dten-4.2.0/bin/x", "./x": "dten-4.2.0/x", `bin\x.exe`: "dten-4.2.0/bin/x.exe", "../x": "x", "../../x": "", "/etc/x": ""} {
		at, ok := m.within(name)
		if ok != (want != "") || ok && at != want {
			t.Errorf("%s: %s, %t; want %s", name, at, ok, want)
		}
	}
}

func TestUpgrade(t *testing.T) {
	good := strings.Repeat("AB", 32)
	m := parse(t, story+"files:\n  - {path: bin/dten-checkout, sha256: "+good+"}\n")
	want := detector.Upgrade{ID: "dten-4.2.0", Package: "Full-upgrade-package-dten.zip", Binaries: []detector.Binary{
		{Name: "dten-checkout", From: "4.1.3", To: "4.2.0", Selector: map[string]string{"service": "checkout"}, SHA256: strings.ToLower(good)},
	}}
	if d := cmp.Diff(want, m.Upgrade("Full-upgrade-package-dten.zip", &installed)); d != "" {
		t.Error(d)
	}
	m = parse(t, "name: payments\nversion: 4.4.0\n")
	want = detector.Upgrade{ID: "payments-4.4.0", Binaries: []detector.Binary{{Name: "payments", From: "4.3.0", To: "4.4.0"}}}
	if d := cmp.Diff(want, m.Upgrade("", &installed)); d != "" {
		t.Error(d)
	}
	// All on one line, and the binary is called as the package.
	one := parse(t, `{"name": "payments", "version": "4.4.0", "binaries": [{"name": "payments"}]}`)
	if d := cmp.Diff(want, one.Upgrade("", &installed)); d != "" {
		t.Error(d)
	}
	if got := m.Upgrade("", nil); got.Binaries[0].From != "" {
		t.Error("a version before without an inventory")
	}
}

// TestVersions looks into a real program.
func TestVersions(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/x/v4\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() { println(1) }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A tag in a repository is how a version gets into a program.
	for _, args := range [][]string{
		{"git", "init", "-q"},
		{"git", "add", "-A"},
		{"git", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "a"},
		{"git", "tag", "v4.0.1"},
		{"go", "build", "-buildvcs=true", "-o", "bin/x", "."},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	m := parse(t, "name: x\nversion: 4.2.0\nbinaries:\n  - path: bin/x\n  - path: bin/none\n  - path: ../../etc/passwd\n")
	versions := m.Versions(t.Context(), os.DirFS(dir))
	if d := cmp.Diff(map[string]string{"bin/x": "v4.0.1"}, versions); d != "" {
		t.Fatal(d)
	}
	if d := cmp.Diff([]string{"risk version-differs manifest.yaml:4"}, rules(t, m.Check(Facts{Inside: versions}))); d != "" {
		t.Error(d)
	}
	if c := m.Changes("/tmp/p"); c[0].New != "/tmp/p/bin/x" || c[2].New != "" {
		t.Errorf("changes %+v", c)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(story), "libssl3 (>= 3)")
	f.Add([]byte(`{"name": "a", "version": 1, "dependencies": {"b": null}, "files": [{"path": "../x", "size": 1}]}`), "a | b, ${x}")
	f.Add([]byte("a: &a [*a]\nname: *a\n"), "(")
	f.Fuzz(func(t *testing.T, data []byte, field string) {
		m, findings := Parse("m", data)
		facts := Facts{Inventory: &installed, Contents: []Content{{Path: "a", Size: 1}}, Inside: map[string]string{"bin/x": "1"}, ScriptsRead: true}
		findings = append(findings, m.Check(facts)...)
		text := document.Text{Value: field, Line: 1}
		findings = append(findings, Control("c", map[string]document.Text{"Depends": text, "Breaks": text}).Check(facts)...)
		findings = append(findings, Header("c", map[string]document.Text{"Requires": text}).Check(facts)...)
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029") + strings.Count(string(data), "\u0085") + 1
		for _, g := range findings {
			if strings.ContainsAny(g.What, "\n\r") || g.Place.File == "m" && g.Place.Line > lines+1 {
				t.Errorf("%+v of %d lines", g, lines)
			}
		}
		m.Upgrade("p.zip", &installed)
	})
}
