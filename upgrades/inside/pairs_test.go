package inside

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// found is what a test asserts of a difference, in full.
type found struct {
	Added, Removed, Changed []string
	Constants               []string // where: old -> new
	CameStrings, WentString []string
	Modules                 []string
	Configuration           []string
	Callees                 []string
}

func summarise(d Difference) (f found) {
	f.Added, f.Removed, f.Changed = sorted(d.Functions.Added), sorted(d.Functions.Removed), sorted(d.Functions.Changed)
	for _, k := range d.Constants {
		f.Constants = append(f.Constants, k.Where+": "+k.Old+" -> "+k.New)
	}
	f.Constants = sorted(f.Constants)
	f.CameStrings, f.WentString = sorted(d.Strings.Added), sorted(d.Strings.Removed)
	for _, m := range d.Modules {
		f.Modules = append(f.Modules, m.Path+" "+m.Old+" -> "+m.New)
	}
	for _, k := range d.Configuration.Added {
		f.Configuration = append(f.Configuration, "+"+k)
	}
	for _, k := range d.Configuration.Removed {
		f.Configuration = append(f.Configuration, "-"+k)
	}
	for _, k := range d.Callees {
		for _, n := range k.Added {
			f.Callees = append(f.Callees, k.Function+" +"+n)
		}
		for _, n := range k.Removed {
			f.Callees = append(f.Callees, k.Function+" -"+n)
		}
	}
	return f
}

