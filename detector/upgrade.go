package detector

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"
)

// Upgrade is one change of a set of binaries, with a window. Its JSON and YAML
// form is the upgrade record of the product.
type Upgrade struct {
	ID      string `json:"id" yaml:"id"`
	Package string `json:"package,omitempty" yaml:"package,omitempty"`
	// StartedAt and FinishedAt bound the window in which instances switched.
	// StartedAt is zero while the upgrade is only planned, FinishedAt while the window is
	// open.
	StartedAt  time.Time `json:"started_at,omitzero" yaml:"started_at,omitempty"`
	FinishedAt time.Time `json:"finished_at,omitzero" yaml:"finished_at,omitempty"`
	Binaries   []Binary  `json:"binaries" yaml:"binaries"`
	// Source says how the upgrade was learnt: "record", "build-info", ...
	Source string `json:"source,omitempty" yaml:"source,omitempty"`
	// ClosedAt is when the watch over the upgrade ended; zero while it lasts.
	ClosedAt time.Time `json:"closed_at,omitzero" yaml:"closed_at,omitempty"`
	Plan     `yaml:",inline"`
	// Culprit is the binary that an alert which fired put the shift down to, "" while none
	// is named.
	Culprit string `json:"culprit,omitempty" yaml:"culprit,omitempty"`
	// Findings are what the inspection of the package found before the upgrade.
	Findings []Finding `json:"findings,omitempty" yaml:"findings,omitempty"`
}

// Plan is when an upgrade is to begin, how long it is to take, and how much longer it
// may; zero where nobody said so.
type Plan struct {
	PlannedStart   time.Time `json:"planned_start,omitzero" yaml:"planned_start,omitempty"`
	PlannedMinutes int       `json:"planned_minutes,omitempty" yaml:"planned_minutes,omitempty"`
	BufferMinutes  int       `json:"buffer_minutes,omitempty" yaml:"buffer_minutes,omitempty"`
}

// PlanOr is the plan, with what it leaves out taken from another.
func (p Plan) PlanOr(other Plan) Plan {
	if p.PlannedStart.IsZero() {
		p.PlannedStart = other.PlannedStart
	}
	if p.PlannedMinutes == 0 {
		p.PlannedMinutes, p.BufferMinutes = other.PlannedMinutes, cmp.Or(p.BufferMinutes, other.BufferMinutes)
	}
	return p
}

// SamePlan says whether two plans say the same.
func (p Plan) SamePlan(o Plan) bool {
	return p.PlannedStart.Equal(o.PlannedStart) && p.PlannedMinutes == o.PlannedMinutes && p.BufferMinutes == o.BufferMinutes
}

// Begun says whether the upgrade has begun; one that hasn't is only planned.
func (u Upgrade) Begun() bool { return !u.StartedAt.IsZero() }

// Begins is when the upgrade began, or is to begin.
func (u Upgrade) Begins() time.Time {
	if u.Begun() {
		return u.StartedAt
	}
	return u.PlannedStart
}

// DueBy is when the window is to be over by the plan, and when the buffer is used up as
// well; both are zero where no length was planned. One that began after all of that is
// given its time from there on.
func (u Upgrade) DueBy() (end, last time.Time) {
	if u.PlannedMinutes == 0 {
		return end, last
	}
	end = u.PlannedStart
	if end.IsZero() {
		end = u.StartedAt
	}
	long, buffer := time.Duration(u.PlannedMinutes)*time.Minute, time.Duration(u.BufferMinutes)*time.Minute
	if u.StartedAt.After(end.Add(long + buffer)) {
		end = u.StartedAt
	}
	return end.Add(long), end.Add(long + buffer)
}

// Binary is a program that an upgrade replaced.
type Binary struct {
	Name string `json:"name" yaml:"name"`
	From string `json:"from,omitempty" yaml:"from,omitempty"`
	To   string `json:"to,omitempty" yaml:"to,omitempty"`
	// Selector holds the label values that say which series the binary emits.
	Selector map[string]string `json:"selector,omitempty" yaml:"selector,omitempty"`
	// DeployedAt is when the first instance switched.
	DeployedAt time.Time `json:"deployed_at,omitzero" yaml:"deployed_at,omitempty"`
	// Instances says when each instance switched, where that is known.
	Instances []Deployment `json:"instances,omitempty" yaml:"instances,omitempty"`
	// Flags are the feature flags that gate something in the binary.
	Flags []string `json:"flags,omitempty" yaml:"flags,omitempty"`
	// SHA256 is the digest of the new file, hex, where it is known.
	SHA256 string `json:"sha256,omitempty" yaml:"sha256,omitempty"`
	// Inside is what changed inside the binary, nil where nobody has compared the
	// two builds.
	Inside *Inside `json:"inside,omitempty" yaml:"inside,omitempty"`
	// Fleet is what its instances ran when they were last seen in the upgrade's window,
	// nil where the telemetry doesn't tell.
	Fleet *Fleet `json:"fleet,omitempty" yaml:"fleet,omitempty"`
}

