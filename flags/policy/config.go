// Package policy decides who may toggle a flag, for how long, and when the
// automation toggles one by itself.
//
// It is pure: what is known comes in as a Situation, and what to do comes out as
// Actions, each with its reason. It promises that the automation only ever goes
// towards a safe variant that was declared beforehand, only for a regression
// that is decided and put down to a named binary that the flag gates, one step at
// a time from the smallest scope on, within its rates, and never while frozen.
package policy

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"aftershock/detector"
)

// Actor is whom the audit names for what the automation does; people can't go by it.
const Actor = "aftershock (automation)"

// Mode is what the automation does with a flag.
type Mode string

// The modes.
const (
	Off     Mode = "off"     // nothing
	Propose Mode = "propose" // a plan that waits for a person
	Auto    Mode = "auto"    // toggles by itself, within the guardrails
)

// Rule is the policy of one flag. What is left out is taken from the default.
type Rule struct {
	// Approval is how many people other than the planner have to approve a toggle:
	// none, one or two.
	Approval   string `yaml:"approval" json:"approval"`
	Automation Mode   `yaml:"automation" json:"automation"`
	// Steps are the percentages of the callers that an automatic toggle reaches one
	// after the other, growing, in (0, 100]; 100 is everyone.
	Steps []float64 `yaml:"steps" json:"steps,omitempty"`
	// StepWait is how long a step is looked at before the next.
	StepWait time.Duration `yaml:"step_wait" json:"-"`
	// Cooldown is the time between two automatic toggles of the flag.
	Cooldown time.Duration `yaml:"cooldown" json:"-"`
	// Recovery is how long after its last step an automatic toggle has to show that
	// it helped; PutBack says that it is undone if it didn't.
	Recovery time.Duration `yaml:"recovery" json:"-"`
	PutBack  *bool         `yaml:"put_back" json:"put_back,omitempty"`
	// Expires is after how long a toggle is due for a person's look, 0 for never;
	// OnExpiry what happens then: remind or undo.
	Expires  *time.Duration `yaml:"expires" json:"-"`
	OnExpiry string         `yaml:"on_expiry" json:"on_expiry"`
}

