package detector

import (
	"fmt"
	"slices"
	"time"
)

// moved is one indicator of an upgrade's watch.
type moved struct {
	track *Track
	trial *Trial
}

// scene is what the causes of one upgrade's shifts are judged on.
type scene struct {
	upgrade  *Upgrade
	graph    *Graph
	services map[string]map[string]bool // services of each binary
	flips    []Flip
	all      []moved
	now      time.Time
	cfg      *Config

	// What is the same for all shifts, found when it is first asked for.
	sights [2]map[int]*sight // worse, better: by index in all
	routes map[string]map[string]bool
	shared map[string]bool
}

// owns says whether the binary serves the indicator's service.
func (s *scene) owns(b Binary, i Indicator) bool {
	return b.Matches(i.Labels) || s.services[b.Name][i.Service()]
}

// reaches says whether the binary is on the indicator's call path. A retry
// indicator is its caller's own; where nobody knows who calls whom, every
// binary may be on the path.
func (s *scene) reaches(b Binary, i Indicator) bool {
	if s.owns(b, i) {
		return true
	}
	if i.Kind == Retry {
		return false
	}
	if !s.graph.Known() {
		return true
	}
	for service := range s.services[b.Name] {
		if s.graph.Reaches(i.Service(), service) {
			return true
		}
	}
	return false
}

// deployed is the window in which the binary went out.
func (s *scene) deployed(b Binary) (from, to time.Time) {
	from = s.upgrade.Time(b)
	to = from
	for _, d := range b.Instances {
		if d.At.After(to) {
			to = d.At
		}
	}
	return from, to
}

// maxSuspects bounds how many binaries are weighed for one shift.
const maxSuspects = 25

// suspects are the binaries that may have done it, as indices: on the call path,
// running by now, and, after a flip, gated by the flag or deployed since. When
// there are too many, those that serve the indicator come first.
func (s *scene) suspects(m *moved) []int {
	var out []int
	for k, b := range s.upgrade.Binaries {
		_, last := s.deployed(b)
		if !s.reaches(b, m.track.Indicator) || s.upgrade.Time(b).After(s.now) {
			continue
		}
		if last.After(m.trial.Treated) || hasBinary(m.trial.Gated, b.Name) {
			out = append(out, k)
		}
	}
	if len(out) > maxSuspects {
		rank := func(k int) int {
			if s.owns(s.upgrade.Binaries[k], m.track.Indicator) {
				return 0
			}
			return 1
		}
		slices.SortStableFunc(out, func(a, b int) int { return rank(a) - rank(b) })
		out = out[:maxSuspects]
		slices.Sort(out)
	}
	return out
}

// learnRoutes notes which routes each service's indicators tell, and which are
// told by several services: where names of routes go along the call path.
func (s *scene) learnRoutes() {
	if s.routes != nil {
		return
	}
	s.routes, s.shared = map[string]map[string]bool{}, map[string]bool{}
	by := map[string]string{}
	for _, m := range s.all {
		i := &m.track.Indicator
		service, route := i.Service(), i.Route()
		if s.routes[service] == nil {
			s.routes[service] = map[string]bool{}
		}
		s.routes[service][route] = true
		if route == "" {
			continue
		}
		if other, ok := by[route]; ok && other != service {
			s.shared[route] = true
		}
		by[route] = service
	}
}

// passes says whether requests of an indicator may come by a service: it is the
// indicator's own or called, directly or not, and, where names of routes go along
// the path, serves its route.
func (s *scene) passes(i Indicator, service string) bool {
	if i.Service() == service {
		return true
	}
	if i.Kind == Retry || s.graph.Known() && !s.graph.Reaches(i.Service(), service) {
		return false
	}
	s.learnRoutes()
	r := i.Route()
	routes := s.routes[service]
	return r == "" || !s.shared[r] || len(routes) == 0 || routes[""] || routes[r]
}

// share says in words which share the bound stands for.
func share(i Indicator, bound float64) string {
	switch i.Kind {
	case Latency:
		return fmt.Sprintf("share of requests over %.4g s", bound)
	case Retry:
		return "retries per call"
	default:
		return "share of failed requests"
	}
}
