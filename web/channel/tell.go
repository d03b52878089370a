// Package channel tells the story of one upgrade to people outside: what is planned, how
// far it has come, what was found and whether it is over.
//
// Tell derives the story from what the journal knows, and nothing else: the same facts and
// the same instant give the same posts under the same IDs. A Channel keeps them in the
// journal, each once: as drafts for a person, or sent by themselves where the config says so.
package channel

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// Facts are what is known of an upgrade.
type Facts struct {
	Upgrade detector.Upgrade
	Alerts  []detector.Alert
	// False are the alerts, by key, that people marked as false alarms.
	False map[string]bool
	// Toggles are all toggles in their last state, Flags those flags that gate something
	// in the upgrade's binaries.
	Toggles []detector.Toggle
	Flags   []string
	// Watch is how long upgrades are watched.
	Watch time.Duration
}

// Now is the present step in words.
type Now struct {
	Step detector.Step `json:"step,omitempty"`
	// Line is for everybody.
	Line string `json:"line"`
}

// Story is what there is to tell of an upgrade, in order of time.
type Story struct {
	Now
	Posts []detector.Post
}

const (
	day = 24 * time.Hour
	// fresh is how long a step is told as the present one before the watch is again.
	fresh = time.Hour
	// maxNamed bounds the binaries, alerts and toggles that a post names.
	maxNamed = 8
)

// Tell is the story as it stands at an instant.
func Tell(f Facts, now time.Time) Story {
	t := teller{Facts: f, now: now, found: episodes(f.Alerts, f.False)}
	t.window()
	t.findings()
	t.end()
	slices.SortStableFunc(t.posts, func(a, b detector.Post) int {
		if a.Step == detector.StepPlanned || b.Step == detector.StepPlanned {
			return rank(a.Step) - rank(b.Step)
		}
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return rank(a.Step) - rank(b.Step)
	})
	step := t.step()
	return Story{Now{step, t.line(step)}, t.posts}
}

func rank(s detector.Step) int { return slices.Index(detector.Steps, s) }

// Outside is the present step as far as it was told: by the post that was sent of the last
// step, whichever was sent last.
func (s Story) Outside(sent []detector.Post) Now {
	if len(sent) == 0 {
		return Now{Line: "Nothing has been told of this upgrade yet."}
	}
	last := sent[0]
	for _, p := range sent[1:] {
		plan := last.Step == detector.StepPlanned // is of before all others
		if plan || p.Step != detector.StepPlanned && !p.At.Before(last.At) {
			last = p
		}
	}
	calm := []detector.Step{detector.StepFinished, detector.StepWatching, detector.StepRecovered}
	if s.Step == detector.StepWatching && slices.Contains(calm, last.Step) {
		return s.Now
	}
	return Now{last.Step, last.Title}
}

// episode is a time in which something was worse, by alerts that touch each other.
type episode struct {
	// began is when people were first to be told, over when it ended, zero while it lasts.
	began, over time.Time
	to          time.Time // how far the alerts so far reach; zero: on and on
	alerts      []detector.Alert
	// wrong says that every alert of it was marked as false: it is told to nobody.
	wrong bool
}

// episodes are the times in which something was worse. An alert that doesn't fire yet goes
// on with what is there, but begins nothing: the cause of a story may change.
func episodes(alerts []detector.Alert, marked map[string]bool) (out []episode) {
	alerts = slices.DeleteFunc(slices.Clone(alerts), func(a detector.Alert) bool {
		return a.State == detector.AlertInactive || a.Notice != nil
	})
	slices.SortStableFunc(alerts, func(a, b detector.Alert) int {
		if c := a.StartsAt.Compare(b.StartsAt); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	})
	var all []episode
	for _, a := range alerts {
		n := len(all) - 1
		if n < 0 || !all[n].to.IsZero() && a.StartsAt.After(all[n].to) {
			all, n = append(all, episode{to: a.EndsAt}), n+1
		}
		e := &all[n]
		if a.EndsAt.IsZero() || !e.to.IsZero() && a.EndsAt.After(e.to) {
			e.to = a.EndsAt
		}
		if !a.State.Fired() {
			continue
		}
		if e.began.IsZero() {
			e.began = a.StartsAt
		}
		e.alerts = append(e.alerts, a)
	}
	for _, e := range all {
		if !e.began.IsZero() {
			e.over = e.to
			e.wrong = !slices.ContainsFunc(e.alerts, func(a detector.Alert) bool { return !marked[a.Key] })
			out = append(out, e)
		}
	}
	return out
}

type teller struct {
	Facts
	now   time.Time
	found []episode
	posts []detector.Post
}

func (t *teller) post(id string, step detector.Step, at time.Time, inside string) {
	p := detector.Post{
		Upgrade: t.Upgrade.ID, ID: id, Step: step, At: at.UTC(), Title: title(step), Inside: inside,
		Wrong: step == detector.StepBufferGone || step == detector.StepShift,
	}
	t.posts = append(t.posts, p)
}

