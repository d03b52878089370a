package main

import (
	"fmt"
	"slices"

	"aftershock/detector/origin"
)

// Who is measured.
const (
	ours = iota
	plain
)

var names = [...]string{ours: "aftershock", plain: "plain traversal, 3 sigma"}

// said is what was said of an issue.
type said struct {
	of     issue
	causes []origin.Cause
	ranked [len(names)][]string // services, the likeliest first
	silent [len(names)]bool
}

// run asks both of all issues and of the healthy windows.
func run(s *shop) ([]said, error) {
	var out []said
	add := func(normal *table, i issue) error {
		q, err := ask(s.graph, normal, &i)
		if err != nil {
			return err
		}
		causes, err := origin.Rank(q)
		if err != nil {
			return fmt.Errorf("%s %s: %w", i.part, i.name, err)
		}
		a := said{of: i, causes: causes}
		for _, c := range causes {
			if c.Service != "" {
				a.ranked[ours] = append(a.ranked[ours], c.Service)
			}
		}
		a.ranked[plain] = traverse(q)
		a.silent = [len(names)]bool{origin.Silent(causes), len(a.ranked[plain]) == 0}
		out = append(out, a)
		return nil
	}
	for _, i := range s.issues {
		if err := add(s.normal, i); err != nil {
			return nil, err
		}
	}
	normal, windows := s.healthy()
	for _, i := range windows {
		if err := add(normal, i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// score counts what was said of issues.
type score struct{ issues, first, three, silent, named int }

func (s *score) add(a *said, who int) {
	s.issues++
	at := slices.Index(a.ranked[who], a.of.root)
	if at == 0 {
		s.first++
	}
	if at >= 0 && at < 3 {
		s.three++
	}
	if a.silent[who] {
		s.silent++
	} else if at == 0 {
		s.named++
	}
}
