package inside

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// accuracy is how a comparison fares against the compiler's own output.
type accuracy struct {
	// False are functions of packages that were compiled to the same that are
	// named as changed, Missed those that the compiler wrote differently and that
	// are not named, Rest functions of changed packages that are named though
	// the compiler wrote them as before, and instances of generics that can't be
	// told.
	False, Missed, Rest []string
	// True is how many of those named differ.
	True, Packages, Functions int
}

// judge compares two builds and holds the result against the truth.
func judge(t *testing.T, old, new source) accuracy {
	t.Helper()
	before, after := old.contents(t), new.contents(t)
	var changed []string
	for p, id := range after {
		if before[p] != "" && before[p] != id {
			changed = append(changed, p)
		}
	}
	slices.Sort(changed)
	o, n := take(t, old.compiled(t, "old")), take(t, new.compiled(t, "new"))
	d := Compare("program", o, n)
	named := map[string]bool{}
	for _, name := range d.Functions.Changed {
		named[name] = true
	}
	came := map[string]bool{} // a closure with a number that another one had
	for _, name := range d.Functions.Added {
		came[name] = true
	}
	if g := d.Functions.Generated; g != nil {
		for _, name := range g.Changed {
			named[name] = true
		}
	}
	a := accuracy{Packages: len(changed), Functions: len(n.Functions)}
	differ, known := map[string]bool{}, map[string]bool{}
	if len(changed) > 0 {
		differ, known = differing(old.assembly(t, changed), new.assembly(t, changed), o, n)
	}
	for name := range named {
		switch p := packageOf(name); {
		case differ[name]:
			a.True++
		case before[p] != "" && before[p] == after[p] && !strings.Contains(name, "[go.shape"):
			a.False = append(a.False, name)
		case known[name]:
			a.Rest = append(a.Rest, name)
		default:
			a.Rest = append(a.Rest, name+" (unknown)")
		}
	}
	for name := range differ {
		if strings.Contains(name, "[go.shape") && !named[name] {
			// Several packages compile it, and which of them the linker took isn't
			// known.
			a.Rest = append(a.Rest, name+" (not named)")
			continue
		}
		if !named[name] && !(came[name] && plain(name) != name) {
			a.Missed = append(a.Missed, name)
		}
	}
	slices.Sort(a.False)
	slices.Sort(a.Missed)
	slices.Sort(a.Rest)
	return a
}

// differing are the functions in both files that the compiler wrote differently;
// what is only numbered otherwise doesn't count. known are all in both.
func differing(before, after map[string][]string, o, n Fingerprint) (differ, known map[string]bool) {
	linked := func(p Fingerprint) map[string]int {
		set := map[string]int{}
		for _, f := range p.Functions {
			set[f.Name]++
		}
		return set
	}
	inOld, inNew := linked(o), linked(n)
	digests := map[string][]string{}
	for name, list := range before {
		if inOld[name] > 0 {
			digests[plain(name)] = append(digests[plain(name)], list...)
		}
	}
	differ, known = map[string]bool{}, map[string]bool{}
	for name, list := range after {
		if inNew[name] == 0 || inOld[name] == 0 || before[name] == nil {
			continue
		}
		known[name] = true
		for _, d := range list {
			if !slices.Contains(digests[plain(name)], d) {
				differ[name] = true
			}
		}
	}
	return differ, known
}

func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// commit checks a commit of the history out.
func commit(t *testing.T, revision string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `git -c safe.directory='*' archive "$1" | tar -x -C "$2"`, "sh", revision, dir)
	cmd.Dir = repository(t)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("the history is not here: %v: %s", err, text)
	}
	return dir
}

// overlay is a flag that makes go build take files of Go itself with edits.
func overlay(t *testing.T, edits ...edit) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, dir := strings.TrimSpace(string(out)), t.TempDir()
	replace := map[string]string{}
	for i, e := range edits {
		path := filepath.Join(root, "src", e.file)
		from := path
		if replace[path] != "" {
			from = replace[path]
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), e.old) < 1 {
			t.Skipf("%q isn't in %s of this Go", e.old, e.file)
		}
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(replace[path], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return "-overlay=" + path
}

