package advisories

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aftershock/internal/servers"
	"aftershock/upgrades/inside"

	"github.com/google/go-cmp/cmp"
)

// invented are advisories on what the programs in testdata are made of: one function, a package, the standard library, the toolchain,
// and other systems.
const invented = `[
 {"id": "GO-9999-0001", "affected": [{"package": {"ecosystem": "Go", "name": "golang.org/x/text"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "0.9.0"}]}],
  "ecosystem_specific": {"imports": [{"path": "golang.org/x/text/language", "symbols": ["MustParse"]}]}}]},
 {"id": "GO-9999-0002", "affected": [{"package": {"ecosystem": "Go", "name": "stdlib"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "99.0.0"}]}],
  "ecosystem_specific": {"imports": [{"path": "net/url", "symbols": ["Parse"]}, {"path": "net/http", "symbols": ["Server.Serve"]}]}}]},
 {"id": "GO-9999-0003", "affected": [{"package": {"ecosystem": "Go", "name": "golang.org/x/text"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
  "ecosystem_specific": {"imports": [{"path": "golang.org/x/text/language", "symbols": ["Parse"], "goos": ["windows"]}]}}]},
 {"id": "GO-9999-0004", "affected": [{"package": {"ecosystem": "Go", "name": "stdlib"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
  "ecosystem_specific": {"imports": [{"path": "fmt", "symbols": ["pp.printArg"]}]}}]},
 {"id": "GO-9999-0005", "affected": [{"package": {"ecosystem": "Go", "name": "golang.org/x/text"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
  "ecosystem_specific": {"imports": [{"path": "golang.org/x/text/unicode/norm"}]}}]},
 {"id": "GO-9999-0006", "affected": [{"package": {"ecosystem": "Go", "name": "toolchain"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
  "ecosystem_specific": {"imports": [{"path": "cmd/go", "symbols": ["main"]}]}}]}
]`

