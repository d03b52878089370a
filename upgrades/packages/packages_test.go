package packages

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
)

// told is a run in one line.
func told(r Run) string {
	end := ""
	if !r.Finished.IsZero() {
		end = r.Finished.Format("15:04:05")
	}
	s := fmt.Sprintf("%s %s..%s", r.Log, r.Started.Format("15:04:05"), end)
	if r.Command != "" {
		s += fmt.Sprintf(" %q", r.Command)
	}
	for _, p := range r.Packages {
		s += fmt.Sprintf("; %s %s>%s", p.Name, p.From, p.To)
		if p.Downgraded() {
			s += " back"
		}
	}
	return s
}

// readAll gives the last word on each run of a log.
func readAll(text string, line func(string) *Run) []string {
	var runs []Run
	for l := range strings.Lines(text) {
		if r := line(strings.TrimSuffix(l, "\n")); r != nil {
			runs = keep(runs, *r)
		}
	}
	var out []string
	for _, r := range runs {
		out = append(out, told(r))
	}
	return out
}

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDpkg(t *testing.T) {
	want := []string{
		"dpkg 09:13:02..09:15:41; dten-payments 4.1.3>4.2.0; libssl3 3.0.15-1~deb12u1>3.0.16-1~deb12u1",
		"dpkg 09:40:00..09:40:02; dten-payments 4.2.0>4.1.3 back",
		"dpkg 09:50:00..09:50:01; dten-cart >1.0",
		"dpkg 10:00:00..; dten-checkout 4.1.3>4.2.0",
	}
	if diff := cmp.Diff(want, readAll(sample(t, "dpkg.log"), NewDpkg(time.UTC).Line)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestApt(t *testing.T) {
	want := []string{
		`apt 09:13:01..09:15:42 "apt-get install dten-payments=4.2.0"; dten-tools >1.0; linux-image-6.1 >6.1.129-1; dten-payments 4.1.3>4.2.0; libssl3 3.0.15-1~deb12u1>3.0.16-1~deb12u1`,
		`apt 09:40:00..09:40:02 "apt install dten-payments=4.1.3"; dten-payments 4.2.0>4.1.3 back`,
		`apt 10:00:00.. "apt upgrade"; dten-checkout 4.1.3>4.2.0`,
	}
	if diff := cmp.Diff(want, readAll(sample(t, "history.log"), NewApt(time.UTC).Line)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTimesAreLocal(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	// On 25 October 2026 the hour from two to three comes twice.
	c := clock{place: vienna}
	var got []string
	for _, of := range []string{"01:59:00", "02:10:00", "02:50:00", "02:05:00", "02:55:00", "03:00:00"} {
		at, ok := c.read("2026-10-25", of)
		if !ok {
			t.Fatalf("%s can't be read", of)
		}
		got = append(got, at.Format("15:04"))
	}
	if want := []string{"23:59", "00:10", "00:50", "01:05", "01:55", "02:00"}; !slices.Equal(got, want) {
		t.Errorf("got %v UTC, want %v", got, want)
	}
	if _, ok := c.read("2026-13-25", "02:10:00"); ok {
		t.Error("a month 13 was read")
	}
}

func TestVersions(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"4.1.3", "4.2.0", "4.1.3 > 4.2.0"},
		{"4.1.3-1", "4.2.0-1", "4.1.3 (4.1.3-1) > 4.2.0 (4.2.0-1)"},
		{"1:4.1.3+dfsg-2~deb12u1", "1:4.2.0~rc1-1", "4.1.3 (1:4.1.3+dfsg-2~deb12u1) > 4.2.0-rc1 (1:4.2.0~rc1-1)"},
		{"4.2.0-1", "4.2.0-2", "4.2.0-1 > 4.2.0-2"},
		{"", "1.0~bookworm1", " > 1.0 (1.0~bookworm1)"},
	} {
		from, to := Package{From: tt.from, To: tt.to}.Versions()
		if got := from + " > " + to; got != tt.want {
			t.Errorf("%s to %s: got %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
}

// The order is that of dpkg --compare-versions.
func TestCompare(t *testing.T) {
	order := []string{"1.0~~", "1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0a", "1.0+dfsg", "1.2", "1.10", "1.10.1", "2.0~beta", "2.0", "1:0.1"}
	for i, a := range order {
		for j, b := range order {
			got := compare(a, b)
			if got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("compare(%q, %q) = %d", a, b, got)
			}
		}
	}
	if dpkg, err := exec.LookPath("dpkg"); err == nil {
		for i, a := range order[1:] {
			if err := exec.CommandContext(t.Context(), dpkg, "--compare-versions", order[i], "lt", a).Run(); err != nil {
				t.Errorf("dpkg says otherwise of %q and %q: %v", order[i], a, err)
			}
		}
	}
	if compare("1.01", "1.1") != 0 || compare("0:1.0", "1.0-0") != 0 {
		t.Error("zeros count")
	}
}

func TestCounts(t *testing.T) {
	known := func(name string) bool { return name == "dten-payments" }
	for _, tt := range []struct {
		names   []string
		name    string
		counted bool
	}{
		{nil, "dten-payments", true},
		{nil, "libssl3", false},
		{[]string{"dten-*"}, "dten-cart", true},
		{[]string{"dten-*", "nginx"}, "nginx", true},
		{[]string{"nginx"}, "dten-payments", false},
	} {
		c := Config{Names: tt.names}
		if got := c.Counts(tt.name, known); got != tt.counted {
			t.Errorf("patterns %v, package %s: got %t", tt.names, tt.name, got)
		}
	}
}

// logs are a directory with a log that is written to and rotated.
type logs struct {
	t    *testing.T
	path string
}

func newLogs(t *testing.T) *logs { return &logs{t, filepath.Join(t.TempDir(), "dpkg.log")} }

func (l *logs) write(name, text string) {
	l.t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		l.t.Fatal(err)
	}
}

func (l *logs) watcher() *Watcher {
	l.t.Helper()
	w, err := NewWatcher(Config{DpkgLog: l.path, LookBack: model.Duration(24 * time.Hour), TimeZone: "UTC"})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(w.Close)
	return w
}

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

func (l *logs) poll(w *Watcher) (out []string) {
	l.t.Helper()
	runs, problems := w.Poll(noon)
	if len(problems) > 0 {
		l.t.Fatalf("problems: %v", problems)
	}
	for _, r := range runs {
		out = append(out, told(r))
	}
	return out
}

func upgrade(at, name string) string {
	return fmt.Sprintf("2026-03-06 %s upgrade %s:amd64 4.1.3 4.2.0\n2026-03-06 %s status installed %s:amd64 4.2.0\n", at, name, at, name)
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestWatcher(t *testing.T) {
	l := newLogs(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, "2026-03-01 09:00:00 upgrade dten-old:amd64 4.1.3 4.2.0\n", upgrade("01:00:00", "a"))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	l.write(l.path+".2.gz", packed.String())
	l.write(l.path+".1", upgrade("02:00:00", "b"))
	l.write(l.path, upgrade("03:00:00", "c")+"2026-03-06 04:00:00 upgrade d:amd64 4.1.3")
	w := l.watcher()
	want(t, "at the start", l.poll(w), "dpkg 01:00:00..01:00:00; a 4.1.3>4.2.0", "dpkg 02:00:00..02:00:00; b 4.1.3>4.2.0", "dpkg 03:00:00..03:00:00; c 4.1.3>4.2.0")
	want(t, "nothing new", l.poll(w))
	l.write(l.path, " 4.2.0\n")
	want(t, "the rest of a line", l.poll(w), "dpkg 04:00:00..; d 4.1.3>4.2.0")
	l.write(l.path, "2026-03-06 04:00:30 status installed d:amd64 4.2.0\n")
	want(t, "the end of a run", l.poll(w), "dpkg 04:00:00..04:00:30; d 4.1.3>4.2.0")

	// Rotated: what was still written to the old file is read as well.
	l.write(l.path, upgrade("05:00:00", "e"))
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		t.Fatal(err)
	}
	want(t, "without a new log", l.poll(w), "dpkg 05:00:00..05:00:00; e 4.1.3>4.2.0")
	l.write(l.path, upgrade("06:00:00", "f"))
	want(t, "a new log", l.poll(w), "dpkg 06:00:00..06:00:00; f 4.1.3>4.2.0")
	if err := os.Truncate(l.path, 0); err != nil {
		t.Fatal(err)
	}
	want(t, "nothing in it", l.poll(w))
	l.write(l.path, upgrade("07:00:00", "g"))
	want(t, "emptied in place", l.poll(w), "dpkg 07:00:00..07:00:00; g 4.1.3>4.2.0")

	// A restart tells the same runs under the same IDs.
	again := l.watcher()
	runs, _ := again.Poll(noon)
	if len(runs) < 2 || runs[len(runs)-1].ID() != "dpkg-20260306T070000Z" {
		t.Errorf("after a restart: got %v", runs)
	}
}

func TestWatcherReadsABoundedPart(t *testing.T) {
	l := newLogs(t)
	filler := strings.Repeat("2026-03-06 08:00:00 status unpacked x:amd64 1.0\n", 1<<20/48)
	for range 10 {
		l.write(l.path, filler)
	}
	l.write(l.path, strings.Repeat("x", 3<<20)+"\n"+upgrade("09:00:00", "a"))
	w := l.watcher()
	looks := 1
	for ; len(l.poll(w)) == 0; looks++ {
		if looks > 10 {
			t.Fatal("the end of the log was not reached in ten looks")
		}
		if len(w.tails[0].partial) > maxLine {
			t.Fatalf("%d bytes of one line are kept", len(w.tails[0].partial))
		}
	}
	if looks < 3 {
		t.Errorf("13 MiB were read in %d looks, want at most %d bytes each", looks, maxLook)
	}
}

func TestWatcherTellsOfTroubleOnce(t *testing.T) {
	l := newLogs(t)
	w := l.watcher()
	for i, n := range []int{1, 0, 0} {
		if _, problems := w.Poll(noon); len(problems) != n {
			t.Errorf("look %d without a log: got %v, want %d problems", i+1, problems, n)
		}
	}
	l.write(l.path, upgrade("13:00:00", "a"))
	runs, problems := w.Poll(noon)
	if len(runs) != 0 || len(problems) != 1 || !strings.Contains(problems[0].Error(), "time_zone") {
		t.Errorf("a run that lies ahead: got %v, %v, want a question for the time zone", runs, problems)
	}
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(l.path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, problems := l.watcher().Poll(noon); len(problems) != 1 || !strings.Contains(problems[0].Error(), "isn't a regular file") {
		t.Errorf("a directory: got %v", problems)
	}
}

func FuzzLines(f *testing.F) {
	f.Add(sample(f, "dpkg.log"))
	f.Add(sample(f, "history.log"))
	f.Fuzz(func(t *testing.T, text string) {
		place, err := time.LoadLocation("Europe/Vienna")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []func(string) *Run{NewDpkg(place).Line, NewApt(place).Line} {
			for l := range strings.Lines(text) {
				r := line(l)
				if r == nil {
					continue
				}
				if r.Started.IsZero() || len(r.Packages) == 0 || len(r.Packages) > maxPackages || len(r.Command) > maxText {
					t.Fatalf("is no run: %+v", r)
				}
				for _, p := range r.Packages {
					if !plain(p.Name) || !plain(p.To) || p.From != "" && !plain(p.From) {
						t.Fatalf("is no package: %+v", p)
					}
					if compare(p.From, p.To) != -compare(p.To, p.From) {
						t.Fatalf("%q and %q have no order", p.From, p.To)
					}
				}
			}
		}
	})
}
