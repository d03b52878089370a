package inside

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// source is a program as it is built: where, what, and how.
type source struct {
	dir, main string
	mode      mode
	flags     []string // for go build and go list alike
}

func (s source) run(t *testing.T, name string, args ...string) (out, errs string) {
	t.Helper()
	args = append(append([]string{name, "-trimpath", "-buildvcs=false"}, s.flags...), args...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = s.dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off"), s.mode.env...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, tail(e.String()))
	}
	return o.String(), e.String()
}

func tail(s string) string { return s[max(0, len(s)-2000):] }

// compiled builds the program as it is deployed.
func (s source) compiled(t *testing.T, name string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	s.run(t, "build", append(slices.Clone(s.mode.flags), "-o", out, s.main)...)
	return out
}

// contents gives a digest of what the compiler made of each package.
func (s source) contents(t *testing.T) map[string]string {
	t.Helper()
	var flags []string
	for _, f := range s.mode.flags {
		if !strings.HasPrefix(f, "-ldflags") {
			flags = append(flags, f)
		}
	}
	out, _ := s.run(t, "list", append(flags, "-export", "-deps", "-f", "{{.Name}} {{.ImportPath}} {{.BuildID}}", s.main)...)
	ids := map[string]string{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		if f[0] == "main" {
			f[1] = "main"
		}
		ids[f[1]] = f[2][strings.LastIndexByte(f[2], '/')+1:]
	}
	return ids
}

// assembly gives the digests of the functions of packages as the compiler wrote
// them, with the names of what they refer to: the truth, of which the linker's
// output is to tell. Several functions may have one name.
func (s source) assembly(t *testing.T, packages []string) map[string][]string {
	t.Helper()
	args := slices.Clone(s.mode.flags)
	for _, p := range packages {
		if p == "main" {
			p = s.main
		}
		args = append(args, "-gcflags="+p+"=-S")
	}
	_, text := s.run(t, "build", append(args, "-o", os.DevNull, s.main)...)
	return parseAssembly(text)
}

var (
	symbolLine = regexp.MustCompile(`^(.*) (S[A-Z]+) (?:dupok |nosplit |[a-zA-Z]+ )*size=(\d+)`)
	bytesLine  = regexp.MustCompile(`^\t0x[0-9a-f]{4,} ((?:[0-9a-f]{2} ?)+)`)
	// unnamed are symbols that are numbered in the order of the package.
	unnamed = regexp.MustCompile(`\S*(?:\.\.stmp_\d+|\.\.dict\.\S+|\.jump\d+|\.\.typeAssert\.\d+|\.\.interfaceSwitch\.\d+)`)
)

type compiledSymbol struct {
	kind string
	body strings.Builder
}

func parseAssembly(text string) map[string][]string {
	symbols := map[string]*compiledSymbol{}
	var names []string
	var list []*compiledSymbol
	var current *compiledSymbol
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := symbolLine.FindStringSubmatch(line); m != nil && line[0] != '\t' {
			current = &compiledSymbol{kind: m[2]}
			symbols[m[1]] = current
			names, list = append(names, m[1]), append(list, current)
			continue
		}
		if current == nil || line == "" || line[0] != '\t' {
			continue
		}
		if m := bytesLine.FindStringSubmatch(line); m != nil {
			current.body.WriteString(strings.TrimSpace(m[1]))
			current.body.WriteByte('\n')
		} else if f := strings.Fields(line); f[0] == "rel" && !strings.HasSuffix(f[1], "+0") {
			current.body.WriteString(strings.TrimSpace(line))
			current.body.WriteByte('\n')
		}
	}
	out, done := map[string][]string{}, map[string]string{}
	for i, n := range names {
		if list[i].kind != "STEXT" || list[i].body.Len() == 0 {
			continue
		}
		sum := sha256.Sum256([]byte(resolved(list[i].body.String(), symbols, done)))
		out[n] = append(out[n], fmt.Sprintf("%x", sum[:8]))
	}
	return out
}

// resolved puts a digest of the content in the place of a constant that has a
// number only. done are those that were resolved, "" those that are being.
func resolved(body string, symbols map[string]*compiledSymbol, done map[string]string) string {
	name := func(name string) string {
		bare, _, _ := strings.Cut(name, "+")
		s := symbols[bare]
		if s == nil {
			return unnumbered.ReplaceAllString(name, "#")
		}
		if s.kind != "SRODATA" {
			return s.kind
		}
		if _, ok := done[bare]; !ok {
			done[bare] = ""
			done[bare] = fmt.Sprintf("%x", sha256.Sum256([]byte(resolved(s.body.String(), symbols, done))))
		}
		return done[bare]
	}
	var out strings.Builder
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "rel ") {
			if strings.Contains(line, "..") || strings.Contains(line, ".jump") {
				line = unnamed.ReplaceAllStringFunc(line, name)
			}
			line = plain(line)
		}
		out.WriteString(line)
	}
	return out.String()
}

var unnumbered = regexp.MustCompile(`\d+$`)

// packageOf is the package of a function by its name in the binary.
func packageOf(function string) string {
	name := function
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i]
	}
	slash := strings.LastIndexByte(name, '/')
	dot := strings.IndexByte(name[slash+1:], '.')
	if dot < 0 {
		return ""
	}
	return strings.ReplaceAll(name[:slash+1+dot], "%2e", ".")
}
