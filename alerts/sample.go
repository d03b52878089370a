package alerts

import (
	"context"
	"strings"
	"time"

	"aftershock/alerts/notify"
	"aftershock/detector"
	"aftershock/detector/words"
)

// testMark begins the first line of a sample.
const testMark = "[TEST] "

// Test tries once to bring the receiver an alert that is marked as a test and
// tells of nothing that happened; with resolved, the end of it. Its label test
// is true.
func (s *Sender) Test(ctx context.Context, receiver string, now time.Time, resolved bool) error {
	return s.deliver(ctx, receiver, sample(receiver, now, resolved), func(m *notify.Message) {
		story := strings.TrimPrefix(m.Text, m.Headline)
		m.Headline = words.Clean(testMark+m.Headline, words.HeadlineLen)
		m.Text = m.Headline + "\n\nThis is a test of the receiver " + receiver + ": nothing has happened, and what follows is made up.\n\n" +
			strings.TrimLeft(story, "\n")
		m.Labels["test"] = "true"
		m.Annotations["summary"], m.Annotations["description"] = m.Headline, m.Text
	})
}

// sample is an alert that has one of everything. Its key is that of all tests of
// the receiver, so that the end of one finds its beginning; its revision tells it
// from those before it.
func sample(receiver string, now time.Time, resolved bool) detector.Alert {
	now = now.UTC().Truncate(time.Second)
	onset := now.Add(-20 * time.Minute)
	cause := detector.Cause{
		Kind: detector.CauseBinary, Name: "example-payments", Probability: 0.93,
		Why: []string{"the onset interval holds the switch of example-payments-2 and no other change"},
	}
	a := detector.Alert{
		Key: "test/" + receiver, Upgrade: "example-1.1.0", State: detector.AlertFiring, Cause: cause,
		Root: detector.Verdict{
			Upgrade: "example-1.1.0", State: detector.Regressed, Direction: detector.Worse,
			Indicator: detector.Indicator{
				Kind: detector.Latency, Metric: "http_server_request_duration_seconds",
				Labels: map[string]string{"service": "example-checkout", "http_route": "/place"},
			},
			Effect: &detector.Effect{What: "share of requests over 0.5 s", Before: 0.0102, After: 0.0231, Ratio: 2.26, Low: 1.71, High: 2.90},
			Quantiles: []detector.QuantileRange{
				{Q: 0.99, Before: detector.Interval{Lower: 0.25, Upper: 0.5}, After: detector.Interval{Lower: 0.5, Upper: 1}},
			},
			Onset:       &detector.Onset{At: onset, Earliest: onset.Add(-5 * time.Minute), Latest: onset.Add(5 * time.Minute)},
			Causes:      []detector.Cause{cause, {Kind: detector.CauseThirdParty, Name: "example-bank", Probability: 0.07}},
			FalseAlarms: &detector.FalseAlarms{Fired: 1, Placebos: 96},
		},
		Binaries: []detector.Binary{{
			Name: "example-payments", From: "1.0.0", To: "1.1.0",
			Inside: &detector.Inside{Summary: "example-payments 1.0.0 -> 1.1.0: backoff.New 50ms -> 20ms"},
		}},
		Flags:    []string{"example-flag"},
		StartsAt: now, UpdatedAt: now, Revision: now.Unix(),
	}
	if resolved {
		a.State, a.EndsAt, a.Root.Recovered = detector.AlertResolved, now, now
	}
	return a
}