// say gives the last post its text.
func (t *teller) say(format string, args ...any) {
	t.posts[len(t.posts)-1].Text += fmt.Sprintf(format, args...)
}

// past says whether the window was still open at an instant that is over.
func (t *teller) past(at time.Time) bool {
	end := t.Upgrade.FinishedAt
	if end.IsZero() {
		end = t.Upgrade.ClosedAt
	}
	return t.Upgrade.Begun() && !at.IsZero() && !t.now.Before(at) && (end.IsZero() || end.After(at))
}

// window tells of the plan and the window.
func (t *teller) window() {
	u := &t.Upgrade
	end, last := u.DueBy()
	if at := u.PlannedStart; !at.IsZero() {
		t.post("planned-"+at.UTC().Format("20060102T150405Z"), detector.StepPlanned, at, t.binaries())
		t.say("An upgrade is planned for %s.%s", words.Time(at), t.length())
	}
	if !u.Begun() {
		return
	}
	t.post("window", detector.StepWindow, u.StartedAt, t.binaries())
	t.say("The upgrade began at %s.", words.Time(u.StartedAt))
	if !end.IsZero() {
		t.say(" It is to be done by %s", words.Time(end))
		if last.After(end) {
			t.say(", or with its reserve by %s", words.Time(last))
		}
		t.say(".")
	}
	if last.After(end) && t.past(end) {
		t.post("buffer", detector.StepBuffer, end, t.binaries())
		t.say("The upgrade takes longer than planned. It uses its reserve, which lasts until %s.", words.Time(last))
	}
	if t.past(last) {
		t.post("buffer-gone", detector.StepBufferGone, last, t.binaries())
		t.say("The upgrade isn't known to be done, and the time that was planned for it ended at %s.", words.Time(last))
	}
	if u.FinishedAt.IsZero() {
		return
	}
	t.post("finished", detector.StepFinished, u.FinishedAt, t.binaries())
	t.say("The upgrade was done at %s. What it does to the system is watched for %s.", words.Time(u.FinishedAt), words.Duration(t.Watch))
	if at := u.FinishedAt.Add(fresh); !t.now.Before(at) && (u.ClosedAt.IsZero() || u.ClosedAt.After(at)) {
		t.post("watching", detector.StepWatching, at, t.binaries())
		t.say("What the upgrade does to the system is watched until %s.", words.Time(u.StartedAt.Add(t.Watch)))
	}
}

// length says how long the window is to take.
func (t *teller) length() string {
	if t.Upgrade.PlannedMinutes == 0 {
		return ""
	}
	text := " It is to take " + words.Duration(time.Duration(t.Upgrade.PlannedMinutes)*time.Minute)
	if t.Upgrade.BufferMinutes > 0 {
		text += "; " + words.Duration(time.Duration(t.Upgrade.BufferMinutes)*time.Minute) + " more are held in reserve"
	}
	return text + "."
}

// findings tells of what got worse, and what was done about it.
func (t *teller) findings() {
	for n, e := range t.found {
		if t.now.Before(e.began) {
			return
		}
		if e.wrong {
			continue // it keeps its number
		}
		id := func(step detector.Step) string { return fmt.Sprintf("%s-%d", step, n+1) }
		t.post(id(detector.StepShift), detector.StepShift, e.began, headlines(e.alerts))
		t.say("Since about %s a part of the system does worse than before the upgrade. It is being looked into.", words.Time(e.began))
		if all := t.against(e); len(all) > 0 {
			t.post(id(detector.StepMitigated), detector.StepMitigated, all[0].Began(), toggled(all))
			t.say("Something was done at %s about what was noticed at %s. Whether it helps is being watched.", words.Time(all[0].Began()), words.Time(e.began))
		}
		if t.over(e) {
			t.post(id(detector.StepRecovered), detector.StepRecovered, e.over, headlines(e.alerts))
			t.say("What was noticed at %s isn't seen any more since %s.", words.Time(e.began), words.Time(e.over))
		}
	}
}

// over says whether an episode ended: the end of the watch doesn't end it.
func (t *teller) over(e episode) bool {
	closed := t.Upgrade.ClosedAt
	return !e.over.IsZero() && !t.now.Before(e.over) && (closed.IsZero() || e.over.Before(closed))
}

