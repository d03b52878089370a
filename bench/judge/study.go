package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"aftershock/bench/fleet"
)

// run plays so many worlds of a plan of kinds in a setting.
func (s setting) run(plan []string, worlds int, seed uint64, workers int) ([]result, error) {
	return playAll(worlds, workers, func(i int) (result, error) {
		return s.play(plan[i%len(plan)], seed+uint64(i/len(plan))*100+uint64(i%len(plan)))
	})
}

// covariates reads what telemetry shall tell, separated by commas.
func covariates(text string) (c fleet.Covariates, err error) {
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		switch name {
		case "graph":
			c.Graph = true
		case "first-attempts":
			c.FirstAttempts = true
		case "builds":
			c.Builds = true
		default:
			return c, fmt.Errorf("there is no covariate %q; there are graph, first-attempts, builds", name)
		}
	}
	return c, nil
}

// study measures attribution alone: over the usual worlds, over those with more
// changed binaries, with two culprits, and over the usual worlds again with more and
// with less in the telemetry.
func study(out io.Writer, worlds int, seed uint64, workers int, md bool) error {
	usual := setting{covariates: fleet.Usual}
	var rows []cut
	for _, s := range []struct {
		setting
		kinds []string
		cuts  func([]result) []cut
	}{
		{usual, schedule(), cuts},
		{setting{6, fleet.Usual}, schedule(), crowds},
		{usual, []string{fleet.TwoCulprits}, pairs},
		{setting{0, fleet.Covariates{Graph: true, FirstAttempts: true, Builds: true}}, schedule(), one("first attempts told")},
		{setting{0, fleet.Covariates{FirstAttempts: true, Builds: true}}, schedule(), one("the same, no graph")},
		{setting{0, fleet.Covariates{Builds: true}}, schedule(), one("neither graph nor first attempts")},
		{setting{0, fleet.Covariates{Graph: true}}, schedule(), one("neither builds nor first attempts")},
	} {
		results, err := s.run(s.kinds, worlds, seed, workers)
		if err != nil {
			return err
		}
		rows = append(rows, s.cuts(results)...)
	}
	attribution(out, rows, md)
	return nil
}

// crowds are the rows of worlds in which as many as six binaries change.
func crowds(results []result) []cut {
	return slices.DeleteFunc(cuts(results), func(c cut) bool { return c.name != "5 binaries" && c.name != "6 and more" })
}

// pairs are the rows of worlds with two culprits.
func pairs(results []result) []cut {
	by := func(n int) func(*result, *fleet.Shifted) bool {
		return func(_ *result, s *fleet.Shifted) bool { return s != nil && len(s.Culprits) == n }
	}
	return []cut{{"two culprits", results, all}, {"moved by one of them", results, by(1)}, {"moved by both", results, by(2)}}
}

// one is a single row.
func one(name string) func([]result) []cut {
	return func(results []result) []cut { return []cut{{name, results, all}} }
}
