package detector

import (
	"time"
)

// State is the verdict over one indicator.
type State string

const (
	// Regressed: the indicator got worse by more than the margin.
	Regressed State = "regressed"
	// Improved: it got better by more than the margin.
	Improved State = "improved"
	// Clear: it is proven to be within the margin.
	Clear State = "clear"
	// Undecided: the data doesn't say yet. No data is undecided, never clear.
	Undecided State = "undecided"
)

// Direction of a shift.
const (
	Worse  = "worse"
	Better = "better"
)

// Cause kinds.
const (
	CauseBinary     = "binary"
	CauseThirdParty = "third-party"
	// CauseFlag is a feature flag that somebody flipped since the upgrade began.
	CauseFlag = "flag"
	// CauseSchedule is something that the upgrade's package brought to run at certain
	// times, CauseMigration the locks of its statements.
	CauseSchedule    = "schedule"
	CauseMigration   = "migration"
	CauseLoad        = "load"
	CauseEnvironment = "environment"
	CauseEarlier     = "earlier"
	CauseUnknown     = "unknown"
)

// Effect is the size of a shift as a ratio of shares with its interval.
type Effect struct {
	// What says which share: "share of requests over 0.5 s", "retries per call"; or
	// which quantile, whose values are in seconds: "p99 (summary)", "p99 (gauge)".
	What string `json:"what"`
	// Before and After are shares (or retries per call), Ratio is after/before
	// and Low..High its interval at the configured confidence.
	Before float64 `json:"before"`
	After  float64 `json:"after"`
	Ratio  float64 `json:"ratio"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Onset is when a shift began, as an interval.
type Onset struct {
	At       time.Time `json:"at"`
	Earliest time.Time `json:"earliest"`
	Latest   time.Time `json:"latest"`
}

// Cause is what a shift may be put down to. The probabilities of one shift's
// causes add up to 1.
type Cause struct {
	Kind        string   `json:"kind"`
	Name        string   `json:"name,omitempty"`
	Probability float64  `json:"probability"`
	Why         []string `json:"why,omitempty"`
	// Cleared says of the upgrade's other binaries why they are out, one each.
	Cleared []string `json:"cleared,omitempty"`
	// Foreseen is what the inspection of the package foresaw of this cause, and in which
	// finding; empty where it didn't.
	Foreseen string `json:"foreseen,omitempty"`
}

// QuantileRange is a quantile before and after, each as the bucket that holds
// it (seconds). Upper may be +Inf, which is written as the string "+Inf".
type QuantileRange struct {
	Q      float64  `json:"q"`
	Before Interval `json:"before"`
	After  Interval `json:"after"`
}

// FalseAlarms is how often the same rule fired at placebo upgrades here.
type FalseAlarms struct {
	Fired    int `json:"fired"`
	Placebos int `json:"placebos"`
}

// CoursePoint is the indicator's share over one block of time, for charts.
type CoursePoint struct {
	Time time.Time `json:"time"` // end of the block
	Bad  float64   `json:"bad"`
	// Total is the number of requests or calls in the block; where a quantile is
	// followed, of steps, and Bad the sum of their values in seconds.
	Total float64 `json:"total"`
	// Expected is the share that the baseline expects, with its band.
	Expected float64 `json:"expected"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

// Verdict is what is known of one indicator after one upgrade.
type Verdict struct {
	Upgrade   string          `json:"upgrade"`
	Indicator Indicator       `json:"indicator"`
	State     State           `json:"verdict"`
	Since     time.Time       `json:"since"`
	Direction string          `json:"direction,omitempty"`
	Effect    *Effect         `json:"effect,omitempty"`
	Quantiles []QuantileRange `json:"quantiles,omitempty"`
	// Distribution is that of the durations, for latencies in buckets that shifted.
	Distribution *Distribution `json:"distribution,omitempty"`
	Onset        *Onset        `json:"onset,omitempty"`
	Causes       []Cause       `json:"causes,omitempty"`
	// Control names what the indicator was compared with.
	Control string `json:"control,omitempty"`
	// Warnings are doubts as data: too little traffic, a changed bucket layout,
	// a gap, two upgrades at once.
	Warnings    []string     `json:"warnings,omitempty"`
	FalseAlarms *FalseAlarms `json:"false_alarms,omitempty"`
	// Missing says what an undecided verdict lacks, DecidedIn about how long
	// (seconds) until it is decided at present traffic; 0 where that can't be
	// told.
	Missing   string  `json:"missing,omitempty"`
	DecidedIn float64 `json:"decided_in_seconds,omitempty"`
	// Accepted is the price that covers the shift, nil where none does: it is told then,
	// but no alert is made of it.
	Accepted *Acceptance `json:"accepted,omitempty"`
	// Recovered is when a shift was seen to be back within the margin: one for the worse
	// has recovered then, one for the better is lost again.
	Recovered time.Time `json:"recovered_at,omitzero"`
	// Course is the indicator's course around the upgrade, for those that
	// shifted: at most a few hundred points.
	Course []CoursePoint `json:"course,omitempty"`
}

// Lost says whether the indicator had improved and is back at its old level.
func (v *Verdict) Lost() bool { return !v.Recovered.IsZero() && v.Direction == Better }

// side is 0 for a shift to the worse, 1 for one to the better.
func (v *Verdict) side() int {
	if v.Direction == Better {
		return 1
	}
	return 0
}

// Event names.
const (
	EventShift     = "shift"
	EventRecovered = "recovered"
	EventVerdict   = "verdict"
	EventSummary   = "summary"
)

// Event is one line of what the product says, in the form of the jsonl output.
type Event struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"`
	Upgrade string    `json:"upgrade"`
	// Indicator is nil for a summary.
	Indicator   *Indicator      `json:"indicator,omitempty"`
	Verdict     State           `json:"verdict,omitempty"`
	Direction   string          `json:"direction,omitempty"`
	Effect      *Effect         `json:"effect,omitempty"`
	Quantiles   []QuantileRange `json:"quantiles,omitempty"`
	Onset       *Onset          `json:"onset,omitempty"`
	Causes      []Cause         `json:"causes,omitempty"`
	Control     string          `json:"control,omitempty"`
	Warnings    []string        `json:"warnings,omitempty"`
	FalseAlarms *FalseAlarms    `json:"false_alarms,omitempty"`
	Missing     string          `json:"missing,omitempty"`
	DecidedIn   float64         `json:"decided_in_seconds,omitempty"`
	Accepted    *Acceptance     `json:"accepted,omitempty"`
	// Verdicts holds every indicator's verdict, for a summary alone.
	Verdicts []Verdict `json:"verdicts,omitempty"`
}
