package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"aftershock/detector"
	"aftershock/internal/servers"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(child(spec))
	}
	os.Exit(m.Run())
}

// place is an empty journal's place; open opens it, again and again.
type place struct {
	config Config
	dir    string
}

func (p place) open(t testing.TB) *Journal {
	t.Helper()
	j, err := Open(t.Context(), p.config, p.dir, quiet(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func quiet() logrus.FieldLogger {
	log, _ := logrustest.NewNullLogger()
	return log
}

// promise is a test of a journal in an empty place.
type promise struct {
	name string
	test func(t *testing.T, p place)
}

// promises hold on both databases, sharing on PostgreSQL.
var promises = []promise{
	{"commit and read", testCommit},
	{"commit again", testCommitAgain},
	{"commit nothing on error", testCommitNothing},
	{"strange text", testStrangeText},
	{"pages", testPages},
	{"events from a cursor", testEvents},
	{"judge's state", testState},
	{"coverage", testCoverage},
	{"within a time", testWithin},
	{"storage", testStorage},
	{"changes", testChanges},
	{"gains", testGains},
	{"summaries", testSummaries},
	{"definitions", testDefinitions},
	{"definitions in a race", testDefinitionsRace},
	{"decisions in a race", testDecisionsRace},
	{"audit", testAudit},
	{"audit is append-only", testAppendOnly},
	{"audit in pages", testAuditPages},
	{"kill switch", testFreeze},
	{"marks", testMarks},
	{"marks of nothing", testMarksOfNothing},
	{"marks are append-only", testMarksAppendOnly},
	{"answers", testAnswers},
	{"answers, bounded", testAnswersBounded},
	{"answers in a race", testAnswersRace},
	{"posts", testPosts},
	{"posts in a race", testPostsRace},
	{"posts are append-only", testPostsAppendOnly},
	{"chores", testChores},
	{"chores in a race", testChoresRace},
	{"chores, bounded", testChoresBounded},
	{"pins", testPins},
	{"pins in a race", testPinsRace},
	{"pins, bounded", testPinsBounded},
	{"pins are append-only", testPinsAppendOnly},
	{"flips", testFlips},
	{"settings", testSettings},
	{"newer database", testNewer},
	{"newer jobs", testNewerJobs},
	{"second journal on the directory", testLocked},
	{"jobs once", testJobsOnce},
	{"jobs overdue", testJobsOverdue},
	{"jobs that fail", testJobsFail},
	{"jobs later", testJobsLater},
	{"jobs at once", testJobsSoon},
	{"jobs that wait", testJobsThatWait},
	{"jobs interrupted", testJobsInterrupted},
	{"jobs stuck", testJobsOfUnknownKind},
	{"jobs left behind", testJobsAdopted},
}

var sharing = []promise{
	{"jobs shared", testJobsShared},
	{"jobs of the living", testJobsOfTheLiving},
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	for _, c := range promises {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, place{dir: t.TempDir()})
		})
	}
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	server := servers.PostgreSQL(t)
	for _, c := range slices.Concat(promises, sharing) {
		p := place{config: Config{URL: server.Database()}, dir: t.TempDir()}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, p)
		})
	}
}

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

func verdict(upgrade, service string, state detector.State) detector.Verdict {
	return detector.Verdict{
		Upgrade:   upgrade,
		Indicator: detector.Indicator{Kind: detector.Retry, Metric: "calls", Labels: map[string]string{"service": service}},
		State:     state, Since: noon,
		Quantiles: []detector.QuantileRange{{Q: 0.99, After: detector.Interval{Lower: 1, Upper: math.Inf(1)}}},
	}
}

func event(upgrade, service, name string, at time.Time) detector.Event {
	i := verdict(upgrade, service, "").Indicator
	return detector.Event{Time: at, Event: name, Upgrade: upgrade, Indicator: &i}
}

func tick() Tick {
	return Tick{
		Time:  noon,
		State: []byte("seen"),
		Upgrades: []detector.Upgrade{
			{ID: "u1", StartedAt: noon.Add(-time.Hour), Binaries: []detector.Binary{{Name: "payments"}}},
		},
		Verdicts: []detector.Verdict{verdict("u1", "b", detector.Regressed), verdict("u1", "a", detector.Undecided)},
		Events:   []detector.Event{event("u1", "a", detector.EventShift, noon), {Time: noon, Event: detector.EventSummary, Upgrade: "u1"}},
		Alerts:   []detector.Alert{{Key: "k", Upgrade: "u1", State: detector.AlertFiring, StartsAt: noon, Revision: 2}},
		Jobs:     []Job{{Kind: "deliver", Key: "k/2", Payload: json.RawMessage(`{"alert":"k"}`)}},
	}
}

