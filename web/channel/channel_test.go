package channel

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/journal"
)

// desk is a channel over a real journal, with what people on call were told.
type desk struct {
	*Channel
	journal *journal.Journal
	gone    []string
	fail    error
}

func newDesk(t *testing.T, c Config) *desk {
	t.Helper()
	log, _ := logtest.NewNullLogger()
	j, err := journal.Open(t.Context(), journal.Config{}, t.TempDir(), log, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	c.SetDefaults()
	d := &desk{journal: j}
	d.Channel = New(Options{
		Config: c, Journal: j, Watch: 7 * day, Log: log,
		Gates: func() []flags.Gate { return []flags.Gate{{Flag: "payments-backoff", Binary: "dten_payments"}} },
		Gone: func(_ context.Context, u detector.Upgrade, p detector.Post) error {
			d.gone = append(d.gone, u.ID+" "+p.ID)
			return d.fail
		},
	})
	return d
}

func (d *desk) tell(t *testing.T, u detector.Upgrade, alerts ...detector.Alert) {
	t.Helper()
	for i := range alerts {
		alerts[i].Upgrade = u.ID
		alerts[i].Revision = int64(len(alerts[i].State)) // resolved is longer than firing
	}
	if err := d.journal.Commit(t.Context(), journal.Tick{Time: nine, Upgrades: []detector.Upgrade{u}, Alerts: alerts}); err != nil {
		t.Fatal(err)
	}
}

func (d *desk) advance(t *testing.T, now time.Time) {
	t.Helper()
	for range 2 { // again, as by another daemon
		if err := d.Advance(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *desk) read(t *testing.T, now time.Time) (sent, drafts []string) {
	t.Helper()
	v, err := d.Read(t.Context(), "dten-4.2.0", now)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range v.Sent {
		sent = append(sent, p.ID+" by "+p.Actor)
	}
	for _, p := range v.Drafts {
		drafts = append(drafts, p.ID)
	}
	return sent, drafts
}

// jobs are the keys of the deliveries that are owed, in order.
func (d *desk) jobs(t *testing.T) (out []string) {
	t.Helper()
	all, err := d.journal.Jobs(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range all {
		var p Delivery
		if err := json.Unmarshal(j.Payload, &p); err != nil || j.Kind != JobStatus || p.Post.Inside != "" || p.Post.Text == "" {
			t.Errorf("job %s %s: %+v (%v)", j.Kind, j.Key, p, err)
		}
		out = append(out, j.Key)
	}
	slices.Sort(out)
	return out
}

// Posts go out by themselves unless they say that something is wrong; those wait for a
// person. All of it once.
func TestChannel(t *testing.T) {
	d := newDesk(t, Config{Receivers: []string{"mail"}})
	d.tell(t, upgrade(-1, -1))
	d.advance(t, at(-60))
	d.tell(t, upgrade(5, -1))
	d.advance(t, at(6))
	d.advance(t, at(130))
	sent, drafts := d.read(t, at(130))
	if diff := cmp.Diff([]string{"planned-20260306T090000Z by aftershock", "window by aftershock"}, sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"buffer", "buffer-gone"}, drafts); diff != "" {
		t.Errorf("drafts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"dten-4.2.0|planned-20260306T090000Z|mail", "dten-4.2.0|window|mail"}, d.jobs(t)); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"dten-4.2.0 buffer-gone"}, d.gone); diff != "" {
		t.Errorf("people on call were told (-want +got):\n%s", diff)
	}
	d.tell(t, upgrade(5, 135), alert(detector.AlertFiring, 140, -1))
	d.advance(t, at(150))
	changed := d.Changed()
	p, err := d.Send(t.Context(), "dten-4.2.0", Edit{Post: "shift-1", Text: "Paying takes longer.\u202e We are on it.", Actor: "ana"}, at(151))
	if err != nil || !p.Edited || p.Text != "Paying takes longer. We are on it." || p.Title != "Something does worse" {
		t.Errorf("sent %+v (%v)", p, err)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody heard of it")
	}
	if _, err := d.Send(t.Context(), "dten-4.2.0", Edit{Post: "shift-1", Actor: "bob"}, at(152)); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("sent again: %v", err)
	}
	if _, err := d.Send(t.Context(), "dten-4.2.0", Edit{Post: "shift-2", Actor: "bob"}, at(152)); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("sent without a draft: %v", err)
	}
	sent, drafts = d.read(t, at(152))
	if diff := cmp.Diff([]string{"finished by aftershock", "shift-1 by ana"}, sent[2:]); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"buffer", "buffer-gone"}, drafts); diff != "" {
		t.Errorf("drafts (-want +got):\n%s", diff)
	}
	if all := d.jobs(t); len(all) != 4 || all[2] != "dten-4.2.0|shift-1|mail" {
		t.Errorf("jobs %v", all)
	}
}

