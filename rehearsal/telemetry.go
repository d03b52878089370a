package rehearsal

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"aftershock/detector"
)

// Reading takes the profile of a service's traffic from frames of telemetry: of the
// counters and histograms that count its requests the one that tells routes best.
type Reading struct {
	// Service chooses one of several; Parts is into how many the course is cut, 0 for
	// none; From and To bound the time, of which the rates are means.
	Service  string
	Parts    int
	From, To time.Time

	counters map[counter]*counted
}

// counter is a metric of a service.
type counter struct {
	service, metric string
	kind            detector.Kind
}

type counted struct {
	routes map[[2]string]*seen // by method and route
	parts  []float64
	total  float64
}

type seen struct {
	total, seconds, timed float64
	told                  bool // the method
}

// maxCounted bounds what hostile label values can cost.
const maxCounted = 20_000

// Take takes in a frame.
func (r *Reading) Take(f detector.Frame) {
	if !f.Time.After(r.From) || f.Time.After(r.To) {
		return
	}
	if r.counters == nil {
		r.counters = map[counter]*counted{}
	}
	for i := range f.Points {
		if p := &f.Points[i]; p.Total > 0 && p.Total < 1e12 && p.Indicator != nil {
			r.point(f.Time, p)
		}
	}
}

func (r *Reading) point(at time.Time, p *detector.Point) {
	in := p.Indicator
	if in.Kind == detector.Retry || in.Peer() != "" && in.Service() == "" || strings.Contains(in.Metric, "client") {
		return
	}
	method, route := endpoint(in.Labels)
	if route == "" || r.Service != "" && in.Service() != r.Service {
		return
	}
	key := counter{in.Service(), in.Metric, in.Kind}
	c := r.counters[key]
	if c == nil {
		if len(r.counters) >= maxCounted {
			return
		}
		c = &counted{routes: map[[2]string]*seen{}, parts: make([]float64, r.Parts)}
		r.counters[key] = c
	}
	s := c.routes[[2]string{method, route}]
	if s == nil {
		if len(c.routes) >= maxCounted {
			return
		}
		s = &seen{}
		c.routes[[2]string{method, route}] = s
	}
	s.told = s.told || tellsMethod(in.Labels)
	s.total += p.Total
	c.total += p.Total
	lower := 0.0
	for k, x := range p.Hist.Bounds {
		n := p.Hist.Counts[k]
		if middle := (lower + x) / 2; n > 0 && middle >= 0 {
			if math.IsInf(x, 1) {
				middle = lower
			}
			s.seconds += n * middle
			s.timed += n
		}
		lower = x
	}
	if r.Parts > 0 {
		part := int(float64(r.Parts) * float64(at.Sub(r.From)-1) / float64(r.To.Sub(r.From)))
		c.parts[max(0, min(part, r.Parts-1))] += p.Total
	}
}

// endpoint is the method and the path by which series tell a request, "" where they
// don't.
func endpoint(labels map[string]string) (method, route string) {
	for _, n := range []string{"http_route", "route", "handler", "path", "uri", "endpoint", "url_template"} {
		if v := labels[n]; strings.HasPrefix(v, "/") {
			route = v
			break
		}
		// Go's patterns have the method before the path.
		if m, v, ok := strings.Cut(labels[n], " "); ok && methods.MatchString(m) && strings.HasPrefix(v, "/") {
			method, route = m, v
			break
		}
	}
	for _, n := range []string{"http_request_method", "http_method", "method", "verb"} {
		if m := strings.ToUpper(labels[n]); methods.MatchString(m) {
			method = m
			break
		}
	}
	return cmp.Or(method, "GET"), route
}

// Profile is the traffic that was read. doubts are sentences on what it leaves out.
// The error says that there is none, or which services there are to choose from.
func (r *Reading) Profile() (p Profile, doubts []string, err error) {
	services := map[string]bool{}
	for k := range r.counters {
		services[k.service] = true
	}
	switch names := slices.Sorted(maps.Keys(services)); {
	case len(names) == 0 && r.Service != "":
		return p, nil, fmt.Errorf("no requests of %s by route from %s to %s", r.Service, r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
	case len(names) == 0:
		return p, nil, fmt.Errorf("no requests by route from %s to %s", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
	case len(names) > 1:
		return p, nil, fmt.Errorf("it has requests of %d services, choose one by --service: %s", len(names), strings.Join(names[:min(len(names), 20)], ", "))
	}
	key := r.best()
	c := r.counters[key]
	p.Service = key.service
	span := r.To.Sub(r.From).Seconds()
	timed, seconds := 0.0, 0.0
	for k, s := range c.routes {
		p.Routes = append(p.Routes, Route{Method: k[0], Route: k[1], Path: k[1], Rate: s.total / span, guessed: !s.told})
		timed += s.timed
		seconds += s.seconds
	}
	if timed > 0 {
		p.Concurrency = round(seconds / timed * c.total / span) // Little's law
	}
	sort.Slice(p.Routes, func(i, j int) bool {
		a, b := &p.Routes[i], &p.Routes[j]
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Method, b.Method)) < 0
	})
	if n := len(p.Routes); n > maxRoutes {
		p.Routes = p.Routes[:maxRoutes]
		doubts = append(doubts, fmt.Sprintf("of %d routes the %d with the most requests are taken, %.1f%% of all", n, maxRoutes, 100*p.Rate()*span/c.total))
	}
	for i := range p.Routes {
		p.Routes[i].Rate = round(p.Routes[i].Rate)
	}
	for _, x := range c.parts {
		p.Course = append(p.Course, round(x*float64(r.Parts)/c.total))
	}
	return p, doubts, nil
}

// best is the metric that tells routes best: a histogram before a counter, then the
// one with the most routes, the most requests, the first by name.
func (r *Reading) best() counter {
	keys := slices.Collect(maps.Keys(r.counters))
	return slices.MinFunc(keys, func(a, b counter) int {
		x, y := r.counters[a], r.counters[b]
		rank := func(k counter) int {
			if k.kind == detector.Latency {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(len(y.routes), len(x.routes)), cmp.Compare(y.total, x.total), cmp.Compare(a.metric, b.metric))
	})
}

// round keeps six digits: a profile is read by people.
func round(x float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(x)))-5)
	y := math.Round(x/unit) * unit
	if z := math.Round(y*1e9) / 1e9; z != 0 {
		return z
	}
	return y
}
