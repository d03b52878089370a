package files

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
)

// program is one that waits between attempts, and then for its end.
const program = `package main

import (
	"fmt"
	"os"
	"time"
)

//go:noinline
func backoff(attempt int) time.Duration { return time.Duration(attempt) * %d * time.Millisecond }

func main() {
	fmt.Println(backoff(len(os.Args)))
	if len(os.Args) > 1 {
		time.Sleep(time.Hour)
	}
}
`

// compile builds the program with a wait of so many milliseconds.
func compile(t *testing.T, wait int) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"main.go": fmt.Sprintf(program, wait), "go.mod": "module example.com/pay\n\ngo 1.26\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "pay")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	return out
}

// install puts a copy of a file in place in one step.
func install(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", content, 0o755)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, file, dir string) *Inspector {
	t.Helper()
	log := logrus.New()
	log.SetOutput(t.Output())
	i, err := New(Config{{Binary: "pay", Path: file}}, dir, log)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

var start = time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)

func changeAt(i *Inspector, at time.Time) *detector.Inside { return changeOf(i, at, "") }

func changeOf(i *Inspector, at time.Time, sha256 string) *detector.Inside {
	u := &detector.Upgrade{StartedAt: at, Binaries: []detector.Binary{{Name: "pay", SHA256: sha256}}}
	return i.Change(u, &u.Binaries[0])
}

func TestChangeIsKnownOnceTheFileIsReplaced(t *testing.T) {
	old, new := compile(t, 50), compile(t, 20)
	file, dir := filepath.Join(t.TempDir(), "pay"), t.TempDir()
	i := open(t, file, dir)
	i.Look(start) // there is no such file yet
	i.Wait(time.Minute)
	install(t, old, file)
	i.Look(start)
	i.Wait(time.Minute)
	if got := changeAt(i, start); got != nil {
		t.Fatalf("with one build known: %+v", got)
	}
	// What is known outlives the process and the old file.
	i = open(t, file, dir)
	install(t, new, file)
	i.Look(start.Add(time.Hour))
	i.Wait(time.Minute)
	got := changeAt(i, start.Add(time.Hour))
	if got == nil || got.Same || !slices.Contains(got.Touches, "backoff") || !strings.Contains(got.Summary, "50ms") || !strings.Contains(got.Summary, "20ms") {
		t.Fatalf("got %+v, want a backoff that went from 50ms to 20ms", got)
	}
	if got := changeAt(i, start.Add(time.Hour+2*Span)); got != nil {
		t.Errorf("an upgrade two days later is told to have changed %+v", got)
	}
	revision := i.Revision()
	i.Look(start.Add(2 * time.Hour))
	i.Wait(time.Minute)
	if i.Revision() != revision {
		t.Error("a file that stays as it is was read anew")
	}
}

func TestTheBuildBeforeIsReadFromTheProcessThatRunsIt(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	old, new := compile(t, 50), compile(t, 20)
	file := filepath.Join(t.TempDir(), "pay")
	install(t, old, file)
	run := exec.Command(file, "wait")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = run.Process.Kill()
		_ = run.Wait()
	}()
	install(t, new, file)
	i := open(t, file, t.TempDir())
	i.Look(start)
	i.Wait(time.Minute)
	if got := changeAt(i, start); got == nil || !slices.Contains(got.Touches, "backoff") {
		t.Fatalf("got %+v, want a changed backoff", got)
	}
}

// An upgrade has the change of the build that was installed nearest to it, also where
// that build comes back later.
func TestEachUpgradeHasItsOwnChange(t *testing.T) {
	first, second := &detector.Inside{Summary: "first"}, &detector.Inside{Summary: "second"}
	back := &detector.Inside{Summary: "back"}
	i := open(t, "/nowhere", t.TempDir())
	i.builds["pay"] = []build{
		{"a", start, nil}, {"b", start.Add(2 * time.Hour), first}, {"c", start.Add(5 * time.Hour), second}, {"a", start.Add(9 * time.Hour), back},
	}
	for at, want := range map[time.Duration]*detector.Inside{
		0: nil, 2*time.Hour + time.Minute: first, 5*time.Hour - time.Minute: second, 9 * time.Hour: back, 40 * time.Hour: nil,
	} {
		if got := changeOf(i, start.Add(at), ""); got != want {
			t.Errorf("after %s: got %+v, want %+v", at, got, want)
		}
	}
	if got := changeOf(i, start.Add(8*time.Hour), "a"); got != back {
		t.Errorf("the build that came back: got %+v", got)
	}
}

func TestWhatCannotBeComparedIsNotTheSame(t *testing.T) {
	old, new := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	for path, text := range map[string]string{old: "hi", new: "ho"} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "pay")
	i := open(t, file, t.TempDir())
	for n, from := range []string{old, new} {
		install(t, from, file)
		i.Look(start.Add(time.Duration(n) * time.Hour))
		i.Wait(time.Minute)
	}
	if got := changeAt(i, start.Add(time.Hour)); got != nil {
		t.Errorf("got %+v of files that no one can read", got)
	}
}

func TestWhatCannotBeReadIsTriedOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pay")
	if err := os.WriteFile(file, []byte("\x7fELF and no more"), 0o755); err != nil {
		t.Fatal(err)
	}
	i := open(t, file, t.TempDir())
	for range 2 {
		i.Look(start)
		i.Wait(time.Minute)
	}
	if got := changeAt(i, start); got != nil {
		t.Errorf("got %+v of a file that can't be read", got)
	}
	if _, known := i.stats["pay"]; !known {
		t.Error("the file would be read at every step")
	}
}

func TestConfigNamesEachProblem(t *testing.T) {
	c := Config{{"a", "/bin/a"}, {"", "/bin/b"}, {"a", "bin/a"}}
	var got []string
	for _, err := range c.Validate("upgrades.files") {
		got = append(got, err.Error())
	}
	want := []string{
		"upgrades.files[1].binary: is missing",
		`upgrades.files[2].path: want an absolute path, got "bin/a"`,
		"upgrades.files[2].binary: a comes twice",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
