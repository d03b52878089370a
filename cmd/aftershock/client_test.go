package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web/access"
	"aftershock/web/webtest"
)

// outcome is what a command said and how it ended.
type outcome struct {
	status      int
	out, errors string
}

func call(t testing.TB, stdin string, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	status := run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return outcome{status, out.String(), errs.String()}
}

func TestHelp(t *testing.T) {
	general := call(t, "", "--help")
	if general.status != 0 || general.errors != "" {
		t.Errorf("help: %+v", general)
	}
	for _, c := range commands() {
		if !strings.Contains(general.out, "  "+c.name+" ") || !strings.Contains(general.out, c.summary) {
			t.Errorf("the help of all lacks %s", c.name)
		}
		for _, form := range []string{"--help", "-h", "-help"} {
			got := call(t, "", c.name, form)
			if got.status != 0 || got.errors != "" {
				t.Errorf("%s %s: %+v", c.name, form, got)
			}
			for _, want := range []string{c.summary + "\n\nUsage:\n  aftershock " + c.usage + "\n", "\nExample:\n  " + strings.Split(c.example, "\n")[0] + "\n"} {
				if !strings.Contains(got.out, want) {
					t.Errorf("%s %s lacks %q:\n%s", c.name, form, want, got.out)
				}
			}
		}
		f := flag.NewFlagSet(c.name, flag.ContinueOnError)
		c.define(f)
		help := call(t, "", c.name, "--help").out
		f.VisitAll(func(fl *flag.Flag) {
			if !strings.Contains(help, "\n  --"+fl.Name) || fl.Usage == "" {
				t.Errorf("%s --help doesn't tell of --%s", c.name, fl.Name)
			}
		})
		if !strings.HasSuffix(c.summary, ".") {
			t.Errorf("the summary of %s is no sentence: %q", c.name, c.summary)
		}
	}
}

// TestExamples holds the examples of the help against the flags there are.
func TestExamples(t *testing.T) {
	word := regexp.MustCompile(`"([^"]*)"|(\S+)`)
	for _, c := range commands() {
		for line := range strings.SplitSeq(c.example, "\n") {
			var args []string
			line = strings.Replace(line, "go run ./cmd/aftershock ", "aftershock ", 1)
			for _, m := range word.FindAllStringSubmatch(line, -1) {
				args = append(args, m[1]+m[2])
			}
			if len(args) < 2 || args[0] != "aftershock" || args[1] != c.name {
				t.Errorf("%s: example %q", c.name, line)
				continue
			}
			f := flag.NewFlagSet(c.name, flag.ContinueOnError)
			f.SetOutput(io.Discard)
			c.define(f)
			if _, err := parse(f, args[2:]); err != nil {
				t.Errorf("%s: example %q: %v", c.name, line, err)
			}
		}
	}
}

