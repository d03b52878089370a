package upgrades

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"aftershock/detector"
)

// machine is a ledger that watches a dpkg.log and an apt history.
type machine struct {
	t      *testing.T
	config Config
	now    time.Time // of the last frame
	*Ledger
}

func newMachine(t *testing.T, names ...string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, now: time.Now().UTC().Truncate(time.Minute)}
	m.config.SetDefaults()
	m.config.Packages.DpkgLog = filepath.Join(dir, "dpkg.log")
	m.config.Packages.AptHistory = filepath.Join(dir, "history.log")
	m.config.Packages.TimeZone = "UTC"
	m.config.Packages.Names = names
	m.log(0, "dpkg.log", "startup archives unpack")
	m.log(0, "history.log", "")
	m.restart()
	return m
}

// restart gives the ledger anew, without memory.
func (m *machine) restart() {
	log, _ := logtest.NewNullLogger()
	l, err := NewLedger(m.config, logrus.NewEntry(log))
	if err != nil {
		m.t.Fatal(err)
	}
	m.Ledger = l
}

// log writes a line of a log that is some time old.
func (m *machine) log(age time.Duration, file, text string) {
	m.t.Helper()
	f, err := os.OpenFile(filepath.Join(filepath.Dir(m.config.Packages.DpkgLog), file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	at := m.now.Add(-age)
	line := strings.ReplaceAll(text, "DATE", at.Format("2006-01-02  15:04:05"))
	if file == "dpkg.log" {
		line = at.Format("2006-01-02 15:04:05") + " " + text
	}
	if _, err := fmt.Fprintln(f, line); err != nil {
		m.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		m.t.Fatal(err)
	}
}

// look is the next frame, with the binaries of the names and versions in turn.
func (m *machine) look(builds ...string) []detector.Upgrade {
	m.now = m.now.Add(time.Second)
	f := detector.Frame{Time: m.now, Step: time.Second}
	for i := 0; i < len(builds); i += 2 {
		f.Builds = append(f.Builds, detector.Build{Binary: builds[i], Labels: map[string]string{"service": strings.TrimPrefix(builds[i], "dten-")}, Instance: builds[i] + "-0", Version: builds[i+1]})
	}
	return m.Observe(f)
}

// A security update of many libraries doesn't become as many suspects.
func TestOnlyWhatTheTelemetryKnowsCounts(t *testing.T) {
	m := newMachine(t)
	for i := range 40 {
		m.log(20*time.Minute, "dpkg.log", fmt.Sprintf("upgrade libx%d:amd64 1.0-1 1.0-2", i))
	}
	m.log(20*time.Minute, "dpkg.log", "upgrade dten-payments:amd64 4.1.3-1 4.2.0-1")
	m.log(20*time.Minute, "dpkg.log", "upgrade checkout:amd64 4.1.3 4.2.0")
	if got := m.look(); len(got) != 0 {
		t.Fatalf("before the telemetry knows anything: got %+v", got)
	}
	got := m.look("dten-payments", "4.2.0", "dten-checkout", "4.2.0", "dten-cart", "1")
	if len(got) != 1 || len(got[0].Binaries) != 2 {
		t.Fatalf("got %+v, want one upgrade of two binaries", got)
	}
	u := got[0]
	if b := u.Binaries[0]; b.Name != "dten-payments" || b.From != "4.1.3 (4.1.3-1)" || b.To != "4.2.0 (4.2.0-1)" || b.Selector["service"] != "payments" {
		t.Errorf("got %+v, want dten-payments 4.1.3 to 4.2.0 with its series", b)
	}
	// A package may have the service's name.
	if b := u.Binaries[1]; b.Name != "dten-checkout" || b.Selector["service"] != "checkout" {
		t.Errorf("got %+v, want dten-checkout", b)
	}
	if u.Source != "dpkg" || !u.FinishedAt.IsZero() {
		t.Errorf("got %+v, want one that goes on", u)
	}
	if again := m.look("dten-payments", "4.2.0", "dten-checkout", "4.2.0", "dten-cart", "1"); len(again) != 0 {
		t.Errorf("told again: %+v", again)
	}
}

func TestNamedPackagesCount(t *testing.T) {
	m := newMachine(t, "dten-*")
	m.log(20*time.Minute, "dpkg.log", "upgrade dten-payments:amd64 4.2.0 4.1.3")
	m.log(20*time.Minute, "dpkg.log", "upgrade libssl3:amd64 3.0 3.1")
	got := m.look()
	if len(got) != 1 || len(got[0].Binaries) != 1 || got[0].Source != "dpkg, rollback" {
		t.Errorf("got %+v, want the roll-back of dten-payments alone", got)
	}
}

// The two logs and the telemetry tell of one upgrade, and a restart or a state
// that goes back tells of no other.
func TestLogsAndTelemetryTellOfOneUpgrade(t *testing.T) {
	m := newMachine(t)
	for range 5 {
		m.look("dten-payments", "4.1.3", "dten-cart", "1")
	}
	before, err := m.Save()
	if err != nil {
		t.Fatal(err)
	}
	m.log(0, "history.log", "Start-Date: DATE\nCommandline: apt-get install dten-payments\nUpgrade: dten-payments:amd64 (4.1.3-1, 4.2.0-1)")
	m.log(0, "dpkg.log", "upgrade dten-payments:amd64 4.1.3-1 4.2.0-1")
	m.look("dten-payments", "4.1.3", "dten-cart", "1")
	m.log(0, "dpkg.log", "status installed dten-payments:amd64 4.2.0-1")
	m.log(0, "history.log", "End-Date: DATE\n")
	for range 5 {
		m.look("dten-payments", "4.2.0", "dten-cart", "1")
	}
	check := func(when string) {
		t.Helper()
		all := upgradesOf(m.Ledger)
		if len(all) != 1 {
			t.Fatalf("%s: got %d upgrades: %+v", when, len(all), all)
		}
		for _, u := range all {
			if len(u.Binaries) != 1 || u.Package != "apt-get install dten-payments" || u.FinishedAt.IsZero() ||
				!strings.Contains(u.Source, "apt") || !strings.Contains(u.Source, "dpkg") {
				t.Errorf("%s: got %+v, want one finished upgrade from both logs", when, u)
			}
		}
	}
	check("both logs and the telemetry")
	for _, u := range upgradesOf(m.Ledger) {
		if !strings.Contains(u.Source, "build-info") || len(u.Binaries[0].Instances) != 1 {
			t.Errorf("got %+v, want what the telemetry shows in it", u)
		}
	}
	// The journal refused the step: the same process goes back to before.
	if err := m.Restore(before); err != nil {
		t.Fatal(err)
	}
	m.look("dten-payments", "4.1.3", "dten-cart", "1")
	check("after going back")
	after, err := m.Save()
	if err != nil {
		t.Fatal(err)
	}
	m.restart()
	if err := m.Restore(after); err != nil {
		t.Fatal(err)
	}
	m.look("dten-payments", "4.2.0", "dten-cart", "1")
	check("after a restart")
}

// Records from the directory are told again as well when the state goes back.
func TestRecordsAreToldAgainWhenTheStateGoesBack(t *testing.T) {
	c := Config{Records: t.TempDir()}
	c.SetDefaults()
	log, _ := logtest.NewNullLogger()
	l, err := NewLedger(c, logrus.NewEntry(log))
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.Save()
	if err != nil {
		t.Fatal(err)
	}
	record := `{"id": "mine", "started_at": "2026-03-06T09:00:00Z", "binaries": [{"name": "dten-payments"}]}`
	if err := os.WriteFile(filepath.Join(c.Records, "mine.json"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := l.Observe(frameOf(nine, "4.1.3")); len(got) != 1 || got[0].ID != "mine" {
			t.Fatalf("got %+v, want the record", got)
		}
		if err := l.Restore(before); err != nil {
			t.Fatal(err)
		}
	}
}