// Inside is what changed between two builds of a binary.
type Inside struct {
	// Summary says it in one sentence.
	Summary string `json:"summary" yaml:"summary"`
	// Touches are the words of retries, waits and limits that the change touches:
	// retry, backoff, attempt, jitter, timeout, deadline, pool, limit, wait.
	Touches []string `json:"touches,omitempty" yaml:"touches,omitempty"`
	// Same says that nothing differs: the binary was built or started anew.
	Same bool `json:"same,omitempty" yaml:"same,omitempty"`
}

// Deployment is the switch of one instance to the new build.
type Deployment struct {
	Instance string    `json:"instance" yaml:"instance"`
	At       time.Time `json:"at" yaml:"at"`
}

// same says whether two records of an upgrade tell the same deployments, whatever
// form they came in.
func (u *Upgrade) same(o *Upgrade) bool {
	return u.StartedAt.Equal(o.StartedAt) && slices.EqualFunc(u.Binaries, o.Binaries, func(a, b Binary) bool {
		return a.Name == b.Name && a.From == b.From && a.To == b.To && a.DeployedAt.Equal(b.DeployedAt) &&
			maps.Equal(a.Selector, b.Selector) && a.Inside.Equal(b.Inside) && slices.EqualFunc(a.Instances, b.Instances, func(c, d Deployment) bool {
			return c.Instance == d.Instance && c.At.Equal(d.At)
		})
	})
}

// SameBinary says whether two names are of one binary. A metric can't have the dash that
// a program's name may have: dten_payments_build_info is that of dten-payments.
func SameBinary(a, b string) bool {
	return a == b || strings.ReplaceAll(a, "-", "_") == strings.ReplaceAll(b, "-", "_")
}

// hasBinary says whether a binary is among the named.
func hasBinary(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return SameBinary(n, name) })
}

// Matches says whether the binary emits the series with these labels: every
// label of the selector has the selector's value. An empty selector matches
// nothing.
func (b Binary) Matches(labels map[string]string) bool {
	if len(b.Selector) == 0 {
		return false
	}
	for n, v := range b.Selector {
		if labels[n] != v {
			return false
		}
	}
	return true
}

// Time is when the binary was deployed: DeployedAt, else its first instance's
// switch, else the upgrade's start.
func (u Upgrade) Time(b Binary) time.Time {
	if !b.DeployedAt.IsZero() {
		return b.DeployedAt
	}
	if len(b.Instances) > 0 {
		at := make([]time.Time, 0, len(b.Instances))
		for _, d := range b.Instances {
			at = append(at, d.At)
		}
		sort.Slice(at, func(i, j int) bool { return at[i].Before(at[j]) })
		return at[0]
	}
	return u.StartedAt
}

// Flip is a change of a feature flag: a treatment when Aftershock did it on
// somebody's behalf, a change like any other when not.
type Flip struct {
	Flag    string    `json:"flag"`
	Variant string    `json:"variant"`
	Before  string    `json:"before"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Ours    bool      `json:"ours"`
	// Toggle is the ID of our toggle that made the flip, "" for other people's.
	Toggle string `json:"toggle,omitempty"`
	// Binaries are those that the flag gates something in, where that is known.
	Binaries []string `json:"binaries,omitempty"`
	// Upgrade is the upgrade that the flip answers, where somebody said so.
	Upgrade string `json:"upgrade,omitempty"`
	// Scope is whom the flip was for; Undoes says that it took an earlier one back.
	Scope  Scope `json:"scope,omitzero"`
	Undoes bool  `json:"undoes,omitempty"`
	// Accepts is how many times as many requests in the tail are taken as its price, 0
	// where nothing is.
	Accepts float64 `json:"accepts,omitempty"`
}

// Equal says whether two say the same.
func (i *Inside) Equal(o *Inside) bool {
	if i == nil || o == nil {
		return i == o
	}
	return i.Summary == o.Summary && i.Same == o.Same && slices.Equal(i.Touches, o.Touches)
}
