package inventory

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"aftershock/upgrades/preflight/version"
)

// Step is one step of a route.
type Step struct {
	From, To string
	Path     Path
}

// ErrUnknownProduct is what Route gives for a product that the matrix doesn't have: of it
// nothing can be said.
var ErrUnknownProduct = errors.New("the matrix has no such product")

// NoRoute is why one can't get from one version to another.
type NoRoute struct {
	Product, From, To string
	// Reached is the version nearest to To that can be reached, "" where no path
	// begins at From.
	Reached string
}

func (e *NoRoute) Error() string {
	if e.Reached == "" {
		return fmt.Sprintf("no known path of %s begins at %s", e.Product, e.From)
	}
	return fmt.Sprintf("no known path leads %s from %s to %s: %s is as far as one gets", e.Product, e.From, e.To, e.Reached)
}

// Route gives the fewest steps from one version of a product to another; of as many, those
// with the shorter downtime, then those by the newest versions. No step is needed from a version
// to itself.
//
// The error is ErrUnknownProduct, a *NoRoute, or says which version can't be read.
func (p Paths) Route(product, from, to string) ([]Step, error) {
	o, ok := p.Product(product)
	if !ok {
		return nil, ErrUnknownProduct
	}
	a, err := version.Parse(o.scheme, from)
	if err != nil {
		return nil, fmt.Errorf("the version to go from: %w", err)
	}
	b, err := version.Parse(o.scheme, to)
	if err != nil {
		return nil, fmt.Errorf("the version to go to: %w", err)
	}
	if a.Compare(b) == 0 {
		return nil, nil
	}
	s := search{product: o, to: b, cost: map[int]reach{}}
	s.nodes = append(s.nodes, a)
	for _, r := range o.releases {
		if r.Compare(a) != 0 && r.Compare(b) != 0 {
			s.nodes = append(s.nodes, r)
		}
	}
	s.nodes = append(s.nodes, b)
	return s.run()
}

// reach is how a version was reached.
type reach struct {
	steps    int
	downtime time.Duration
	before   int
	path     int
}

// search goes through the versions in order of steps and downtime.
type search struct {
	product Product
	to      version.Version
	nodes   []version.Version // the first is where it begins, the last where it ends
	cost    map[int]reach
}

func (s *search) run() ([]Step, error) {
	goal := len(s.nodes) - 1
	into := make([][]int, len(s.product.Paths)) // the versions that each path leads to
	for i, p := range s.product.Paths {
		for n := goal; n >= 0; n-- { // newest first
			if p.to.Allows(s.nodes[n]) {
				into[i] = append(into[i], n)
			}
		}
	}
	s.cost[0] = reach{before: -1}
	for layer := []int{0}; len(layer) > 0; {
		if _, done := s.cost[goal]; done {
			return s.route(goal), nil
		}
		var next []int
		for _, n := range layer {
			for i, p := range s.product.Paths {
				if !p.from.Allows(s.nodes[n]) {
					continue
				}
				for _, m := range into[i] {
					if s.improve(n, m, i) {
						next = append(next, m)
					}
				}
			}
		}
		layer = next
		slices.SortFunc(layer, func(a, b int) int { return b - a }) // newest first
		layer = slices.Compact(layer)
	}
	none := &NoRoute{Product: s.product.Name, From: s.nodes[0].String(), To: s.to.String()}
	var best version.Version
	for n := range s.cost {
		v := s.nodes[n]
		if n != 0 && v.Compare(s.to) < 0 && (best.IsZero() || v.Compare(best) > 0) {
			best = v
		}
	}
	none.Reached = best.String()
	return nil, none
}

// improve takes a step if its end wasn't reached yet, or with as many steps and a longer
// downtime; it says whether the end is new.
func (s *search) improve(from, to, path int) bool {
	p := s.product.Paths[path]
	if c := s.nodes[from].Compare(s.nodes[to]); c == 0 || c > 0 && !p.Downgrade {
		return false
	}
	now := s.cost[from]
	r := reach{now.steps + 1, now.downtime + time.Duration(p.Needs.Downtime), from, path}
	old, ok := s.cost[to]
	if !ok || old.steps == r.steps && r.downtime < old.downtime {
		s.cost[to] = r
	}
	return !ok
}

func (s *search) route(goal int) []Step {
	var steps []Step
	for n := goal; s.cost[n].before >= 0; n = s.cost[n].before {
		r := s.cost[n]
		steps = append(steps, Step{s.nodes[r.before].String(), s.nodes[n].String(), s.product.Paths[r.path]})
	}
	slices.Reverse(steps)
	return steps
}