// goEdits change Go's own library and tools here and there.
var goEdits = map[string][]edit{
	"./cmd/aftershock": {
		{"net/http/transport.go", "var maxWriteWaitBeforeConnReuse = 50 * time.Millisecond", "var maxWriteWaitBeforeConnReuse = 70 * time.Millisecond"},
		{"net/http/transport.go", `"net/http: timeout awaiting response headers"`, `"net/http: timed out while awaiting response headers"`},
	},
	"cmd/gofmt": {
		{"go/scanner/scanner.go", `"comment not terminated"`, `"comment is not terminated"`},
		{"strconv/quote.go", "lowerhex = \"0123456789abcdef\"", "lowerhex = \"0123456789abcdeF\""},
	},
	"cmd/link": {
		{"cmd/link/internal/ld/lib.go", `"invalid -strictdups flag value %d"`, `"no -strictdups flag value: %d"`},
		{"sort/zsortinterface.go", "maxInsertion = 12", "maxInsertion = 14"},
		{"debug/elf/file.go", "saferio.SliceCap[Section](uint64(shnum))", "saferio.SliceCap[Section](uint64(shnum + 1))"},
	},
	"cmd/go": {
		{"cmd/go/internal/web/http.go", "5 * time.Second", "7 * time.Second"},
		{"cmd/go/internal/modload/query.go", `"latest"`, `"newest"`},
		{"os/exec/exec.go", `"exec: already started"`, `"exec: it was already started"`},
	},
}

func TestExact(t *testing.T) {
	root := repository(t)
	pairs := [][2]string{
		{"./demo/payments/payments-4.1.3", "./demo/payments/payments-4.2.0"},
		{"./demo/payments/payments-4.1.3", "./demo/payments/payments-4.1.4"},
		{"./demo/payments/payments-4.1.4", "./demo/payments/payments-4.2.0"},
		{"./demo/checkout/checkout-4.1.3", "./demo/checkout/checkout-4.2.0"},
	}
	modes := []mode{stripped, unstripped, pie, arm64, armPIE}
	all := os.Getenv("AFTERSHOCK_EXACT") != ""
	if !all {
		pairs, modes = pairs[:1], []mode{stripped, arm64}
	}
	for _, m := range modes {
		for _, pair := range pairs {
			t.Run(filepath.Base(pair[0])+"-"+filepath.Base(pair[1])+"/"+m.name, func(t *testing.T) {
				judge(t, source{dir: root, main: pair[0], mode: m}, source{dir: root, main: pair[1], mode: m}).report(t)
			})
		}
		if !all {
			continue
		}
		for main, edits := range goEdits {
			t.Run("patched-"+filepath.Base(main)+"/"+m.name, func(t *testing.T) {
				s := source{dir: root, main: main, mode: m}
				n := s
				n.flags = []string{overlay(t, edits...)}
				judge(t, s, n).report(t)
			})
		}
		for _, pair := range history {
			t.Run("history-"+pair[0]+"-"+pair[1]+"/"+m.name, func(t *testing.T) {
				old, new := commit(t, pair[0]), commit(t, pair[1])
				judge(t, source{dir: old, main: "./cmd/aftershock", mode: m}, source{dir: new, main: "./cmd/aftershock", mode: m}).report(t)
			})
		}
	}
}

// history are commits of this repository.
var history = [][2]string{{"d351b5a", "92218e2"}, {"8d3e559", "d351b5a"}}

func (a accuracy) report(t *testing.T) {
	t.Helper()
	t.Logf("%d functions, %d packages changed, true %d, false %d, missed %d, rest %d", a.Functions, a.Packages, a.True, len(a.False), len(a.Missed), len(a.Rest))
	if len(a.False)+len(a.Missed) > 0 {
		t.Errorf("false\n\t%s\nmissed\n\t%s", strings.Join(a.False, "\n\t"), strings.Join(a.Missed, "\n\t"))
	}
	if len(a.Rest) > 0 {
		t.Logf("neither right nor wrong\n\t%s", strings.Join(a.Rest, "\n\t"))
	}
}