func TestWrongUsage(t *testing.T) {
	t.Setenv("AFTERSHOCK_SERVER", "http://127.0.0.1:1")
	for _, tc := range []struct {
		args string
		want string
	}{
		{"nonsense", `no command "nonsense"`},
		{"flags", "say what to do"},
		{"flags lst", "lst"},
		{"flags show", "show"},
		{"flags list --format yaml", "yaml"},
		{"flags list --nonsense", "nonsense"},
		{"flags set a", "it goes set FLAG VARIANT"},
		{"flags set a b", "--reason"},
		{"flags set a b --reason c --value {", "isn't JSON"},
		{"flags tune", "tune"},
		{"flags tune a --candidate {", "candidate"},
		{"flags tune a --hours x", "hours"},
		{"flags undo a", "--reason"},
		{"flags undo a --reason b --dry-run", "undo takes no --dry-run"},
		{"flags undo a --reason b --percent 25", "undo takes no --percent"},
		{"flags extend a --toggle b", "extend takes no --toggle"},
		{"flags approve a --dry-run", "approve takes no --dry-run"},
		{"flags freeze --dry-run", "freeze takes no --dry-run"},
		{"flags history --hours 2", "history takes no --hours"},
		{"flags list --reason x", "list takes no --reason"},
		{"flags undo", "it goes undo FLAG"},
		{"access add a --role viewer --expires soon", "no duration, like 90d"},
		{"access add a --role viewer --expires -1h", "no duration, like 90d"},
		{"flags list --server ftp://x", "ftp://x"},
		{"flags list --server", "server"},
		{"upgrades", "say what to do"},
		{"upgrades record", "say what to do"},
		{"upgrades show", "say what to do"},
		{"upgrades list --format md", "md"},
		{"upgrades record /does/not/exist.json", "/does/not/exist.json"},
		{"alerts", "say what to do"},
		{"alerts list --state broken", "broken"},
		{"alerts list --format xml", "xml"},
		{"alerts list --resolve", "list takes no --resolve"},
		{"alerts test", "say what to do"},
		{"alerts test oncall", "test needs --config"},
		{"alerts test oncall --config x --state firing", "test takes no --state"},
		{"alerts test oncall --config /does/not/exist.yml", "/does/not/exist.yml"},
		{"report a b", "b"},
		{"report --format pdf", "--out"},
		{"report dten-4.2.0 --format pdf", "pdf"},
		{"report dten-4.2.0 --week 2026-W10", "an upgrade and a week"},
		{"run", "--config"},
		{"check-config", "configuration file"},
		{"check-config /does/not/exist.yml", "/does/not/exist.yml"},
		{"backtest", "--telemetry"},
		{"assess --format jsonl --telemetry x --upgrade y", "jsonl"},
	} {
		got := call(t, "", strings.Fields(tc.args)...)
		if got.status != exitUsage || got.out != "" || strings.Count(got.errors, "\n") != 1 || !strings.HasPrefix(got.errors, "aftershock") || !strings.Contains(got.errors, tc.want) {
			t.Errorf("%s: %+v, want status 2 and one line with %q", tc.args, got, tc.want)
		}
	}
	if got := call(t, ""); got.status != exitUsage || !strings.Contains(got.out, "Usage:") {
		t.Errorf("no arguments: %+v", got)
	}
}

// clientCommands all speak to the daemon.
var clientCommands = []string{
	"flags list", "flags show a", "flags set a b --reason c", "flags undo a --reason c", "flags history a", "flags tune a",
	"upgrades list", "upgrades show a", "upgrades close a", "upgrades status", "upgrades status a", "upgrades record -", "alerts list", "alerts show a", "alerts ack a --reason b", "alerts mark a false", "report", "report a",
}

func TestUnreachableDaemon(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range clientCommands {
		got := call(t, "", append(strings.Fields(c), "--server", "http://ana:hunter2@"+free)...)
		if got.status != exitUsage || got.out != "" || strings.Count(got.errors, "\n") != 1 || !strings.Contains(got.errors, free) || !strings.Contains(got.errors, "is it running?") {
			t.Errorf("%s: %+v", c, got)
		}
		if strings.Contains(got.errors, "hunter2") {
			t.Errorf("%s tells a password: %s", c, got.errors)
		}
	}
}