// sorted is nil for nothing, as an unset field of a want is.
func sorted(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

const delayBody = `	d := 50 * time.Millisecond * time.Duration(attempt)
	if d > 2*time.Second {
		d = 2 * time.Second
	}
	return d
`

// strategy is another backoff: exponential, capped, with jitter.
var strategy = []edit{
	{"main.go", delayBody, "\treturn jittered(capped(20*time.Millisecond<<uint(attempt&15), 8*time.Second))\n"},
	{"main.go", "", `
//go:noinline
func jittered(d time.Duration) time.Duration { return d/2 + time.Duration(rand.Int63n(int64(d)/2+1)) }

//go:noinline
func capped(d, limit time.Duration) time.Duration { return min(d, limit) }
`},
}

// changes are pairs of builds and all that differs in them.
var changes = []struct {
	name  string
	edits []edit
	modes []mode
	want  found
	// named replaces the constants of variables where there are symbols.
	named []string
}{
	{
		name: "nothing", modes: []mode{stripped, unstripped, pie, arm64, external, riscv64},
	},
	{
		name: "comment", modes: []mode{stripped, arm64},
		edits: []edit{{"main.go", "type Strategy interface", "// Strategy waits.\n//\n// It may wait long.\ntype Strategy interface"}},
	},
	{
		name: "strategy", modes: []mode{stripped, unstripped, pie, arm64, external}, edits: strategy,
		want: found{
			Added: []string{"main.capped", "main.jittered"}, Changed: []string{"main.delay"},
			Constants: []string{"main.delay: 2s -> 8s", "main.delay: 50ms -> 20ms"},
			Callees:   []string{"main.delay +main.capped", "main.delay +main.jittered"},
		},
	},
	{
		name: "constants", modes: []mode{stripped, pie, arm64},
		edits: []edit{
			{"main.go", "d := 50 * time.Millisecond", "d := 20 * time.Millisecond"},
			{"main.go", "if d > 2*time.Second {\n\t\td = 2 * time.Second", "if d > 8*time.Second {\n\t\td = 8 * time.Second"},
			{"main.go", "float64(d) * 1.5)", "float64(d) * 1.75)"},
			{"main.go", "9 * time.Second, 11", "10 * time.Second, 11"},
			{"main.go", "30*time.Second", "12*time.Second"},
		},
		want: found{
			Changed: []string{"main.delay", "main.grow", "main.limits", "main.main"},
			Constants: []string{
				"main.delay: 2s -> 8s", "main.delay: 50ms -> 20ms", "main.grow: 1.5 -> 1.75", "main.limits: 9s -> 10s", "main.main: 30s -> 12s",
			},
		},
	},
	{
		name: "doubling", modes: []mode{stripped, arm64},
		edits: []edit{{"main.go", "float64(d) * 1.5)", "float64(d) * 2.0)"}},
		want:  found{Changed: []string{"main.grow"}, Constants: []string{"main.grow: 1.5 -> 2"}},
	},
	{
		name: "variables", modes: []mode{stripped, pie, arm64, external, unstripped},
		edits: []edit{
			{"main.go", "MinBackoff  = 10 * time.Millisecond", "MinBackoff  = 25 * time.Millisecond"},
			{"main.go", "MaxAttempts = 3", "MaxAttempts = 5"},
			{"main.go", "Multiplier  = 1.25", "Multiplier  = 2.5"},
			{"main.go", "8 * time.Second, 16 * time.Second", "8 * time.Second, 20 * time.Second"},
		},
		want:  found{Constants: []string{".noptrdata: 1.25 -> 2.5", ".noptrdata: 10ms -> 25ms", ".noptrdata: 16s -> 20s", ".noptrdata: 3 -> 5"}},
		named: []string{".noptrdata: 16s -> 20s", "main.MaxAttempts: 3 -> 5", "main.MinBackoff: 10ms -> 25ms", "main.Multiplier: 1.25 -> 2.5"},
	},
	{
		name: "log text", modes: []mode{stripped, pie, arm64, external},
		edits: []edit{
			{"main.go", `"attempt %d failed: %v"`, `"attempt %d was in vain, and it said: %v"`},
			{"main.go", `"upstream timed out"`, `"upstream timed up!"`},
			{"main.go", `"limit", d`, `"bound", d`},
		},
		want: found{
			Changed:     []string{"main.call", "main.main.func1", "main.retry"},
			CameStrings: []string{"attempt %d was in vain, and it said: %v", "bound", "upstream timed up!"},
			WentString:  []string{"attempt %d failed: %v", "limit", "upstream timed out"},
		},
	},
	{
		name: "variable text", modes: []mode{stripped, pie, arm64},
		edits: []edit{{"main.go", `https://pay.dten.example/v1`, `https://pay.dten.example/v2`}},
		want:  found{CameStrings: []string{"https://pay.dten.example/v2"}, WentString: []string{"https://pay.dten.example/v1"}},
	},
	{
		name: "module", modes: []mode{stripped, arm64},
		edits: []edit{
			{"go.mod", "backoff v1.2.0", "backoff v1.3.0"},
			{"../backoff/backoff.go", "return time.Duration(attempt) * 40 * time.Millisecond", "return min(time.Duration(attempt)*40*time.Millisecond, 4*time.Second)"},
		},
		want: found{
			Changed: []string{"dten.example/backoff.Wait"}, Constants: []string{"dten.example/backoff.Wait:  -> 4s"},
			Modules: []string{"dten.example/backoff v1.2.0 -> v1.3.0"},
		},
	},
	{
		name: "configuration", modes: []mode{stripped, arm64},
		edits: []edit{{"main.go", `os.Getenv("DTEN_VERBOSE")`, `os.Getenv("DTEN_RETRY_DEBUG")`}},
		want: found{
			Changed: []string{"main.main"}, CameStrings: []string{"DTEN_RETRY_DEBUG"}, WentString: []string{"DTEN_VERBOSE"},
			Configuration: []string{"+DTEN_RETRY_DEBUG", "-DTEN_VERBOSE"},
		},
	},
	{
		name: "switch", modes: []mode{stripped, pie, arm64},
		edits: []edit{{"main.go", "\tcase 1, 7:", "\tcase 1, 6:"}, {"main.go", "\tcase 6:", "\tcase 7:"}},
		want:  found{Changed: []string{"main.call"}},
	},
	{
		name: "closure", modes: []mode{stripped},
		edits: []edit{{"main.go", "\teach(func(d time.Duration) { fmt.Println", "\teach(func(d time.Duration) { fmt.Println(\"first\") })\n\teach(func(d time.Duration) { fmt.Println"}},
		want: found{
			Added: []string{"main.main.func1"}, Changed: []string{"main.main"}, CameStrings: []string{"first"},
			Callees: []string{"main.main +main.main.func2"},
		},
	},
}

func TestPairs(t *testing.T) {
	for _, tt := range changes {
		for _, m := range tt.modes {
			t.Run(tt.name+"/"+m.name, func(t *testing.T) {
				old := take(t, build(t, "base", m))
				d := Compare("payments", old, take(t, build(t, strings.ReplaceAll(tt.name, " ", "-"), m, tt.edits...)))
				want := tt.want
				if m.name == unstripped.name && tt.named != nil {
					want.Constants = tt.named
				}
				if diff := cmp.Diff(want, summarise(d)); diff != "" {
					t.Errorf("-want +got\n%s\n%s", diff, d.Summary)
				}
				if empty := tt.edits == nil || tt.name == "comment"; d.Empty() != empty {
					t.Errorf("Empty() = %t, want %t", d.Empty(), empty)
				}
			})
		}
	}
}

// What came and went by the names in the table of symbols, which the comparison
// doesn't read, is what it finds without them.
func TestNamesAgreeWithSymbols(t *testing.T) {
	names := func(path string) map[string]bool {
		out, err := exec.CommandContext(t.Context(), "go", "tool", "nm", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		set := map[string]bool{}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) == 3 && strings.EqualFold(f[1], "t") && strings.HasPrefix(f[2], "main.") {
				set[f[2]] = true
			}
		}
		return set
	}
	old, new := build(t, "base", unstripped), build(t, "strategy", unstripped, strategy...)
	added, removed := cameWent(names(old), names(new))
	d := Compare("payments", take(t, build(t, "base", stripped)), take(t, build(t, "strategy", stripped, strategy...)))
	if diff := cmp.Diff(found{Added: sorted(added), Removed: sorted(removed)}, found{Added: sorted(d.Functions.Added), Removed: sorted(d.Functions.Removed)}); diff != "" {
		t.Errorf("-symbols +found\n%s", diff)
	}
}