// Config is the section flags.policy of the configuration: the rule of every flag,
// and what differs for single ones.
type Config struct {
	Rule  `yaml:",inline"`
	Flags map[string]Rule `yaml:"flags"`
	// PerHour is how many automatic toggles all flags together may have in an hour,
	// each step counted.
	PerHour int `yaml:"per_hour"`
	// Sure is the probability from which a binary counts as blamed, in [0.5, 1].
	Sure float64 `yaml:"sure"`
	// ApproveWithin is how long a plan waits for its approval.
	ApproveWithin time.Duration `yaml:"approve_within"`
	// RemindBefore is how long before a toggle expires a person is told, at most a
	// quarter of its time.
	RemindBefore time.Duration `yaml:"remind_before"`
	// Every is the time between two looks of the automation.
	Every time.Duration `yaml:"every"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	set(&c.Approval, "none")
	set(&c.Automation, Propose)
	set(&c.StepWait, 5*time.Minute)
	set(&c.Cooldown, time.Hour)
	set(&c.Recovery, 30*time.Minute)
	set(&c.OnExpiry, detector.ExpiryRemind)
	set(&c.PerHour, 4)
	set(&c.Sure, 0.9)
	set(&c.ApproveWithin, time.Hour)
	set(&c.RemindBefore, 15*time.Minute)
	set(&c.Every, 5*time.Second)
	if len(c.Steps) == 0 {
		c.Steps = []float64{25, 100}
	}
	if c.Expires == nil {
		c.Expires = new(time.Duration)
	}
	if c.PutBack == nil {
		c.PutBack = new(bool)
	}
}

func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// For is the rule of a flag, with nothing left out. The defaults must be set.
func (c *Config) For(flag string) Rule {
	r := c.Flags[flag]
	set(&r.Approval, c.Approval)
	set(&r.Automation, c.Automation)
	set(&r.StepWait, c.StepWait)
	set(&r.Cooldown, c.Cooldown)
	set(&r.Recovery, c.Recovery)
	set(&r.OnExpiry, c.OnExpiry)
	set(&r.PutBack, c.PutBack)
	set(&r.Expires, c.Expires)
	if len(r.Steps) == 0 {
		r.Steps = c.Steps
	}
	return r
}

// Approvals is how many people other than the planner have to approve.
func (r Rule) Approvals() int { return max(0, slices.Index(approvals, r.Approval)) }

var approvals = []string{"none", "one", "two"}

// MaxExpiry bounds for how long a toggle may stand before its look is due.
const MaxExpiry = 366 * 24 * time.Hour

// Validate lists what is wrong, each error with its YAML path under path. The
// defaults must be set.
func (c *Config) Validate(path string) []error {
	errs := c.Rule.validate(path)
	// What a flag takes from the default was looked at there.
	var sound Config
	sound.SetDefaults()
	for _, flag := range slices.Sorted(maps.Keys(c.Flags)) {
		errs = append(errs, c.Flags[flag].whole(&sound).validate(path+".flags."+flag)...)
	}
	fail := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", path, name, fmt.Sprintf(format, args...)))
	}
	if c.PerHour < 1 || c.PerHour > 1000 {
		fail("per_hour", "%d isn't between 1 and 1000; to stop the automation set automation to off", c.PerHour)
	}
	if !(c.Sure >= 0.5 && c.Sure <= 1) {
		fail("sure", "%v isn't between 0.5 and 1", c.Sure)
	}
	for name, d := range map[string]time.Duration{"approve_within": c.ApproveWithin, "every": c.Every} {
		if d < 10*time.Millisecond || d > 7*24*time.Hour {
			fail(name, "%s isn't between 10ms and 168h", d)
		}
	}
	if c.RemindBefore < 0 || c.RemindBefore > 7*24*time.Hour {
		fail("remind_before", "%s isn't between 0s and 168h", c.RemindBefore)
	}
	return errs
}

// whole is the rule with what it takes from the default.
func (r Rule) whole(c *Config) Rule {
	one := *c
	one.Flags = map[string]Rule{"": r}
	return one.For("")
}

func (r Rule) validate(path string) []error {
	var errs []error
	fail := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", path, name, fmt.Sprintf(format, args...)))
	}
	if !slices.Contains(approvals, r.Approval) {
		fail("approval", "%.40q is none of none, one, two", r.Approval)
	}
	if r.Automation != Off && r.Automation != Propose && r.Automation != Auto {
		fail("automation", "%.40q is none of off, propose, auto", r.Automation)
	}
	if r.OnExpiry != detector.ExpiryRemind && r.OnExpiry != detector.ExpiryUndo {
		fail("on_expiry", "%.40q is none of remind, undo", r.OnExpiry)
	}
	last := 0.0
	for i, s := range r.Steps {
		if !(s > last && s <= 100) || s < 100 && !Percent(s) {
			fail(fmt.Sprintf("steps[%d]", i), "%v: steps grow, from 0.01 to 100 percent", s)
		}
		last = s
	}
	if len(r.Steps) > 10 {
		fail("steps", "has %d steps, and 10 are allowed", len(r.Steps))
	}
	for name, d := range map[string]time.Duration{"step_wait": r.StepWait, "cooldown": r.Cooldown, "recovery": r.Recovery} {
		if d < 10*time.Millisecond || d > 7*24*time.Hour {
			fail(name, "%s isn't between 10ms and 168h", d)
		}
	}
	if e := *r.Expires; e != 0 && (e < time.Second || e > MaxExpiry) {
		fail("expires", "%s is neither 0 nor between 1s and %s", e, MaxExpiry)
	}
	return errs
}

// Percent says whether p is a percentage that callers can be told apart by: from
// 0.01 to 99.99, in hundredths.
func Percent(p float64) bool {
	return p >= 0.01 && p <= 99.99 && math.Abs(p*100-math.Round(p*100)) < 1e-6
}