func TestStrangeDaemons(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a page":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello") },
		"nothing":    func(http.ResponseWriter, *http.Request) {},
		"a bare 503": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "busy", http.StatusServiceUnavailable) },
		"hostile problem": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"detail":"a\u001b[31m\nb\u202e"}`)
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"items":[`)
		},
		"a list of a wrong": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[1,2]`) },
	} {
		s := httptest.NewServer(h)
		for _, c := range clientCommands {
			got := call(t, "{}", append(strings.Fields(c), "--server", s.URL)...)
			if got.status != exitUsage || strings.Count(got.errors, "\n") != 1 || controls(got.errors) {
				t.Errorf("%s to %s: %+v", c, name, got)
			}
		}
		s.Close()
	}
}

// controls says whether the text holds what a terminal would obey.
func controls(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }) >= 0
}

func daemonForClients(t *testing.T) *webtest.Server {
	s := webtest.Start(t)
	s.Tell(t, webtest.Story(time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)))
	t.Setenv("AFTERSHOCK_SERVER", s.URL)
	t.Setenv("AFTERSHOCK_TOKEN", webtest.Token)
	return s
}

func TestFlagsCommand(t *testing.T) {
	s := daemonForClients(t)
	list := call(t, "", "flags", "list")
	want := outcome{0, "" +
		"FLAG              SERVING  VARIANTS          GATES          SAFE    TOGGLES  LIVES IN\n" +
		"checkout-banner   off      off,on            -              -       0        here\n" +
		"payments-backoff  new      legacy,new,tuned  dten-payments  legacy  0        here\n" +
		"retired           -        off,on            -              -       0        here\n", ""}
	if diff := cmp.Diff(want, list, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Error(diff)
	}
	show := call(t, "", "flags", "show", "payments-backoff")
	for _, want := range []string{"serving         new\n", "safe            legacy\n", `variant tuned   {"attempts":3,"spread":true}`} {
		if !strings.Contains(show.out, want) {
			t.Errorf("show lacks %q:\n%s", want, show.out)
		}
	}
	for _, tc := range []struct{ args, want string }{
		{"flags show nope", `flag "nope" is not declared (declared: checkout-banner, payments-backoff, retired)`},
		{"flags set payments-backoff nope --reason x", "it has legacy, new, tuned"},
		{"flags set payments-backoff new --reason x", "already"},
		{"flags undo payments-backoff --reason x", "no toggle of it is in force"},
		{"flags history nope", "not declared"},
	} {
		got := call(t, "", strings.Fields(tc.args)...)
		if got.status != exitUsage || strings.Count(got.errors, "\n") != 1 || !strings.Contains(got.errors, tc.want) {
			t.Errorf("%s: %+v", tc.args, got)
		}
	}
	dry := call(t, "", "flags", "set", "payments-backoff", "legacy", "--reason", "p99 is up", "--dry-run")
	if dry.status != 0 || !strings.Contains(dry.out, "would go from new to legacy for everyone; nothing was changed.\n") || !strings.Contains(dry.out, "+   \"defaultVariant\": \"legacy\"") || s.Board.Revision() != 1 {
		t.Errorf("dry run: %+v", dry)
	}
	set := call(t, "", "flags", "set", "payments-backoff", "legacy", "--reason", "p99 is up", "--actor", "ana", "--upgrade", webtest.UpgradeID)
	if set.status != 0 || !strings.HasPrefix(set.out, "payments-backoff: new -> legacy, verified\nseen through OpenFeature") {
		t.Errorf("set: %+v", set)
	}
	undo := call(t, "", "flags", "undo", "payments-backoff", "--reason", "over", "--format", "json")
	var u detector.Toggle
	if err := json.Unmarshal([]byte(undo.out), &u); err != nil || u.State != detector.ToggleVerified || u.After != "new" {
		t.Errorf("undo: %+v: %v", undo, err)
	}
	history := call(t, "", "flags", "history", "payments-backoff")
	if !regexp.MustCompile(`(?m)^\S+Z  new -> legacy  everyone  undone    ana +p99 is up `).MatchString(history.out) {
		t.Errorf("history:\n%s", history.out)
	}
	aligned(t, history.out)
	var made detector.Toggle
	_ = json.Unmarshal([]byte(call(t, "", "flags", "set", "payments-backoff", "tuned", "--reason", "x", "--format", "json").out), &made)
	if got := call(t, "", "flags", "undo", "payments-backoff", "--reason", "x", "--toggle", made.ID); got.status != 0 {
		t.Errorf("undo of one: %+v", got)
	}
	if got := call(t, "", "flags", "undo", "payments-backoff", "--reason", "x", "--toggle", made.ID); got.status != exitUsage || !strings.Contains(got.errors, "it is undone by now") {
		t.Errorf("undo of the same again: %+v", got)
	}
	t.Setenv("AFTERSHOCK_TOKEN", "wrong")
	if got := call(t, "", "flags", "set", "payments-backoff", "legacy", "--reason", "x"); got.status != exitUsage || !strings.Contains(got.errors, "AFTERSHOCK_TOKEN") || strings.Contains(got.errors, "wrong") {
		t.Errorf("wrong token: %+v", got)
	}
}

// aligned looks whether each header's column begins with a word in every row.
func aligned(t *testing.T, table string) {
	t.Helper()
	lines := strings.Split(strings.TrimRight(table, "\n"), "\n")
	for _, at := range regexp.MustCompile(`\S+( \S+)*`).FindAllStringIndex(lines[0], -1) {
		for _, line := range lines[1:] {
			r := []rune(line)
			if at[0] > 0 && at[0] < len(r) && (r[at[0]] == ' ' || r[at[0]-1] != ' ' || r[at[0]-2] != ' ') {
				t.Errorf("column %d isn't straight:\n%s", at[0], table)
				return
			}
		}
	}
}

func TestUnverifiedToggleIsNoSuccess(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(detector.Toggle{ID: "1", Flag: "a", Before: "b", After: "c", State: detector.ToggleFailed, Evidence: "not seen"})
	}))
	defer s.Close()
	for _, format := range []string{"text", "json"} {
		got := call(t, "", "flags", "set", "a", "c", "--reason", "x", "--format", format, "--server", s.URL)
		if got.status == 0 || !strings.Contains(got.errors, "not verified") || !strings.Contains(got.out, "not seen") {
			t.Errorf("%s: %+v", format, got)
		}
	}
}

// An upgrade of very many binaries stays a line that can be read.
func TestUpgradesListOfManyBinaries(t *testing.T) {
	u := detector.Upgrade{ID: "all", StartedAt: time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)}
	for i := range 1000 {
		u.Binaries = append(u.Binaries, detector.Binary{Name: fmt.Sprintf("b%d", i)})
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"items": []detector.Upgrade{u}, "next": ""})
	}))
	defer s.Close()
	got := call(t, "", "upgrades", "list", "--server", s.URL)
	if !strings.Contains(got.out, "b7, 992 more\n") || strings.Contains(got.out, "b8") {
		t.Errorf("got %.2000s", got.out)
	}
}

// TestUpgradesFoundByThemselves: the binary that an alert named comes first, and the upgrade
// is called by what it is.
func TestUpgradesFoundByThemselves(t *testing.T) {
	u := detector.Upgrade{
		ID: "cart-2-20260306T090000Z", StartedAt: time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC), Source: "build-info", Culprit: "pay",
		Binaries: []detector.Binary{{Name: "cart", To: "2"}, {Name: "pay", To: "2"}},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v any = map[string]any{"items": []detector.Upgrade{u}, "next": ""}
		switch {
		case strings.HasSuffix(r.URL.Path, u.ID):
			v = u
		case strings.HasSuffix(r.URL.Path, "/verdicts"):
			v = map[string]any{"items": []detector.Verdict{}, "next": ""}
		}
		_ = json.NewEncoder(w).Encode(v)
	}))
	defer s.Close()
	if got := call(t, "", "upgrades", "list", "--server", s.URL); !strings.HasSuffix(got.out, "pay 2, cart 2\n") || !strings.Contains(got.out, u.ID) {
		t.Errorf("list says %s", got.out)
	}
	if got := call(t, "", "upgrades", "show", u.ID, "--server", s.URL); !strings.HasPrefix(got.out, "2 binaries on 2026-03-06 09:00 UTC (pay, cart), from 2026-03-06T09:00:00Z\n") {
		t.Errorf("show says %s", got.out)
	}
}

func TestOutOn(t *testing.T) {
	b := detector.Binary{Name: "shopd", From: "1.4.0", To: "1.5.0", Instances: []detector.Deployment{{Instance: "a:1"}}}
	if got := outOn(b); got != "shopd 1.4.0 → 1.5.0 on 1 instance" {
		t.Error(got)
	}
	b.Fleet = &detector.Fleet{New: 1, Old: 4, OldNames: []string{"b:1", "c:1", "d:1", "e:1"}}
	if got := outOn(b); got != "shopd 1.4.0 → 1.5.0 on 1 instance, 4 still on the old build (b:1, c:1, d:1)" {
		t.Error(got)
	}
}

// What is undecided says why, also where causes are weighed.
func TestVerdictsSayWhatIsMissing(t *testing.T) {
	var out strings.Builder
	err := printVerdicts(&out, []detector.Verdict{{
		State: detector.Undecided, Missing: "this machine sent requests late", Causes: []detector.Cause{{Kind: detector.CauseUnknown, Probability: 0.58}},
	}}, nil)
	if err != nil || !strings.Contains(out.String(), "unknown (58%); undecided: this machine sent requests late") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestUpgradesCommand(t *testing.T) {
	s := daemonForClients(t)
	list := call(t, "", "upgrades", "list")
	want := outcome{0, "" +
		"UPGRADE     STARTED               FINISHED              STATE    BINARIES\n" +
		"dten-4.2.0  2026-03-06T09:00:00Z  2026-03-06T09:26:00Z  watched  dten-checkout 4.1.3 → 4.2.0, dten-payments 4.1.3 → 4.2.0\n" +
		"dten-4.1.3  2026-02-13T09:00:00Z  2026-02-13T10:00:00Z  closed   dten-payments 4.1.2 → 4.1.3\n", ""}
	if diff := cmp.Diff(want, list, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Error(diff)
	}
	show := call(t, "", "upgrades", "show", webtest.UpgradeID)
	head, table, _ := strings.Cut(show.out, "\n\n")
	if !strings.Contains(head, "dten-payments 4.1.3 → 4.2.0 on 2 instances") || !strings.Contains(table, "regressed") || !strings.Contains(table, "×2.26 (1.71–2.90)") {
		t.Errorf("show:\n%s", show.out)
	}
	aligned(t, table)
	file := filepath.Join(t.TempDir(), "upgrade.json")
	record := `{"id":"next","started_at":"2026-03-06T11:00:00Z","binaries":[{"name":"dten-cart"}]}`
	if err := os.WriteFile(file, []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := call(t, "", "upgrades", "record", file); got != (outcome{0, "Recorded next; it is watched from the next step on, as one with what was found of it: aftershock upgrades list\n", ""}) {
		t.Errorf("record: %+v", got)
	}
	planned := `{"id":"soon","planned_start":"2026-03-06T22:00:00Z","planned_minutes":90,"binaries":[{"name":"dten-cart"}]}`
	if got := call(t, planned, "upgrades", "record", "-"); got.status != 0 || !strings.HasPrefix(got.out, "Recorded soon, planned for 2026-03-06T22:00:00Z; it is watched once it begins") {
		t.Errorf("record of a plan: %+v", got)
	}
	if got := call(t, record, "upgrades", "record", "-", "--format", "json"); got.status != 0 || !strings.Contains(got.out, `"id": "next"`) {
		t.Errorf("record from stdin: %+v", got)
	}
	if got := call(t, `{"binarys":1}`, "upgrades", "record", "-"); got.status != exitUsage || !strings.Contains(got.errors, "binarys") || strings.Count(got.errors, "\n") != 1 {
		t.Errorf("a wrong record: %+v", got)
	}
	if got := call(t, "", "upgrades", "close", webtest.UpgradeID); got != (outcome{0, "The watch over dten-4.2.0 ends with the next step.\n", ""}) {
		t.Errorf("close: %+v", got)
	}
	for _, id := range []string{"nope", "../flags", "a b?c"} {
		if got := call(t, "", "upgrades", "show", id); got.status != exitUsage || strings.Count(got.errors, "\n") != 1 {
			t.Errorf("show %s: %+v", id, got)
		}
	}
	recorded, closed := s.Loop.Told()
	if len(recorded) != 3 || len(closed) != 1 {
		t.Errorf("the watch was told of %v and %v", recorded, closed)
	}
}

func TestAlertsAndReport(t *testing.T) {
	daemonForClients(t)
	list := call(t, "", "alerts", "list", "--state", "firing")
	want := outcome{0, "" +
		"STATE   SINCE                 ID        QUIET BY  MARKED  ALERT\n" +
		"firing  2026-03-06T10:40:00Z  fe4e78f0  -         -       gateway /cart: failed requests ×1.33 since 09:15 UTC, third party geo-api (61%)\n" +
		"firing  2026-03-06T09:41:00Z  98d7abb8  -         -       checkout /place: requests over 0.5 s ×2.26 since 09:15 UTC, dten-payments 4.1.3 → 4.2.0 (93%)\n" +
		"\npeople marked none of the 2 alerts that fired here\n", ""}
	if diff := cmp.Diff(want, list, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Error(diff)
	}
	if got := call(t, "", "alerts", "list", "--state", "resolved", "--format", "json"); got.out != "[]\n" {
		t.Errorf("an empty list: %+v", got)
	}
	if got := call(t, "", "report", "--week", "2026-W10"); got.status != 0 || !strings.HasPrefix(got.out, "# Post-upgrade review of week 2026-W10") {
		t.Errorf("report of a week: %+v", got)
	}
	if got := call(t, "", "report"); got.status != 0 || !strings.HasPrefix(got.out, "# ") || !strings.Contains(got.out, webtest.UpgradeID) {
		t.Errorf("report: %+v", got)
	}
	dir := filepath.Join(t.TempDir(), "reviews")
	got := call(t, "", "report", webtest.UpgradeID, "--format", "html", "--out", dir)
	b, err := os.ReadFile(filepath.Join(dir, "review-dten-4.2.0.html"))
	if err != nil || got.status != 0 || !bytes.Contains(b, []byte("<!doctype html>")) {
		t.Errorf("report into a directory: %+v: %v", got, err)
	}
	for _, form := range []string{"html", "md", "json", "pdf"} {
		got := call(t, "", "report", "--format", form, "--out", dir)
		b, err := os.ReadFile(filepath.Join(dir, "week-2026-W10."+form))
		if err != nil || got.status != 0 || strings.TrimSpace(got.out) != filepath.Join(dir, "week-2026-W10."+form) || form == "pdf" && !bytes.HasPrefix(b, []byte("%PDF-")) {
			t.Errorf("report of a week as %s: %+v: %v", form, got, err)
		}
	}
	if got := call(t, "", "report", "nope"); got.status != exitUsage || strings.Count(got.errors, "\n") != 1 {
		t.Errorf("report of nothing: %+v", got)
	}
}

func TestTuneCommand(t *testing.T) {
	daemonForClients(t)
	chart := filepath.Join(t.TempDir(), "tuning.svg")
	got := call(t, "", "flags", "tune", "payments-backoff", "--hours", "2", "--svg", chart, "--candidate", `{"base_ms": 200}`, "--candidate", `{"max_attempts": 2}`)
	if got.status != 0 {
		t.Fatalf("tune: %+v", got)
	}
	for _, want := range []string{
		"60,000 calls of acme-pay by payments, ", "\nCONSTANTS ", "\nlegacy ", "\nnew ", "\ntuned ", "\ncandidate 1 ", "\ncandidate 2 ", "0.0750",
		"\nlegacy: linear 20 ms, 3 attempts\n", "\nGoals: ", "\nDoubt: ", "\nServe ", "\n  aftershock flags set payments-backoff ", " <- suggested",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("tune lacks %q:\n%s", want, got.out)
		}
	}
	if b, err := os.ReadFile(chart); err != nil || !bytes.HasPrefix(b, []byte("<svg ")) {
		t.Errorf("the chart begins with %.20q, %v", b, err)
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"nope"}, "not declared"},
		{[]string{"checkout-banner"}, "tunes"},
		{[]string{"payments-backoff", "--hours", "1e9"}, "hours"},
		{[]string{"payments-backoff", "--candidate", `{"max_attempts": 1e9}`}, "candidate 1"},
		{[]string{"payments-backoff", "--candidate", `[]`}, "candidate 1"},
		{[]string{"payments-backoff", "--svg", "/does/not/exist/x.svg"}, "write the chart"},
	} {
		got := call(t, "", append([]string{"flags", "tune"}, tc.args...)...)
		if got.status != exitUsage || strings.Count(got.errors, "\n") != 1 || !strings.Contains(got.errors, tc.want) {
			t.Errorf("%v: %+v, want one line with %q", tc.args, got, tc.want)
		}
	}
}

// TestMachinesGetJSON calls every listing with --format json.
func TestMachinesGetJSON(t *testing.T) {
	daemonForClients(t)
	for _, c := range []string{"flags list", "flags show payments-backoff", "flags history payments-backoff", "flags set payments-backoff tuned --reason x --dry-run", "flags tune payments-backoff", "upgrades list", "upgrades show dten-4.2.0", "upgrades close dten-4.2.0", "alerts list", "report"} {
		got := call(t, "", append(strings.Fields(c), "--format", "json")...)
		if got.status != 0 || !json.Valid([]byte(got.out)) {
			t.Errorf("%s: %+v", c, got)
		}
	}
}

// TestHostileNamesInTables shows that the terminal obeys nobody outside.
func TestHostileNamesInTables(t *testing.T) {
	s := daemonForClients(t)
	const evil = "x\x1b]0;owned\x07\n\ty\u202ez"
	at := time.Date(2026, 3, 6, 11, 0, 0, 0, time.UTC)
	u := detector.Upgrade{ID: "evil", StartedAt: at, Binaries: []detector.Binary{{Name: evil, From: evil, To: evil}}}
	v := detector.Verdict{Upgrade: "evil", Indicator: webtest.Indicator(detector.Error, evil, "service", evil), State: detector.Undecided, Missing: evil}
	w := v
	w.Indicator, w.State, w.Causes = webtest.Indicator(detector.Latency, evil, "service", evil), detector.Regressed, []detector.Cause{{Kind: detector.CauseBinary, Name: evil, Probability: 1}}
	s.Tell(t, journal.Tick{Time: at, Upgrades: []detector.Upgrade{u}, Verdicts: []detector.Verdict{v, w}, Alerts: []detector.Alert{{Key: "k", Upgrade: evil, State: detector.AlertFiring, Root: w, Cause: w.Causes[0], StartsAt: at}}})
	if err := s.Journal.AuditToggle(context.Background(), detector.Toggle{ID: "t", Flag: "payments-backoff", Before: evil, After: evil, Reason: evil, Actor: evil, State: detector.ToggleApplied, Evidence: evil, At: at, Updated: at}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"upgrades list", "upgrades show evil", "alerts list", "flags history payments-backoff", "report evil"} {
		got := call(t, "", strings.Fields(c)...)
		if got.status != 0 || controls(got.out) || !strings.Contains(got.out, "owned") {
			t.Errorf("%s: %d %q %s", c, got.status, got.out, got.errors)
		}
	}
}

func TestListFollowsPages(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := map[string]string{"": "b", "b": "c", "c": ""}[r.FormValue("after")]
		fmt.Fprintf(w, `{"items":[{"id":"u%s"}],"next":%q}`, r.FormValue("after"), next)
	}))
	defer s.Close()
	got := call(t, "", "upgrades", "list", "--server", s.URL+"/")
	if strings.Count(got.out, "\n") != 4 || !strings.Contains(got.out, "\nuc ") {
		t.Errorf("three pages: %+v", got)
	}
}

func TestVersion(t *testing.T) {
	if got := call(t, "", "version"); got != (outcome{0, "aftershock " + version + "\n", ""}) {
		t.Errorf("version: %+v", got)
	}
}

func TestAccessExpires(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens.yml")
	if got := call(t, "", "access", "add", "anna", "--role", "on-call", "--expires", "90d", "--file", file); got.status != 0 {
		t.Fatalf("add: %+v", got)
	}
	var all []access.Token
	got := call(t, "", "access", "list", "--file", file, "--format", "json")
	if err := json.Unmarshal([]byte(got.out), &all); err != nil || len(all) != 1 || all[0].Expires.Sub(all[0].Created) != 90*24*time.Hour {
		t.Errorf("list: %v: %+v", err, got)
	}
}