// However many functions have the same code and other constants, pairing them
// takes no time to speak of.
func TestPairingIsBounded(t *testing.T) {
	const count = 20_000
	var sides [2]Fingerprint
	for k := range sides {
		p := &sides[k]
		p.Form = FormELF
		for i := range count {
			p.Pieces = append(p.Pieces, Piece{Bytes: []byte(fmt.Sprintf("%d of %d", i, k))})
			p.Functions = append(p.Functions, Function{Size: 8, Address: uint64(i), Pieces: []int32{int32(i)}})
		}
	}
	begin := time.Now()
	if d := Compare("hostile", sides[0], sides[1]); len(d.Functions.Changed) != count {
		t.Errorf("%d functions changed, want %d", len(d.Functions.Changed), count)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A constant is the same as far as both builds show it, and where a word may be
// an address as well as a number, if either is the same.
func TestPiecesAgree(t *testing.T) {
	for _, tt := range []struct {
		name     string
		old, new Piece
		want     bool
	}{
		{"same", Piece{Bytes: []byte("20ms")}, Piece{Bytes: []byte("20ms")}, true},
		{"other", Piece{Bytes: []byte("20ms")}, Piece{Bytes: []byte("50ms")}, false},
		{"reaches further", Piece{Bytes: []byte("20ms")}, Piece{Bytes: []byte("20ms and the next")}, true},
		{"reaches further and differs", Piece{Bytes: []byte("50ms and the next")}, Piece{Bytes: []byte("20ms")}, false},
		{"a number that looks like an address", Piece{Bytes: []byte("meaning."), Raw: []byte("1048576.")}, Piece{Bytes: []byte("1048576.")}, true},
		{"an address that moved to a round one", Piece{Bytes: []byte("meaning.")}, Piece{Bytes: []byte("meaning."), Raw: []byte("1048576.")}, true},
		{"another number", Piece{Bytes: []byte("meaning."), Raw: []byte("1048576.")}, Piece{Bytes: []byte("2097152.")}, false},
	} {
		if got := tt.old.agrees(tt.new); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
		if got := tt.new.agrees(tt.old); got != tt.want {
			t.Errorf("%s, the other way: %t", tt.name, got)
		}
	}
}