func commit(t testing.TB, j *Journal, k Tick) {
	t.Helper()
	if err := j.Commit(t.Context(), k); err != nil {
		t.Fatal(err)
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// must gives the value of a call that has to succeed.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func events(t testing.TB, j *Journal, q EventQuery) []detector.Event {
	t.Helper()
	stored, _, err := j.Events(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var all []detector.Event
	for _, e := range stored {
		all = append(all, e.Event)
	}
	return all
}

// rows counts the rows of a table.
func rows(t testing.TB, j *Journal, table string) int {
	t.Helper()
	n := 0
	err := one(t.Context(), j.db.read(), func(r row) error { return r.Scan(&n) }, `SELECT count(*) FROM `+table)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func testCommit(t *testing.T, p place) {
	j := p.open(t)
	k := tick()
	commit(t, j, k)
	for range 2 { // as written, and after a restart
		equal(t, "upgrade", must[detector.Upgrade](t)(j.Upgrade(t.Context(), "u1")), k.Upgrades[0])
		equal(t, "verdicts", must[[]detector.Verdict](t)(j.Verdicts(t.Context(), "u1")), []detector.Verdict{k.Verdicts[1], k.Verdicts[0]})
		equal(t, "events", events(t, j, EventQuery{Upgrade: "u1"}), k.Events)
		equal(t, "alert", must[detector.Alert](t)(j.Alert(t.Context(), "k")), k.Alerts[0])
		jobs := must[[]JobStatus](t)(j.Jobs(t.Context(), 10))
		if len(jobs) != 1 || jobs[0].Key != "k/2" || jobs[0].State != JobWaiting {
			t.Errorf("got jobs %+v, want k/2 waiting", jobs)
		}
		if err := j.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = p.open(t)
	}
	if _, err := j.Upgrade(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v for an unknown upgrade, want ErrNotFound", err)
	}
	if _, err := j.Alert(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v for an unknown alert, want ErrNotFound", err)
	}
	equal(t, "one verdict", must[detector.Verdict](t)(j.Verdict(t.Context(), "u1", k.Verdicts[0].Indicator.ID())), k.Verdicts[0])
	for upgrade, id := range map[string]string{"none": k.Verdicts[0].Indicator.ID(), "u1": "ffffffffffffffff"} {
		if _, err := j.Verdict(t.Context(), upgrade, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("the verdict of %s on %s: %v, want ErrNotFound", upgrade, id, err)
		}
	}
	equal(t, "verdicts of no upgrade", must[[]detector.Verdict](t)(j.Verdicts(t.Context(), "none")), []detector.Verdict(nil))
}

func testCommitAgain(t *testing.T, p place) {
	j := p.open(t)
	commit(t, j, tick())
	commit(t, j, tick())
	k := tick()
	k.Upgrades[0].FinishedAt = noon
	k.Verdicts[0].State = detector.Clear
	k.Alerts[0].Revision, k.Alerts[0].State = 1, detector.AlertPending
	k.Jobs = append(k.Jobs, k.Jobs...)
	commit(t, j, k)
	for table, want := range map[string]int{"upgrades": 1, "verdicts": 2, "events": 2, "alerts": 1, "river_job": 1, "judge": 1} {
		if got := rows(t, j, table); got != want {
			t.Errorf("got %d rows in %s, want %d", got, table, want)
		}
	}
	equal(t, "upgrade", must[detector.Upgrade](t)(j.Upgrade(t.Context(), "u1")), k.Upgrades[0])
	equal(t, "verdict", must[[]detector.Verdict](t)(j.Verdicts(t.Context(), "u1"))[1], k.Verdicts[0])
	equal(t, "alert of the higher revision", must[detector.Alert](t)(j.Alert(t.Context(), "k")), tick().Alerts[0])
}

func testCommitNothing(t *testing.T, p place) {
	j := p.open(t)
	nan := &detector.Effect{Low: math.NaN()}
	for name, c := range map[string]struct {
		spoil func(*Tick)
		want  string
	}{
		"verdict":  {func(k *Tick) { k.Verdicts[1].Effect = nan }, `verdict of upgrade u1 on retry|calls|service=a: effect.low is NaN`},
		"event":    {func(k *Tick) { k.Events[0].Effect = &detector.Effect{Ratio: math.Inf(1)} }, `effect.ratio is +Inf`},
		"summary":  {func(k *Tick) { k.Events[1].Verdicts = []detector.Verdict{{Effect: nan}} }, `effect.low is NaN`},
		"cause":    {func(k *Tick) { k.Verdicts[0].Causes = []detector.Cause{{Probability: math.NaN()}} }, `causes[0].probability is NaN`},
		"course":   {func(k *Tick) { k.Alerts[0].Root.Course = []detector.CoursePoint{{Total: math.Inf(-1)}} }, `alert k, verdict on ||: course[0].total is -Inf`},
		"quantile": {func(k *Tick) { k.Verdicts[0].Quantiles = []detector.QuantileRange{{Q: math.NaN()}} }, `unsupported value: NaN`},
		"upgrade":  {func(k *Tick) { k.Upgrades[0].ID = "" }, `an upgrade has no id`},
		"alert":    {func(k *Tick) { k.Alerts[0].Key = "" }, `an alert of upgrade u1 has no key`},
		"key":      {func(k *Tick) { k.Jobs[0].Key = "" }, `has no kind or no key`},
		"payload":  {func(k *Tick) { k.Jobs[0].Payload = []byte(`{`) }, `a payload that is no JSON`},
		"size":     {func(k *Tick) { k.Jobs[0].Payload = make([]byte, maxPayload+1) }, `are allowed`},
	} {
		k := tick()
		c.spoil(&k)
		err := j.Commit(t.Context(), k)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q", name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Commit(ctx, tick()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v from a commit after its context's end", err)
	}
	for _, table := range []string{"upgrades", "verdicts", "events", "alerts", "judge", "river_job"} {
		if n := rows(t, j, table); n != 0 {
			t.Errorf("got %d rows in %s after errors alone", n, table)
		}
	}
}

func testStrangeText(t *testing.T, p place) {
	j := p.open(t)
	strange := "nul\x00 bad\xff quote' \" ☃ \\u0000 $1 ?1"
	k := tick()
	k.Upgrades[0].ID, k.Alerts[0].Key = strange, strange
	k.Verdicts[0] = verdict(strange, strange, detector.Clear)
	k.Events[0] = event(strange, strange, detector.EventShift, noon)
	k.Jobs[0].Key = strange
	k.Jobs[0].Payload = json.RawMessage(`["\u0000","\ud800"]`)
	commit(t, j, k)
	commit(t, j, k)
	must[detector.Upgrade](t)(j.Upgrade(t.Context(), strange))
	must[detector.Alert](t)(j.Alert(t.Context(), strange))
	if n := len(must[[]detector.Verdict](t)(j.Verdicts(t.Context(), strange))); n != 1 {
		t.Errorf("got %d verdicts, want 1", n)
	}
	if n := len(events(t, j, EventQuery{Upgrade: strange})); n != 1 {
		t.Errorf("got %d events, want 1", n)
	}
	if _, _, err := j.Alerts(t.Context(), AlertQuery{Upgrade: strange, State: detector.AlertState(strange[5:])}); err != nil {
		t.Error(err)
	}
	jobs := must[[]JobStatus](t)(j.Jobs(t.Context(), 10))
	if len(jobs) != 1 || string(jobs[0].Payload) != string(k.Jobs[0].Payload) {
		t.Errorf("got %+v, want the payload as it was", jobs)
	}
}

func testPages(t *testing.T, p place) {
	j := p.open(t)
	k := Tick{Time: noon}
	for n := range 25 {
		id := fmt.Sprintf("u%02d", n)
		at := noon.Add(time.Duration(n/3) * time.Hour) // some begin together
		k.Upgrades = append(k.Upgrades, detector.Upgrade{ID: id, StartedAt: at})
		state := detector.AlertFiring
		if n%2 == 1 {
			state = detector.AlertResolved
		}
		k.Alerts = append(k.Alerts, detector.Alert{Key: id, Upgrade: "u" + id[2:], State: state, StartsAt: at})
	}
	commit(t, j, k)
	var got []string
	for next, n := "", 0; n == 0 || next != ""; n++ {
		var page []detector.Upgrade
		var err error
		if page, next, err = j.Upgrades(t.Context(), Page{After: next, Limit: 10}); err != nil || n > 3 {
			t.Fatalf("page %d: %v", n, err)
		}
		for _, u := range page {
			got = append(got, u.ID)
		}
	}
	var want []string
	for n := 24; n >= 0; n-- {
		want = append(want, fmt.Sprintf("u%02d", n))
	}
	equal(t, "upgrades", got, want)

	firing, next, err := j.Alerts(t.Context(), AlertQuery{State: detector.AlertFiring, Page: Page{Limit: 13}})
	if len(firing) != 13 || next != "" || err != nil {
		t.Errorf("got %d firing alerts, next %q, %v; want 13 and no more", len(firing), next, err)
	}
	of, _, err := j.Alerts(t.Context(), AlertQuery{State: detector.AlertFiring, Upgrade: "u4"})
	if len(of) != 3 || of[0].Key != "u24" || of[1].Key != "u14" || of[2].Key != "u04" || err != nil {
		t.Errorf("got %v, %v; want u24, u14 and u04", of, err)
	}
	for _, bad := range []string{"!", "AAAA", "MSA"} {
		_, _, err := j.Upgrades(t.Context(), Page{After: bad})
		if bad != "MSA" && !errors.Is(err, ErrInvalid) || bad == "MSA" && err != nil {
			t.Errorf("cursor %q: got %v", bad, err)
		}
	}
}

func testEvents(t *testing.T, p place) {
	j := p.open(t)
	for n := range 5 {
		commit(t, j, Tick{Time: noon, Events: []detector.Event{
			event("u1", "a", detector.EventShift, noon.Add(time.Duration(n)*time.Minute)),
			event("u2", "a", detector.EventShift, noon.Add(time.Duration(n)*time.Minute)),
		}})
	}
	var all []StoredEvent
	for next, n := int64(0), 0; n == 0 || next != 0; n++ {
		page, following, err := j.Events(t.Context(), EventQuery{Upgrade: "u2", After: next, Limit: 2})
		if err != nil || n > 3 {
			t.Fatal(n, err)
		}
		all, next = append(all, page...), following
	}
	if len(all) != 5 {
		t.Fatalf("got %d events of u2, want 5", len(all))
	}
	for n, e := range all {
		if e.Upgrade != "u2" || !e.Time.Equal(noon.Add(time.Duration(n)*time.Minute)) || n > 0 && e.ID <= all[n-1].ID {
			t.Errorf("got event %d %v", n, e)
		}
	}
	if n := len(events(t, j, EventQuery{After: all[4].ID - 1})); n != 1 {
		t.Errorf("got %d events after the last but one, want 1", n)
	}
}

func testState(t *testing.T, p place) {
	j := p.open(t)
	at, state, err := j.State(t.Context())
	if !at.IsZero() || state != nil || err != nil {
		t.Errorf("got %v %q %v from an empty journal", at, state, err)
	}
	blob := []byte{0, 1, 0xff, 0}
	commit(t, j, Tick{Time: noon, State: blob})
	commit(t, j, Tick{Time: noon.Add(time.Minute)})
	if at, state, err = j.State(t.Context()); !at.Equal(noon) || string(state) != string(blob) || err != nil {
		t.Errorf("got %v %q %v, want %v %q", at, state, err, noon, blob)
	}
	commit(t, j, Tick{Time: noon.Add(time.Minute), State: []byte("b")})
	if at, state, _ = j.State(t.Context()); !at.Equal(noon.Add(time.Minute)) || string(state) != "b" {
		t.Errorf("got %v %q", at, state)
	}
}

func testSettings(t *testing.T, p place) {
	j := p.open(t)
	if _, err := j.Setting(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	for _, value := range []string{"1", "", "zwei ☃"} {
		if err := j.PutSetting(t.Context(), "a", value); err != nil {
			t.Fatal(err)
		}
		if got := must[string](t)(j.Setting(t.Context(), "a")); got != value {
			t.Errorf("got %q, want %q", got, value)
		}
	}
}
