package reports_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"aftershock/detector"
)

func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// journal is a journal in memory.
type journal struct {
	upgrade  detector.Upgrade
	verdicts []detector.Verdict
	events   []detector.Event
	alerts   []detector.Alert
	toggles  []detector.Toggle
	flips    []detector.Flip
	fail     string
}

func (j *journal) err(what string) error {
	if j.fail == what {
		return errors.New("disk on fire")
	}
	return nil
}

func (j *journal) Upgrade(context.Context, string) (detector.Upgrade, error) {
	return j.upgrade, j.err("upgrade")
}

func (j *journal) Verdicts(context.Context, string) ([]detector.Verdict, error) {
	return j.verdicts, j.err("verdicts")
}

func (j *journal) Events(context.Context, string) ([]detector.Event, error) {
	return j.events, j.err("events")
}

func (j *journal) Alerts(context.Context, string) ([]detector.Alert, error) {
	return j.alerts, j.err("alerts")
}

func (j *journal) Toggles(context.Context, string, int) ([]detector.Toggle, error) {
	return j.toggles, j.err("toggles")
}

func (j *journal) Flips(context.Context, time.Time) ([]detector.Flip, error) {
	return j.flips, j.err("flips")
}

// course is ten minutes a block: what was expected, times the factor in force.
func course(seed uint64, rate, expected float64, factor func(time.Time) float64) []detector.CoursePoint {
	r := rand.New(rand.NewPCG(seed, 1))
	var out []detector.CoursePoint
	for t := instant("2026-03-06T03:00:00Z"); !t.After(instant("2026-03-06T15:00:00Z")); t = t.Add(10 * time.Minute) {
		wave := 1 + 0.3*math.Sin(2*math.Pi*float64(t.Hour()*60+t.Minute())/1440)
		total := math.Round(rate * 10 * wave)
		exp := expected * (1 + 0.15*math.Sin(2*math.Pi*float64(t.Hour()*60+t.Minute())/720))
		if t.Hour() == 6 && t.Minute() < 40 {
			continue // a gap
		}
		out = append(out, detector.CoursePoint{
			Time: t, Total: total, Bad: math.Round(total * exp * factor(t) * math.Exp(0.08*r.NormFloat64())),
			Expected: exp, Low: exp * 0.8, High: exp * 1.25,
		})
	}
	return out
}

// phases is the factor of a shift that begins at 09:15, is taken back at 11:02
// and stays a little higher from 12:30.
func phases(worse, tuned float64) func(time.Time) float64 {
	return func(t time.Time) float64 {
		switch {
		case t.Before(instant("2026-03-06T09:15:00Z")):
			return 1
		case t.Before(instant("2026-03-06T11:02:00Z")):
			return worse
		case t.Before(instant("2026-03-06T12:30:00Z")):
			return 1
		}
		return tuned
	}
}

func indicator(kind detector.Kind, metric string, labels ...string) detector.Indicator {
	i := detector.Indicator{Kind: kind, Metric: metric, Labels: map[string]string{}}
	for n := 0; n < len(labels); n += 2 {
		i.Labels[labels[n]] = labels[n+1]
	}
	return i
}

const duration = "http_server_request_duration_seconds"