// What is old isn't news: nobody is told of it without a person, nor woken by it.
func TestOldStepsAreLeftToAPerson(t *testing.T) {
	d := newDesk(t, Config{Auto: detector.Steps})
	d.tell(t, upgrade(0, -1))
	d.advance(t, at(300))
	sent, drafts := d.read(t, at(300))
	if diff := cmp.Diff([]string{"window", "buffer", "buffer-gone"}, drafts); diff != "" || sent != nil || d.gone != nil {
		t.Errorf("sent %v, told %v, drafts (-want +got):\n%s", sent, d.gone, diff)
	}
}

// The end of a watch goes out by itself, but not where something is still wrong.
func TestAWrongEndWaits(t *testing.T) {
	for _, tc := range []struct {
		auto []detector.Step
		want bool
	}{{nil, false}, {[]detector.Step{detector.StepClosed, detector.StepShift}, true}, {[]detector.Step{}, false}} {
		d := newDesk(t, Config{Auto: tc.auto})
		u := upgrade(0, 30)
		u.ClosedAt = at(200)
		d.tell(t, u, alert(detector.AlertResolved, 50, 200))
		d.advance(t, at(201))
		if sent, _ := d.read(t, at(201)); slices.Contains(sent, "closed by aftershock") != tc.want {
			t.Errorf("auto %v: sent %v", tc.auto, sent)
		}
	}
}

// A buffer that people couldn't be told of is tried again.
func TestTheBufferIsToldOfAgain(t *testing.T) {
	d := newDesk(t, Config{})
	d.tell(t, upgrade(0, -1))
	d.fail = errors.New("the database is gone")
	if err := d.Advance(t.Context(), at(121)); !errors.Is(err, d.fail) {
		t.Fatal(err)
	}
	d.fail = nil
	d.advance(t, at(122))
	if _, drafts := d.read(t, at(122)); len(d.gone) != 2 || !slices.Contains(drafts, "buffer-gone") {
		t.Errorf("told %v, drafts %v", d.gone, drafts)
	}
}

func TestConfig(t *testing.T) {
	c := Config{Auto: []detector.Step{"window", "lunch"}, Receivers: []string{"a", "b", "a"}, Read: "viewer"}
	var got []string
	for _, err := range c.Validate("status") {
		got = append(got, err.Error())
	}
	for i, want := range []string{`status.auto[1]: "lunch" is none of`, `status.receivers[2]: "a" comes twice`, `status.read: "viewer"`} {
		if len(got) != 3 || !strings.HasPrefix(got[i], want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	c = Config{}
	c.SetDefaults()
	if errs := c.Validate("status"); len(errs) != 0 {
		t.Error(errs)
	}
	for _, s := range []detector.Step{detector.StepBuffer, detector.StepBufferGone, detector.StepShift} {
		if slices.Contains(c.Auto, s) {
			t.Errorf("by itself goes out %s", s)
		}
	}
}
