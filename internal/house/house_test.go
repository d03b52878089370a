package house

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "aftershock"

// rooms stand on one floor.
var rooms = []string{"sources", "upgrades", "flags", "alerts", "watch", "journal", "reports", "rehearsal"}

// Largest file and function, in lines, tests left out.
const (
	maxFile     = 450
	maxFunction = 80
)

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// name is the package's path within the module; "" for its root.
func (p pkg) name() string { return within(p.ImportPath) }

func within(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, module), "/") }

// first is the first part of a path.
func first(path string) string {
	part, _, _ := strings.Cut(path, "/")
	return part
}

// packages lists the module's packages.
func packages(t *testing.T) []pkg {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,GoFiles,Imports", module+"/...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages, want the whole module", len(all))
	}
	return all
}

// forbidden says why a package may not import another of the module, "" when
// it may. Both are paths within the module.
func forbidden(from, to string) string {
	above, below := first(from), first(to)
	switch {
	case above == below && above != "cmd":
		return ""
	case below == "cmd":
		return "commands are imported by nothing"
	case below == "demo":
		return "the demo is imported by nothing"
	case below == "internal":
		return "what is internal serves tests alone"
	case above == "cmd":
		return ""
	case above == "demo":
		if to == "flags/ofrep" {
			return ""
		}
		return "the demo's services know nothing of the product but flags/ofrep"
	case below == "detector":
		return ""
	case above == "detector":
		return "the judgement imports nothing of the product"
	case above == "bench" && to == "upgrades":
		return "" // the benchmark learns of switches as the daemon and backtest do
	case above == "configs" && (below == "web" || slices.Contains(rooms, below)):
		return ""
	case above == "web" && slices.Contains(rooms, below):
		return ""
	case slices.Contains(rooms, above) && slices.Contains(rooms, below):
		return "rooms on one floor don't import one another; they meet in cmd and in watch's interfaces"
	}
	return "no arrow leads there"
}

func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		for _, i := range p.Imports {
			if i != module && !strings.HasPrefix(i, module+"/") {
				continue
			}
			if why := forbidden(p.name(), within(i)); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, i, why)
			}
		}
	}
}

func TestForbidden(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		ok       bool
	}{
		{"watch", "detector", true},
		{"sources/promapi", "sources/series", true},
		{"detector", "detector/stat", true},
		{"cmd/aftershock", "web", true},
		{"configs", "web", true},
		{"web", "journal", true},
		{"demo/fleet", "flags/ofrep", true},
		{"watch", "journal", false},
		{"detector", "watch", false},
		{"web", "configs", false},
		{"journal", "web", false},
		{"cmd/aftershock", "demo/fleet", false},
		{"cmd/aftershock", "cmd/other", false},
		{"demo/fleet", "detector", false},
		{"alerts", "internal/servers", false},
		{"", "watch", false},
	} {
		if got := forbidden(tt.from, tt.to); (got == "") != tt.ok {
			t.Errorf("forbidden(%q, %q) = %q, want allowed %t", tt.from, tt.to, got, tt.ok)
		}
	}
}

// impure is what the judgement must not import.
var impure = []string{
	"context", "database/sql", "io/fs", "io/ioutil", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "os/exec",
	"os/signal", "path/filepath", "runtime", "sync", "sync/atomic", "syscall", "testing", "github.com/sirupsen/logrus",
	"github.com/prometheus/client_golang/prometheus",
}

// clock is what the judgement must not call: instants come in as arguments.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func TestDetectorIsPure(t *testing.T) {
	found := false
	for _, p := range packages(t) {
		if first(p.name()) != "detector" {
			continue
		}
		found = true
		for _, i := range p.Imports {
			if slices.Contains(impure, i) {
				t.Errorf("%s imports %s: the judgement knows no I/O, clock, context, chance or logging", p.ImportPath, i)
			}
		}
		for _, f := range parse(t, p) {
			for _, name := range clockCalls(f.ast) {
				t.Errorf("%s uses time.%s: instants come in as arguments", f.path, name)
			}
		}
	}
	if !found {
		t.Error("there is no package detector")
	}
}

// clockCalls gives the functions of package time that read or use the clock.
func clockCalls(f *ast.File) []string {
	local := ""
	for _, i := range f.Imports {
		if i.Path.Value == `"time"` {
			local = "time"
			if i.Name != nil {
				local = i.Name.Name
			}
		}
	}
	var calls []string
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && local != "" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local && slices.Contains(clock, s.Sel.Name) {
				calls = append(calls, s.Sel.Name)
			}
		}
		return true
	})
	return calls
}

func TestClockCalls(t *testing.T) {
	const text = "package p\nimport c \"time\"\nvar a, b, d = c.Now(), c.Hour, c.After\n"
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(clockCalls(f)); got != "[Now After]" {
		t.Errorf("got %s, want [Now After]", got)
	}
}

func TestSizes(t *testing.T) {
	for _, p := range packages(t) {
		for _, f := range parse(t, p) {
			if ast.IsGenerated(f.ast) {
				continue
			}
			if f.lines > maxFile {
				t.Errorf("%s has %d lines, want at most %d: split it by noun", f.path, f.lines, maxFile)
			}
			for _, d := range f.ast.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				at, end := f.set.Position(fn.Pos()), f.set.Position(fn.End())
				if n := end.Line - at.Line + 1; n > maxFunction {
					t.Errorf("%s:%d: %s has %d lines, want at most %d", f.path, at.Line, fn.Name.Name, n, maxFunction)
				}
			}
		}
	}
}

// No package does anything at its mere import.
func TestNoInit(t *testing.T) {
	for _, p := range packages(t) {
		for _, f := range parse(t, p) {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init function", f.path)
				}
			}
		}
	}
}

type file struct {
	path  string
	set   *token.FileSet
	ast   *ast.File
	lines int
}

// parse gives the package's files, tests left out.
func parse(t *testing.T, p pkg) []file {
	t.Helper()
	var files []file
	for _, name := range p.GoFiles {
		set := token.NewFileSet()
		path := filepath.Join(p.Dir, name)
		f, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{
			path: filepath.Join(p.ImportPath, name), set: set, ast: f,
			lines: set.File(f.FileStart).LineCount(),
		})
	}
	return files
}
