package main

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"aftershock/detector"
)

// maxPast bounds how many steps are looked back at.
const maxPast = 100_000

// past reads what a service measured of itself and of its calls to a peer, up to
// the last step that the watch may have read.
func (d *daemon) past(ctx context.Context, service, peer string, back time.Duration, yield func(detector.Frame) error) error {
	w := d.cfg.Watch
	end := time.Now().Add(-w.Lag).Truncate(w.Step)
	back = min(back, maxPast*w.Step)
	return d.source.Past(ctx, end.Add(-back.Truncate(w.Step)), end, w.Step, about(service, peer), yield)
}

// about says which series are of a service or of its calls to a peer: those with
// the one or the other among their labels, as the indicators are told by them. What
// builds run is told for all.
func about(service, peer string) func(labels.Labels) bool {
	return func(ls labels.Labels) bool {
		found := tellsBuilds(ls)
		ls.Range(func(l labels.Label) {
			found = found || l.Value == service || l.Value == peer
		})
		return found
	}
}