// upgraded is the journal after an upgrade that went wrong and was mended.
func upgraded() *journal {
	placebos := &detector.FalseAlarms{Fired: 1, Placebos: 96}
	onset := &detector.Onset{At: instant("2026-03-06T09:15:00Z"), Earliest: instant("2026-03-06T09:05:00Z"), Latest: instant("2026-03-06T09:25:00Z")}
	causes := []detector.Cause{
		{Kind: detector.CauseBinary, Name: "dten-payments", Probability: 0.93, Why: []string{
			"the onset interval holds the switch of payments-2 (09:13) and no other change",
			"payments calls acme-pay, and checkout calls payments",
		}},
		{Kind: detector.CauseThirdParty, Name: "acme-pay", Probability: 0.04, Why: []string{"its first attempts failed no more often than before"}},
		{Kind: detector.CauseLoad, Probability: 0.02},
		{Kind: detector.CauseUnknown, Probability: 0.01},
	}
	control := "the same indicator before the upgrade, adjusted for load and time of day (10080 steps of history)"
	place := detector.Verdict{
		Upgrade: "dten-4.2.0", Indicator: indicator(detector.Latency, duration, "service", "checkout", "http_route", "/place"),
		State: detector.Clear, Since: instant("2026-03-06T11:33:00Z"), Direction: detector.Worse,
		Effect: &detector.Effect{What: "share of requests over 0.5 s", Before: 0.0102, After: 0.0231, Ratio: 2.26, Low: 1.71, High: 2.9},
		Quantiles: []detector.QuantileRange{
			{Q: 0.5, Before: detector.Interval{Lower: 0.05, Upper: 0.1}, After: detector.Interval{Lower: 0.05, Upper: 0.1}},
			{Q: 0.95, Before: detector.Interval{Lower: 0.1, Upper: 0.25}, After: detector.Interval{Lower: 0.25, Upper: 0.5}},
			{Q: 0.99, Before: detector.Interval{Lower: 0.25, Upper: 0.5}, After: detector.Interval{Lower: 0.5, Upper: 1}},
		},
		Onset: onset, Causes: causes, Control: control, FalseAlarms: placebos,
		Warnings:  []string{"3 steps of warm-up after restarts were left out"},
		Recovered: instant("2026-03-06T11:33:00Z"), Course: course(1, 640, 0.0102, phases(2.26, 1.04)),
	}
	retries := detector.Verdict{
		Upgrade: "dten-4.2.0", Indicator: indicator(detector.Retry, "third_party_retries_total", "service", "payments", "peer", "acme-pay"),
		State: detector.Undecided, Since: instant("2026-03-06T11:20:00Z"), Direction: detector.Worse,
		Effect: &detector.Effect{What: "retries per call", Before: 0.0208, After: 0.912, Ratio: 43.8, Low: 39.2, High: 49},
		Onset:  onset, Causes: causes, Control: control, FalseAlarms: placebos,
		Recovered: instant("2026-03-06T11:20:00Z"), Course: course(2, 210, 0.0208, phases(43.8, 1.3)),
	}
	cart := place
	cart.Indicator = indicator(detector.Error, "http_requests_total", "service", "gateway", "http_route", "/cart")
	cart.State, cart.Recovered, cart.Since = detector.Regressed, time.Time{}, instant("2026-03-06T10:40:00Z")
	cart.Effect = &detector.Effect{What: "share of failed requests", Before: 0.0012, After: 0.0016, Ratio: 1.33, Low: 1.11, High: 1.6}
	cart.Causes = []detector.Cause{{Kind: detector.CauseThirdParty, Name: "geo-api", Probability: 0.61}, {Kind: detector.CauseUnknown, Probability: 0.39}}
	cart.Quantiles, cart.Warnings = nil, []string{"less than a day of history: the time of day is hardly known"}
	cart.Course = course(3, 2000, 0.0012, func(t time.Time) float64 {
		if t.After(onset.At) {
			return 1.33
		}
		return 1
	})
	better := place
	better.Indicator = indicator(detector.Latency, duration, "service", "catalog", "http_route", "/items")
	better.State, better.Direction, better.Recovered = detector.Improved, detector.Better, time.Time{}
	better.Since = instant("2026-03-06T10:20:00Z")
	better.Effect = &detector.Effect{What: "share of requests over 0.1 s", Before: 0.051, After: 0.034, Ratio: 0.67, Low: 0.61, High: 0.73}
	better.Causes = []detector.Cause{{Kind: detector.CauseBinary, Name: "dten-checkout", Probability: 0.55}, {Kind: detector.CauseUnknown, Probability: 0.45}}
	better.Quantiles, better.Course = nil, nil
	verdicts := []detector.Verdict{better, cart, place, retries}
	for n := range 9 {
		verdicts = append(verdicts, detector.Verdict{
			Indicator: indicator(detector.Latency, duration, "service", "catalog", "http_route", fmt.Sprintf("/page/%d", n)),
			State:     detector.Clear, Since: instant("2026-03-06T12:10:00Z"), FalseAlarms: placebos, Control: control,
			Effect: &detector.Effect{What: "share of requests over 0.1 s", Before: 0.05, After: 0.05, Ratio: 1, Low: 0.97, High: 1.03},
		})
	}
	verdicts = append(verdicts, detector.Verdict{
		Indicator: indicator(detector.Latency, duration, "service", "gateway", "http_route", "/admin"),
		State:     detector.Undecided, Missing: "the effect is known to x0.61 to x1.80 only; a margin of 5% needs more requests", DecidedIn: 93600,
		Effect: &detector.Effect{What: "share of requests over 0.5 s", Before: 0.01, After: 0.011, Ratio: 1.05, Low: 0.61, High: 1.8},
	}, detector.Verdict{
		Indicator: indicator(detector.Error, "http_requests_total", "service", "ledger"), State: detector.Undecided, Missing: "no comparable data since the upgrade",
	})
	shift := func(at string, v *detector.Verdict) detector.Event {
		return detector.Event{Time: instant(at), Event: detector.EventShift, Upgrade: "dten-4.2.0", Indicator: &v.Indicator}
	}
	return &journal{
		upgrade: detector.Upgrade{
			ID: "dten-4.2.0", Package: "Full-upgrade-package-dten.zip", Source: "build-info",
			StartedAt: instant("2026-03-06T09:00:00Z"), FinishedAt: instant("2026-03-06T09:26:00Z"),
			Binaries: []detector.Binary{
				{Name: "dten-checkout", From: "4.1.3", To: "4.2.0", Instances: []detector.Deployment{{Instance: "c-1", At: instant("2026-03-06T09:20:00Z")}, {Instance: "c-2", At: instant("2026-03-06T09:26:00Z")}}},
				{Name: "dten-payments", From: "4.1.3", To: "4.2.0", Flags: []string{"payments-backoff"}, Instances: []detector.Deployment{{Instance: "p-1", At: instant("2026-03-06T09:00:00Z")}, {Instance: "p-2", At: instant("2026-03-06T09:13:00Z")}}},
			},
		},
		verdicts: verdicts,
		events: []detector.Event{
			shift("2026-03-06T09:38:00Z", &retries), shift("2026-03-06T09:41:00Z", &place),
			shift("2026-03-06T09:55:00Z", &place), shift("2026-03-06T10:40:00Z", &cart), shift("2026-03-06T10:20:00Z", &better),
			{Time: instant("2026-03-06T11:33:00Z"), Event: detector.EventRecovered, Indicator: &place.Indicator},
		},
		alerts: []detector.Alert{{
			Key: "k", State: detector.AlertResolved, Cause: causes[0], Root: place, Binaries: []detector.Binary{{Name: "dten-payments", From: "4.1.3", To: "4.2.0"}},
			Flags: []string{"payments-backoff"}, StartsAt: instant("2026-03-06T09:41:00Z"), EndsAt: instant("2026-03-06T11:34:00Z"),
		}},
		toggles: []detector.Toggle{
			{ID: "3", Flag: "other", Before: "a", After: "b", Actor: "eve", At: instant("2026-03-06T10:00:00Z"), State: detector.ToggleVerified, Upgrade: "another"},
			{
				ID: "1", Flag: "payments-backoff", Before: "new", After: "legacy", Actor: "ana", Reason: "retries of acme-pay are 44 times what they were",
				At: instant("2026-03-06T11:02:00Z"), Updated: instant("2026-03-06T11:33:00Z"), Incident: "INC-1042", Upgrade: "dten-4.2.0",
				State: detector.ToggleRecovered, Evidence: "seen through OpenFeature at 11:02:04; 2 indicators back within the margin after 31 min",
			},
			{
				ID: "2", Flag: "payments-backoff", Before: "legacy", After: "tuned", Actor: "ana", Reason: "the compromise: less jitter, 3 attempts",
				At: instant("2026-03-06T12:30:00Z"), Updated: instant("2026-03-06T12:30:05Z"), State: detector.ToggleVerified, Evidence: "seen through OpenFeature at 12:30:05",
			},
		},
		flips: []detector.Flip{
			{Flag: "payments-backoff", Variant: "legacy", Before: "new", At: instant("2026-03-06T11:02:00Z"), Ours: true},
			{Flag: "gateway-cache", Variant: "off", Before: "on", At: instant("2026-03-06T13:40:00Z"), Actor: "flagd"},
		},
	}
}

// harmless is the journal after an upgrade that changed nothing.
func harmless() *journal {
	j := upgraded()
	j.alerts, j.toggles, j.flips, j.events = nil, nil, nil, nil
	var clear []detector.Verdict
	for _, v := range j.verdicts {
		if v.State == detector.Clear && v.Recovered.IsZero() {
			clear = append(clear, v)
		}
	}
	j.verdicts = clear
	return j
}
