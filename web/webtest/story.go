package webtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
)

// UpgradeID is the upgrade of the story.
const UpgradeID = "dten-4.2.0"

// Indicator makes an indicator from label names and values in turn.
func Indicator(kind detector.Kind, metric string, labels ...string) detector.Indicator {
	i := detector.Indicator{Kind: kind, Metric: metric, Labels: map[string]string{}}
	for n := 0; n+1 < len(labels); n += 2 {
		i.Labels[labels[n]] = labels[n+1]
	}
	return i
}

const duration = "http_server_request_duration_seconds"

// Story is an upgrade three hours ago that went wrong: four indicators
// regressed, dten-payments is blamed for three of them by a firing alert, and a
// third party for the fourth.
func Story(now time.Time) journal.Tick {
	start := now.UTC().Truncate(time.Minute).Add(-3 * time.Hour)
	onset := &detector.Onset{At: start.Add(15 * time.Minute), Earliest: start.Add(5 * time.Minute), Latest: start.Add(25 * time.Minute)}
	u := detector.Upgrade{
		ID: UpgradeID, Package: "Full-upgrade-package-dten.zip", Source: "build-info", StartedAt: start, FinishedAt: start.Add(26 * time.Minute),
		Binaries: []detector.Binary{
			{Name: "dten-checkout", From: "4.1.3", To: "4.2.0", Instances: []detector.Deployment{{Instance: "c-1", At: start.Add(20 * time.Minute)}, {Instance: "c-2", At: start.Add(26 * time.Minute)}}},
			{Name: "dten-payments", From: "4.1.3", To: "4.2.0", Flags: []string{"payments-backoff"}, Instances: []detector.Deployment{{Instance: "p-1", At: start}, {Instance: "p-2", At: start.Add(13 * time.Minute)}}},
		},
	}
	causes := []detector.Cause{
		{Kind: detector.CauseBinary, Name: "dten-payments", Probability: 0.93, Why: []string{"the onset interval holds the switch of p-2 and no other change", "payments calls acme-pay, and checkout calls payments"}},
		{Kind: detector.CauseThirdParty, Name: "acme-pay", Probability: 0.04, Why: []string{"its first attempts failed no more often than before"}},
		{Kind: detector.CauseLoad, Probability: 0.02},
		{Kind: detector.CauseUnknown, Probability: 0.01},
	}
	worse := func(i detector.Indicator, e detector.Effect, causes []detector.Cause) detector.Verdict {
		return detector.Verdict{
			Upgrade: UpgradeID, Indicator: i, State: detector.Regressed, Since: start.Add(40 * time.Minute), Direction: detector.Worse,
			Effect: &e, Onset: onset, Causes: causes, Course: Course(onset.At, now, e),
			Control:     "the same indicator before the upgrade, adjusted for load and time of day",
			FalseAlarms: &detector.FalseAlarms{Fired: 1, Placebos: 96},
			Warnings:    []string{"3 steps of warm-up after restarts were left out"},
		}
	}
	place := worse(Indicator(detector.Latency, duration, "service", "checkout", "http_route", "/place"),
		detector.Effect{What: "share of requests over 0.5 s", Before: 0.0102, After: 0.0231, Ratio: 2.26, Low: 1.71, High: 2.9}, causes)
	spread(&place)
	retries := worse(Indicator(detector.Retry, "third_party_retries_total", "service", "payments", "peer", "acme-pay"),
		detector.Effect{What: "retries per call", Before: 0.0208, After: 0.912, Ratio: 43.8, Low: 39.2, High: 49}, causes)
	pay := worse(Indicator(detector.Latency, duration, "service", "payments", "http_route", "/pay"),
		detector.Effect{What: "share of requests over 0.25 s", Before: 0.021, After: 0.064, Ratio: 3.05, Low: 2.4, High: 3.8}, causes)
	cart := worse(Indicator(detector.Error, "http_requests_total", "service", "gateway", "http_route", "/cart"),
		detector.Effect{What: "share of failed requests", Before: 0.0012, After: 0.0016, Ratio: 1.33, Low: 1.11, High: 1.6},
		[]detector.Cause{{Kind: detector.CauseThirdParty, Name: "geo-api", Probability: 0.61}, {Kind: detector.CauseUnknown, Probability: 0.39}})
	verdicts := []detector.Verdict{place, retries, pay, cart}
	for n := range 16 {
		verdicts = append(verdicts, detector.Verdict{
			Upgrade: UpgradeID, Indicator: Indicator(detector.Latency, duration, "service", "catalog", "http_route", fmt.Sprintf("/page/%d", n)),
			State: detector.Clear, Since: start.Add(time.Hour), Direction: detector.Worse,
			Effect: &detector.Effect{What: "share of requests over 0.1 s", Before: 0.05, After: 0.05, Ratio: 1, Low: 0.97, High: 1.03},
		})
	}
	for n := range 5 {
		verdicts = append(verdicts, detector.Verdict{
			Upgrade: UpgradeID, Indicator: Indicator(detector.Error, "http_requests_total", "service", "gateway", "http_route", fmt.Sprintf("/admin/%d", n)),
			State: detector.Undecided, Since: start, Missing: "a margin of 5% needs more requests", DecidedIn: 93600,
		})
	}
	alert := detector.Alert{
		Key: UpgradeID + "/dten-payments", Upgrade: UpgradeID, State: detector.AlertFiring, Cause: causes[0],
		Root: short(place), Others: []detector.Verdict{short(retries), short(pay)}, Binaries: u.Binaries[1:], Flags: []string{"payments-backoff"},
		StartsAt: start.Add(41 * time.Minute), UpdatedAt: start.Add(50 * time.Minute), Revision: 2,
	}
	geo := detector.Alert{
		Key: UpgradeID + "/geo-api", Upgrade: UpgradeID, State: detector.AlertFiring, Cause: cart.Causes[0], Root: short(cart),
		StartsAt: start.Add(100 * time.Minute), UpdatedAt: start.Add(100 * time.Minute), Revision: 1,
	}
	before := detector.Upgrade{
		ID: "dten-4.1.3", StartedAt: start.Add(-21 * 24 * time.Hour), FinishedAt: start.Add(-21*24*time.Hour + time.Hour),
		ClosedAt: start.Add(-14 * 24 * time.Hour), Binaries: []detector.Binary{{Name: "dten-payments", From: "4.1.2", To: "4.1.3"}},
	}
	var events []detector.Event
	for n, v := range verdicts[:4] {
		events = append(events, detector.Event{
			Time: start.Add(time.Duration(38+n) * time.Minute), Event: detector.EventShift, Upgrade: UpgradeID, Indicator: &v.Indicator,
			Direction: v.Direction, Effect: v.Effect, Onset: v.Onset, Causes: v.Causes,
		})
	}
	return journal.Tick{
		Time: now, Upgrades: []detector.Upgrade{before, u}, Verdicts: verdicts, Events: events, Alerts: []detector.Alert{alert, geo},
		Jobs: []journal.Job{{Kind: "alert", Key: "oncall " + alert.Key + " 2", Payload: json.RawMessage(`{"secret":"payload-of-a-job"}`)}},
	}
}