// TestPrograms: real programs, with their symbols and without, by advisories as they are published; govulncheck has to be of the same
// mind on those that it can read.
func TestPrograms(t *testing.T) {
	db := t.TempDir()
	for _, name := range []string{"GO-2021-0113.json", "GO-2020-0015.json"} {
		if err := os.WriteFile(filepath.Join(db, name), sample(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var more []json.RawMessage
	if err := json.Unmarshal([]byte(invented), &more); err != nil {
		t.Fatal(err)
	}
	for i, d := range more {
		if err := os.WriteFile(filepath.Join(db, fmt.Sprintf("GO-9999-%04d.json", i+1)), d, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const (
		none, packages = "none of its %d vulnerable functions is linked in", "no code of its vulnerable packages is found in the binary"
		builder        = "note nobody has scored it; it concerns who builds with this Go: the toolchain isn't in the binary"
		windows        = "note nobody has scored it; it concerns windows alone, and the binary is for linux amd64"
	)
	isLinked := func(f, into string) string {
		return "risk nobody has scored it; vulnerable " + f + " is linked into bin/" + into
	}
	absent := func(text string, n ...any) string { return "note nobody has scored it; " + fmt.Sprintf(text, n...) }
	printing := "fmt.pp.printArg"
	const language = "golang.org/x/text/language."
	for _, tt := range []struct {
		name string
		want map[string]string
	}{
		{"parses", map[string]string{
			"CVE-2021-38561": isLinked(language+"Parse", "parses"), "CVE-2020-14040": absent(packages), "GO-9999-0001": absent("its vulnerable function isn't linked in"),
			"GO-9999-0002": isLinked("net/url.Parse", "parses"), "GO-9999-0003": windows, "GO-9999-0004": isLinked(printing, "parses"),
			"GO-9999-0005": absent(packages), "GO-9999-0006": builder,
		}},
		{"must", map[string]string{
			"CVE-2021-38561": "risk nobody has scored it; vulnerable " + language + "MustParse and one more are linked into bin/must", "CVE-2020-14040": absent(packages),
			"GO-9999-0001": isLinked(language+"MustParse", "must"), "GO-9999-0002": absent(packages), "GO-9999-0003": windows,
			"GO-9999-0004": isLinked(printing, "must"), "GO-9999-0005": absent(packages), "GO-9999-0006": builder,
		}},
		{"names", map[string]string{
			"CVE-2021-38561": absent(none, 4), "CVE-2020-14040": absent(packages), "GO-9999-0001": absent("its vulnerable function isn't linked in"),
			"GO-9999-0002": absent(packages), "GO-9999-0003": windows, "GO-9999-0004": isLinked(printing, "names"),
			"GO-9999-0005": absent(packages), "GO-9999-0006": builder,
		}},
		{"folds", map[string]string{
			"CVE-2021-38561": absent(packages), "CVE-2020-14040": absent(none, 3), "GO-9999-0001": absent(packages), "GO-9999-0002": absent(packages),
			"GO-9999-0003": windows, "GO-9999-0004": absent(packages), "GO-9999-0005": isLinked("golang.org/x/text/unicode/norm", "folds"), "GO-9999-0006": builder,
		}},
	} {
		for _, flags := range []string{"", "-s -w"} {
			t.Run(tt.name+flags, func(t *testing.T) {
				file := build(t, tt.name, flags)
				p, err := inside.Take(file)
				if err != nil {
					t.Fatal(err)
				}
				if name := language + "Parse"; tt.name == "parses" && !slices.Contains(p.Inlined, name) {
					t.Errorf("%s has code of its own: this tests less than it should", name)
				}
				c := New(Package{Name: "dten", New: "1.0.0", After: Components("bin/"+tt.name, p)}, nil)
				c.AddFS(os.DirFS(db))
				got := map[string]string{}
				for _, f := range c.Findings() {
					_, text, _ := strings.Cut(f.What, " has ")
					id, _, _ := strings.Cut(strings.NewReplacer(":", " ").Replace(text), " ")
					got[id] = f.Severity + " " + f.Why
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if flags == "" {
					theirs := govulncheck(t, db, file)
					var mine []string
					for id, text := range got {
						if strings.Contains(text, "linked into") {
							mine = append(mine, map[string]string{"CVE-2021-38561": "GO-2021-0113", "CVE-2020-14040": "GO-2020-0015"}[id])
							if mine[len(mine)-1] == "" {
								mine[len(mine)-1] = id
							}
						}
					}
					slices.Sort(mine)
					if diff := cmp.Diff(theirs, mine); diff != "" {
						t.Errorf("(-govulncheck +here)\n%s", diff)
					}
				}
			})
		}
	}
}

// TestReach: what a group of advisories says of one binary.
func TestReach(t *testing.T) {
	program := func(change func(*inside.Fingerprint)) inside.Fingerprint {
		p := inside.Fingerprint{
			Form: inside.FormGo, Main: "example.com/dten", Package: "example.com/dten/cmd/dten", Version: "v4.2.0", Toolchain: "go1.22.1",
			Modules: map[string]string{"example.com/a": "v1.0.0", "example.com/b": "v1.0.0 => example.com/fork v2.0.0"}, Settings: map[string]string{"GOOS": "linux", "GOARCH": "amd64"},
		}
		for _, name := range []string{"runtime.main", "main.main", "main.serve", "example.com/a.(*T).M", "example.com/a.F[...]", "example.com/a.G.func1", "example.com/a.(*L[...]).Add-fm", "example.com/b/x.F", "type:.eq.example.com/a.Z"} {
			p.Functions = append(p.Functions, inside.Function{Name: name})
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	goCommand := func(p *inside.Fingerprint) { p.Main, p.Package, p.Version = "cmd", "cmd/go", "" }
	plain := func(id, module, imports string) string {
		return fmt.Sprintf(`{"id": %q, "aliases": ["CVE-1"], "affected": [{"package": {"ecosystem": "Go", "name": %q}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}], "ecosystem_specific": {%s}}]}`, id, module, imports)
	}
	on := func(module, path string, symbols ...string) string {
		list, _ := json.Marshal(symbols)
		return plain("GO-1", module, fmt.Sprintf(`"imports": [{"path": %q, "symbols": %s}]`, path, list))
	}
	const builder = "note it concerns who builds with this Go: the toolchain isn't in the binary"
	for _, tt := range []struct {
		name      string
		change    func(*inside.Fingerprint)
		documents []string
		want      string
	}{
		{"method", nil, []string{on("example.com/a", "example.com/a", "T.M")}, "risk vulnerable example.com/a.T.M is linked into bin/x"},
		{"generic function", nil, []string{on("example.com/a", "example.com/a", "F")}, "risk vulnerable example.com/a.F is linked into bin/x"},
		{"function of which one within is left", nil, []string{on("example.com/a", "example.com/a", "G")}, "risk vulnerable example.com/a.G is linked into bin/x"},
		{"bound method of a generic type", nil, []string{on("example.com/a", "example.com/a", "L.Add")}, "risk vulnerable example.com/a.L.Add is linked into bin/x"},
		{"another method", nil, []string{on("example.com/a", "example.com/a", "T.N", "M")}, "note none of its 2 vulnerable functions is linked in"},
		{"a type alone", nil, []string{on("example.com/a", "example.com/a", "Z")}, "note its vulnerable function isn't linked in"},
		{"all of a package", nil, []string{on("example.com/a", "example.com/a")}, "risk vulnerable example.com/a is linked into bin/x"},
		{"all of the module", nil, []string{plain("GO-1", "example.com/a", "")}, "risk "},
		{"replaced module", nil, []string{on("example.com/fork", "example.com/fork/x", "F")}, "risk vulnerable example.com/fork/x.F is linked into bin/x"},
		{"replaced module, another function", nil, []string{on("example.com/fork", "example.com/fork/x", "G")}, "note its vulnerable function isn't linked in"},
		{"main package", nil, []string{on("example.com/dten", "example.com/dten/cmd/dten", "serve")}, "risk vulnerable example.com/dten/cmd/dten.serve is linked into bin/x"},
		{"another main package", nil, []string{on("example.com/dten", "example.com/dten/cmd/other", "serve")}, "note no code of its vulnerable packages is found in the binary"},
		{"a main package that isn't known", func(p *inside.Fingerprint) { p.Package = "" }, []string{on("example.com/dten", "example.com/dten/cmd/other", "serve")}, "risk vulnerable example.com/dten/cmd/other.serve is linked into bin/x"},
		{"names were changed", func(p *inside.Fingerprint) { p.Functions = p.Functions[2:] }, []string{on("example.com/a", "example.com/a", "T.N")}, "risk whether its vulnerable functions are linked in can't be told: the binary's functions can't be read"},
		{"no functions", func(p *inside.Fingerprint) { p.Functions = nil }, []string{on("example.com/a", "example.com/a", "T.N")}, "risk whether its vulnerable functions are linked in can't be told: the binary's functions can't be read"},
		{"told by one of two", nil, []string{plain("GHSA-1", "example.com/a", ""), on("example.com/a", "example.com/a", "T.N")}, "note its vulnerable function isn't linked in"},
		{"told by none", nil, []string{plain("GHSA-1", "example.com/a", "")}, "risk "},
		{"go builds it", nil, []string{on("toolchain", "cmd/go", "main")}, builder},
		{"the compiler writes it", nil, []string{on("toolchain", "cmd/compile/internal/ssa", "f")}, "risk "},
		{"go itself", goCommand, []string{on("toolchain", "cmd/go", "serve")}, "risk vulnerable cmd/go.serve is linked into bin/x"},
		{"go itself, another function", goCommand, []string{on("toolchain", "cmd/go", "other")}, "note its vulnerable function isn't linked in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := New(Package{Name: "dten", New: "4.2.0", After: Components("bin/x", program(tt.change))}, nil)
			for _, d := range tt.documents {
				c.AddDocument("d", []byte(d))
			}
			all := c.Findings()
			if len(all) != 1 {
				t.Fatalf("%+v", all)
			}
			got := all[0].Severity + " " + strings.TrimPrefix(strings.TrimPrefix(all[0].Why, "nobody has scored it"), "; ")
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzLinked(f *testing.F) {
	for _, name := range []string{"a/b.(*T[...]).M-fm", "a.F.func1", "type:.eq.a.T", "a%2eb.F[x/y.Z]", "]]a.b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		l := &linked{packages: map[string]bool{}, functions: map[string]bool{}}
		l.add(name)
		if len(l.packages) > 1 || len(l.functions) > 2 || len(l.functions) > 0 && len(l.packages) == 0 {
			t.Errorf("%q: %+v", name, l)
		}
	})
}

// build builds one of the programs.
func build(t *testing.T, name, flags string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, "-ldflags="+flags, "./"+name)
	cmd.Dir = "testdata/programs"
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// govulncheck gives the advisories of whose functions it finds some in a binary.
func govulncheck(t *testing.T, db, file string) (ids []string) {
	t.Helper()
	program := filepath.Join(servers.ToolsDir(), "govulncheck")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: run make tools", err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-mode=binary", "-format=json", "-db=file://"+db, file)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var m struct {
			Finding *struct {
				OSV   string `json:"osv"`
				Trace []struct {
					Function string `json:"function"`
				} `json:"trace"`
			} `json:"finding"`
		}
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		if m.Finding != nil && m.Finding.Trace[0].Function != "" {
			ids = append(ids, m.Finding.OSV)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
