package main

import (
	"fmt"
	"io"

	"aftershock/bench/fleet"
)

// cut is a row of the tables on attribution: some worlds, and some of their shifts.
type cut struct {
	name string
	of   []result
	has  func(r *result, s *fleet.Shifted) bool // s is nil for the world as a whole
}

func all(*result, *fleet.Shifted) bool { return true }

// cuts are the rows for one run: all, by roll-out, by the number of changed binaries
// and by what went on in guilty ones beside the fault.
func cuts(results []result) []cut {
	few := func(least, most int) func(*result, *fleet.Shifted) bool {
		return func(r *result, _ *fleet.Shifted) bool {
			n := len(r.record.Binaries)
			return n >= least && n <= most
		}
	}
	return []cut{
		{"all", results, all},
		{"one after the other", results, func(r *result, _ *fleet.Shifted) bool { return !together(r) }},
		{"all at once", results, func(r *result, _ *fleet.Shifted) bool { return together(r) }},
		{"2 binaries", results, few(0, 2)},
		{"3 binaries", results, few(3, 3)},
		{"4 binaries", results, few(4, 4)},
		{"5 binaries", results, few(5, 5)},
		{"6 and more", results, few(6, 99)},
		{"nothing beside", results, func(r *result, _ *fleet.Shifted) bool { return fleet.Guilty(r.kind) && len(r.answer.Besides) == 0 }},
		{"trouble beside", results, func(r *result, _ *fleet.Shifted) bool { return fleet.Guilty(r.kind) && len(r.answer.Besides) > 0 }},
	}
}

// together says whether all binaries went out in the same minute.
func together(r *result) bool {
	for _, b := range r.record.Binaries {
		if !b.DeployedAt.Equal(r.record.Binaries[0].DeployedAt) {
			return false
		}
	}
	return true
}

// attribution prints how well causes are told: in guilty worlds, how often a binary is
// blamed in innocent ones, and how far the probabilities can be believed.
func attribution(out io.Writer, rows []cut, md bool) {
	fmt.Fprintln(out)
	print(out, guilty(rows), md)
	fmt.Fprintln(out)
	print(out, innocent(rows), md)
	fmt.Fprintln(out)
	print(out, believed(rows), md)
}

func guilty(cuts []cut) [][]string {
	rows := [][]string{append([]string{"guilty worlds", "shifts", "top-1", "first binary", "top-3", "names one", "right then"}, rivalNames[:]...)}
	for _, c := range cuts {
		var b blame
		for i := range c.of {
			b.add(&c.of[i], c.has)
		}
		if b.top1.all == 0 {
			continue
		}
		row := []string{c.name, fmt.Sprint(b.top1.all)}
		for _, p := range append([]part{b.top1, b.first, b.top3, b.names, b.right}, b.rivals[:]...) {
			row = append(row, percent(p))
		}
		rows = append(rows, row)
	}
	return rows
}

// innocent has a row for each cut, and after the first, of all worlds, one for each kind.
func innocent(cuts []cut) [][]string {
	rows := [][]string{append([]string{"innocent worlds", names[0]}, rivalNames[:]...)}
	add := func(name string, of []result, has func(r *result) bool) {
		var w wrong
		for i := range of {
			if r := &of[i]; !fleet.Guilty(r.kind) && has(r) {
				w.add(r)
			}
		}
		if w[0].all == 0 {
			return
		}
		row := []string{name}
		for _, p := range w {
			row = append(row, percent(p))
		}
		rows = append(rows, row)
	}
	for n, c := range cuts {
		add(c.name, c.of, func(r *result) bool { return c.has(r, nil) })
		for _, kind := range fleet.Kinds() {
			if n == 0 {
				add(kind, c.of, func(r *result) bool { return r.kind == kind })
			}
		}
	}
	return rows
}

// believed is the calibration error of each cut's worlds, guilty and innocent.
func believed(cuts []cut) [][]string {
	rows := [][]string{{"expected calibration error", "leading cause", "where it is a binary", "all causes"}}
	for _, c := range cuts {
		var s score
		worlds := 0
		for i := range c.of {
			if r := &c.of[i]; c.has(r, nil) {
				s.add(r, 0)
				worlds++
			}
		}
		if worlds > 0 {
			rows = append(rows, []string{c.name, s.sure.row(), s.named.row(), s.every.row()})
		}
	}
	return rows
}

func (c *calibration) row() string {
	n := 0
	for _, b := range c {
		n += b.all
	}
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f (of %d)", c.error(), n)
}
