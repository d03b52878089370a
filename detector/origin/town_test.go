package origin

import (
	"math"
	"math/rand/v2"
	"time"

	"aftershock/detector"
)

// What the made-up town has: shop calls cart and pay, cart calls db, pay calls
// bank and db.
var (
	calls = map[string]map[string]float64{
		"shop": {"cart": 0.8, "pay": 0.3}, "cart": {"db": 2}, "pay": {"bank": 1, "db": 1}, "bank": {}, "db": {},
	}
	self = map[string]float64{"shop": 0.02, "cart": 0.01, "pay": 0.015, "bank": 0.1, "db": 0.004}
	// above are callers before callees.
	above = []string{"shop", "cart", "pay", "bank", "db"}
)

// town is a week's end of rows: two days of normal ones, two just before, and
// four since the onset.
type town struct {
	seed   uint64
	slower map[string]float64 // seconds added in each request since the onset
	failed map[string]float64 // share of requests that fail by themselves since then
	busier map[string]float64 // factor on the requests that come from outside
	drift  map[string]float64 // factor on a service's own seconds in all rows after the normal ones
	daily  float64            // how much own seconds swing over the day
	gaps   float64            // share of values that are missing
}

const (
	normalRows = 576
	onsetRow   = normalRows + 2
	allRows    = onsetRow + 4
)

func (w town) question(metric Metric) *Question {
	draw := rand.New(rand.NewPCG(w.seed, 7))
	q := &Question{Normal: normalRows, Onset: onsetRow, Graph: &detector.Graph{Edges: edges(calls)}, Target: Target{"shop", metric, "Average"}}
	columns := map[key][]float64{}
	noise := map[string]float64{}
	for i := range allRows {
		at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 5 * time.Minute)
		q.Times = append(q.Times, at)
		requests, latency, failing := map[string]float64{}, map[string]float64{}, map[string]float64{}
		for _, s := range above {
			if s == "shop" {
				requests[s] = math.Round(500 + 20*draw.NormFloat64())
			}
			if f := w.busier[s]; f > 0 && i >= onsetRow {
				requests[s] = math.Round(max(requests[s], 300) * f)
			}
			for c, n := range calls[s] {
				requests[c] += math.Round(n * requests[s])
			}
		}
		for n := range above {
			s := above[len(above)-1-n]
			noise[s] = 0.6*noise[s] + 0.08*draw.NormFloat64()
			latency[s] = self[s] * math.Exp(noise[s]+w.daily*math.Sin(2*math.Pi*float64(at.Hour())/24))
			failing[s] = 0.001
			if f := w.drift[s]; f > 0 && i >= normalRows {
				latency[s] *= f
			}
			if i >= onsetRow {
				latency[s] += w.slower[s]
				failing[s] += w.failed[s]
			}
			for c, n := range calls[s] {
				latency[s] += n * latency[c]
				failing[s] += n * failing[c]
			}
			failures := min(requests[s], math.Round(requests[s]*failing[s]+draw.Float64()-0.5))
			for k, v := range map[key]float64{
				{s, Latency, "Average"}: latency[s], {s, Latency, "p99"}: latency[s] * 3 * math.Exp(0.2*draw.NormFloat64()),
				{s, Requests, "Sum"}: requests[s], {s, Availability, "Average"}: 1 - max(0, failures)/requests[s],
			} {
				columns[k] = append(columns[k], v)
			}
		}
	}
	for _, s := range above {
		for _, k := range []key{{s, Latency, "Average"}, {s, Latency, "p99"}, {s, Requests, "Sum"}, {s, Availability, "Average"}} {
			for i := range columns[k] {
				if draw.Float64() < w.gaps {
					columns[k][i] = math.NaN()
				}
			}
			q.Series = append(q.Series, Series{k.service, k.metric, k.stat, columns[k]})
		}
	}
	return q
}

func edges(calls map[string]map[string]float64) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for from, to := range calls {
		out[from] = map[string]bool{}
		for c := range to {
			out[from][c] = true
		}
	}
	return out
}