// spread gives a verdict a longer tail, from the bucket of 0.5 s on.
func spread(v *detector.Verdict) {
	v.Distribution = &detector.Distribution{
		Bounds: []float64{0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5},
		Before: []float64{0.31, 0.402, 0.21, 0.0678, 0.0076, 0.002, 0.0005, 0.0001},
		After:  []float64{0.29, 0.392, 0.215, 0.0799, 0.0131, 0.0072, 0.0022, 0.0006},
	}
	v.Quantiles = []detector.QuantileRange{
		{Q: 0.5, Before: detector.Interval{Lower: 0.025, Upper: 0.05}, After: detector.Interval{Lower: 0.025, Upper: 0.05}},
		{Q: 0.99, Before: detector.Interval{Lower: 0.5, Upper: 1}, After: detector.Interval{Lower: 1, Upper: 2.5}},
		{Q: 0.9999, Before: detector.Interval{Lower: 1, Upper: 2.5}, After: detector.Interval{Lower: 2.5, Upper: math.Inf(1)}},
	}
}

// short leaves courses and distributions with the verdicts, as the watch does in alerts.
func short(v detector.Verdict) detector.Verdict {
	v.Course, v.Distribution = nil, nil
	return v
}

// Course is six hours of an effect that begins at onset, with a gap.
func Course(onset, now time.Time, e detector.Effect) (out []detector.CoursePoint) {
	for t := onset.Add(-3 * time.Hour); t.Before(now); t = t.Add(3 * time.Minute) {
		if d := onset.Sub(t); d > 90*time.Minute && d < 110*time.Minute {
			continue
		}
		wave := math.Sin(float64(t.Unix()) / 2400)
		expected, share := e.Before*(1+0.12*wave), e.Before*(1+0.12*wave+0.1*math.Sin(float64(t.Unix())*1.7))
		if t.After(onset) {
			share *= e.After / e.Before
		}
		total := math.Round(900 * (1 + 0.2*wave))
		out = append(out, detector.CoursePoint{Time: t, Total: total, Bad: total * share, Expected: expected, Low: expected * 0.8, High: expected * 1.25})
	}
	return out
}

// Tell puts down the story in the journal.
func (s *Server) Tell(t testing.TB, in journal.Tick) {
	t.Helper()
	if err := s.Journal.Commit(context.Background(), in); err != nil {
		t.Fatal(err)
	}
}
