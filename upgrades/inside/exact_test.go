package inside

import (
	"os"
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
	// the compiler wrote them as before.
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
		if !named[name] {
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

func TestExact(t *testing.T) {
	root := repository(t)
	for _, pair := range [][2]string{
		{"./demo/payments/payments-4.1.3", "./demo/payments/payments-4.2.0"},
		{"./demo/payments/payments-4.1.3", "./demo/payments/payments-4.1.4"},
		{"./demo/payments/payments-4.1.4", "./demo/payments/payments-4.2.0"},
		{"./demo/checkout/checkout-4.1.3", "./demo/checkout/checkout-4.2.0"},
	} {
		for _, m := range []mode{stripped, unstripped, pie, arm64} {
			if f := os.Getenv("EXACT_MODE"); f != "" && f != m.name {
				continue
			}
			t.Run(filepath.Base(pair[0])+"-"+filepath.Base(pair[1])+"/"+m.name, func(t *testing.T) {
				a := judge(t, source{dir: root, main: pair[0], mode: m}, source{dir: root, main: pair[1], mode: m})
				t.Logf("%d functions, %d packages changed, true %d, false %d, missed %d, rest %d", a.Functions, a.Packages, a.True, len(a.False), len(a.Missed), len(a.Rest))
				t.Logf("false %s\nmissed %s\nrest %s", strings.Join(a.False, "\n\t"), strings.Join(a.Missed, "\n\t"), strings.Join(a.Rest, "\n\t"))
			})
		}
	}
}
