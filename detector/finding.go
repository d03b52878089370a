package detector

import (
	"slices"
	"time"
)

// Severities of findings, from the worst on.
const (
	Blocker = "blocker" // the upgrade must not begin like this
	Risk    = "risk"    // somebody has to decide
	Note    = "note"    // good to know
)

// Finding is what the inspection of an upgrade's package found before the upgrade.
type Finding struct {
	// Rule is the stable name of what was looked for, "scripts/sudo"; its first part
	// is the checking package.
	Rule     string `json:"rule" yaml:"rule"`
	Severity string `json:"severity" yaml:"severity"`
	Place    Place  `json:"place" yaml:"place"`
	// What is the fault in one line; Why says why it matters to whom operates the
	// system, Do what to do about it.
	What string `json:"what" yaml:"what"`
	Why  string `json:"why" yaml:"why"`
	Do   string `json:"do" yaml:"do"`
	// Hypotheses are what telemetry would show if the finding came true.
	Hypotheses []Hypothesis `json:"hypotheses,omitempty" yaml:"hypotheses,omitempty"`
	// Chores are what somebody has to clean up after the upgrade.
	Chores []Chore `json:"chores,omitempty" yaml:"chores,omitempty"`
	// Reversions are what of the upgrade must be, or can't be, undone in a rollback.
	Reversions []Reversion `json:"reversions,omitempty" yaml:"reversions,omitempty"`
}

// SameFindings says whether two inspections found the same: rule by rule, place by
// place, with the same said of each.
func SameFindings(a, b []Finding) bool {
	return slices.EqualFunc(a, b, func(x, y Finding) bool {
		return x.Rule == y.Rule && x.Severity == y.Severity && x.Place == y.Place && x.What == y.What && x.Why == y.Why && x.Do == y.Do &&
			slices.EqualFunc(x.Hypotheses, y.Hypotheses, Hypothesis.same) && slices.Equal(x.Reversions, y.Reversions) &&
			slices.EqualFunc(x.Chores, y.Chores, func(c, d Chore) bool {
				due := c.Due.Equal(d.Due)
				c.Due, d.Due = time.Time{}, time.Time{}
				return due && c == d
			})
	})
}

// Place is where a finding stands.
type Place struct {
	// File is a path within the package, with slashes; empty for the package as a
	// whole, absolute for a file of the host.
	File string `json:"file,omitempty" yaml:"file,omitempty"`
	// Line counts from 1; 0 where a finding has no line.
	Line int `json:"line,omitempty" yaml:"line,omitempty"`
}

// Kinds of hypotheses.
const (
	HypothesisRun      = "scheduled-run" // something new runs at these times
	HypothesisOldBuild = "old-build"     // a host goes on running the old build
	HypothesisFallback = "fallback"      // a binary behaves otherwise for want of a setting
	HypothesisLock     = "lock"          // statements wait for a table during the migration
)

// Hypothesis is what telemetry would show if a finding came true. Empty fields say
// nothing of themselves: a hypothesis without binaries is of every binary.
type Hypothesis struct {
	Kind string `json:"kind" yaml:"kind"`
	// Says is the sentence that an alert and the review put it in.
	Says string `json:"says" yaml:"says"`
	// Binaries are the names of those that would bring it, as the upgrade has them.
	Binaries []string `json:"binaries,omitempty" yaml:"binaries,omitempty"`
	// Services are the values of service labels of what would show it.
	Services []string `json:"services,omitempty" yaml:"services,omitempty"`
	// Indicators are the kinds of indicators that would show it.
	Indicators []Kind `json:"indicators,omitempty" yaml:"indicators,omitempty"`
	// Runs are the instants at which it would begin; Schedule is the cron expression
	// or calendar event that they come from, and Zone its time zone.
	Runs     []time.Time `json:"runs,omitempty" yaml:"runs,omitempty"`
	Schedule string      `json:"schedule,omitempty" yaml:"schedule,omitempty"`
	Zone     string      `json:"zone,omitempty" yaml:"zone,omitempty"`
	// Key is the setting, Tables are the tables, Unit is the unit that it is about.
	Key    string   `json:"key,omitempty" yaml:"key,omitempty"`
	Tables []string `json:"tables,omitempty" yaml:"tables,omitempty"`
	Unit   string   `json:"unit,omitempty" yaml:"unit,omitempty"`
}

// ChoreKinds are the kinds of what is cleaned up.
var ChoreKinds = []string{"flag", "webhook", "credential", "cron", "silence", "banner", "file", "instance", "other"}

func (h Hypothesis) same(o Hypothesis) bool {
	return h.Kind == o.Kind && h.Says == o.Says && h.Schedule == o.Schedule && h.Zone == o.Zone && h.Key == o.Key && h.Unit == o.Unit &&
		slices.Equal(h.Binaries, o.Binaries) && slices.Equal(h.Services, o.Services) && slices.Equal(h.Indicators, o.Indicators) &&
		slices.Equal(h.Tables, o.Tables) && slices.EqualFunc(h.Runs, o.Runs, time.Time.Equal)
}

// Chore is something temporary of an upgrade that somebody has to clean up.
type Chore struct {
	// Kind is one of ChoreKinds.
	Kind string `json:"kind" yaml:"kind"`
	// Name is what is to go, as its own system calls it.
	Name string `json:"name" yaml:"name"`
	What string `json:"what" yaml:"what"`
	// Owner is whoever sees to it, empty where nobody was named yet.
	Owner string `json:"owner,omitempty" yaml:"owner,omitempty"`
	// Due is when it is to be gone; zero where nobody said so.
	Due time.Time `json:"due,omitzero" yaml:"due,omitempty"`
	// Probe tells whether it is gone: "flag KEY", "silence ID", "url URL", "file PATH",
	// "cron TEXT", "instance BINARY"; empty where only a person can tell.
	Probe string `json:"probe,omitempty" yaml:"probe,omitempty"`
}

// Levels of reversions.
const (
	LevelData          = "data"
	LevelConfiguration = "configuration"
)

// Reversion is a step of a rollback plan: how one step of the upgrade is undone.
type Reversion struct {
	Level string `json:"level" yaml:"level"`
	// Step is the step of the upgrade: a statement, a script, a setting.
	Step string `json:"step" yaml:"step"`
	// How undoes it; empty where nothing does.
	How string `json:"how,omitempty" yaml:"how,omitempty"`
	// Lost is what can't be had back once the step was taken; empty where nothing is.
	Lost  string `json:"lost,omitempty" yaml:"lost,omitempty"`
	Place Place  `json:"place,omitzero" yaml:"place,omitempty"`
}