// against are the toggles that took effect against an episode, the first of them first.
func (t *teller) against(e episode) (out []detector.Toggle) {
	for _, g := range t.Toggles {
		at := g.Began()
		ours := g.Upgrade == t.Upgrade.ID || slices.Contains(t.Flags, g.Flag)
		if ours && g.State.TookEffect() && !at.After(t.now) && !at.Before(e.began) && (e.over.IsZero() || at.Before(e.over)) {
			out = append(out, g)
		}
	}
	slices.SortStableFunc(out, func(a, b detector.Toggle) int {
		if c := a.Began().Compare(b.Began()); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// last is the last episode that people are told of, -1 for none.
func (t *teller) last() int {
	for n, e := range slices.Backward(t.found) {
		if !e.wrong {
			return n
		}
	}
	return -1
}

// end tells of the end of the watch.
func (t *teller) end() {
	u := &t.Upgrade
	if u.ClosedAt.IsZero() || t.now.Before(u.ClosedAt) {
		return
	}
	t.post("closed", detector.StepClosed, u.ClosedAt, t.binaries())
	p := &t.posts[len(t.posts)-1]
	if !u.Begun() {
		p.Title = "Upgrade called off"
		t.say("The upgrade that was planned for %s won't take place then.", words.Time(u.PlannedStart))
		return
	}
	t.say("The watch over the upgrade ended at %s.", words.Time(u.ClosedAt))
	if n := t.last(); n >= 0 && !t.over(t.found[n]) {
		t.say(" What was noticed at %s was still seen then.", words.Time(t.found[n].began))
		p.Wrong, p.Inside = true, headlines(t.found[n].alerts)
	}
}

// step is the present one.
func (t *teller) step() detector.Step {
	u := &t.Upgrade
	n := t.last()
	switch {
	case !u.ClosedAt.IsZero() && !t.now.Before(u.ClosedAt):
		return detector.StepClosed
	case !u.Begun():
		return detector.StepPlanned
	case n >= 0 && !t.now.Before(t.found[n].began) && !t.over(t.found[n]):
		for _, g := range t.against(t.found[n]) {
			if g.State != detector.ToggleUndone && g.State != detector.ToggleReverted {
				return detector.StepMitigated
			}
		}
		return detector.StepShift
	case u.FinishedAt.IsZero():
		return t.inWindow()
	case n >= 0 && t.over(t.found[n]) && t.now.Before(t.found[n].over.Add(fresh)):
		return detector.StepRecovered
	case t.now.Before(u.FinishedAt.Add(fresh)):
		return detector.StepFinished
	}
	return detector.StepWatching
}

// inWindow is the step of an upgrade that is under way.
func (t *teller) inWindow() detector.Step {
	switch end, last := t.Upgrade.DueBy(); {
	case t.past(last):
		return detector.StepBufferGone
	case t.past(end):
		return detector.StepBuffer
	}
	return detector.StepWindow
}

// line says the present step to everybody.
func (t *teller) line(step detector.Step) string {
	u := &t.Upgrade
	switch step {
	case detector.StepPlanned:
		if t.now.After(u.PlannedStart) {
			return fmt.Sprintf("Planned for %s, and not known to have begun.", words.Time(u.PlannedStart))
		}
		return fmt.Sprintf("Planned for %s.", words.Time(u.PlannedStart))
	case detector.StepWatching:
		days := max(int((t.Watch+day-1)/day), 1)
		return fmt.Sprintf("Under watch: day %d of %d.", min(int(t.now.Sub(u.StartedAt)/day)+1, days), days)
	case detector.StepClosed:
		if !u.Begun() {
			return "Called off."
		}
	}
	return title(step) + "."
}

// title is the line above a post.
func title(s detector.Step) string {
	switch s {
	case detector.StepPlanned:
		return "Upgrade planned"
	case detector.StepWindow:
		return "Upgrade under way"
	case detector.StepBuffer:
		return "Upgrade takes longer: reserve in use"
	case detector.StepBufferGone:
		return "Upgrade takes longer than its reserve"
	case detector.StepFinished:
		return "Upgrade done"
	case detector.StepWatching:
		return "Under watch"
	case detector.StepShift:
		return "Something does worse"
	case detector.StepMitigated:
		return "Something was done about it"
	case detector.StepRecovered:
		return "No longer seen"
	}
	return "Watch ended"
}

// binaries names what is replaced.
func (t *teller) binaries() string {
	var names []string
	for _, b := range t.Upgrade.Binaries {
		names = append(names, words.Versions(b))
	}
	return listed(names, ", ")
}

func headlines(alerts []detector.Alert) string {
	var lines []string
	for _, a := range alerts {
		lines = append(lines, words.Headline(a))
	}
	return listed(lines, "; ")
}

func toggled(all []detector.Toggle) string {
	var lines []string
	for _, g := range all {
		lines = append(lines, fmt.Sprintf("%s: %s → %s by %s, %s", words.Name(g.Flag), words.Name(g.Before), words.Name(g.After), words.Name(g.Actor), words.Line(g.Reason)))
	}
	return listed(lines, "; ")
}

func listed(all []string, between string) string {
	if more := len(all) - maxNamed; more > 0 {
		all = append(all[:maxNamed:maxNamed], fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, between)
}
