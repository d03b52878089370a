package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"aftershock/detector/origin"
	"aftershock/detector/words"
)

// published are figures that others have published on the latency issues of the
// test part: top-1, top-3 and the share of healthy cases that are passed over in
// silence. (Hardt et al., CLeaR 2024; IDI: Nagalapatti et al., ICLR 2025. Healthy
// cases are laid out otherwise there: the rest of the normal rows from five
// instants on, hours and more, for rows since an onset.)
var published = [][]string{
	{"traversal", "0.80", "0.80", "0.17"},
	{"IDI", "0.90", "0.90", ""},
	{"CIRCA", "0.60", "0.80", ""},
	{"ranked correlation", "0.40", "0.60", ""},
}

// group is a row of the table.
type group struct {
	part, kind string
	metric     origin.Metric
}

// groups are all that there are: by part and metric, then by kind.
func groups(all []said) []group {
	var out []group
	for _, a := range all {
		for _, kind := range []string{"", a.of.kind} {
			g := group{a.of.part, kind, a.of.target.Metric}
			if !slices.Contains(out, g) {
				out = append(out, g)
			}
		}
	}
	rank := func(g group) string { return fmt.Sprint(g.part == "healthy", g.part == "test", g.metric, g.kind) }
	slices.SortStableFunc(out, func(a, b group) int { return strings.Compare(rank(a), rank(b)) })
	return out
}

func (g group) has(a *said) bool {
	return a.of.part == g.part && a.of.target.Metric == g.metric && (g.kind == "" || a.of.kind == g.kind)
}

func report(out io.Writer, all []said, md bool) {
	rows := [][]string{{"", "part", "noticed in", "made by", "issues", "top-1", "top-3", "silent", "named and right"}}
	for who, name := range names {
		for _, g := range groups(all) {
			var s score
			for i := range all {
				if g.has(&all[i]) {
					s.add(&all[i], who)
				}
			}
			kind := g.kind
			if kind == "" {
				kind = "all"
			}
			row := []string{name, g.part, string(g.metric), kind, fmt.Sprint(s.issues)}
			if g.part == "healthy" {
				row[3] = "nothing"
				rows = append(rows, append(row, "", "", share(s.silent, s.issues), ""))
				continue
			}
			rows = append(rows, append(row, share(s.first, s.issues), share(s.three, s.issues), share(s.silent, s.issues), share(s.named, s.issues)))
		}
	}
	for _, p := range published {
		rows = append(rows, []string{p[0] + ", published", "test", string(origin.Latency), "all", "", p[1], p[2], "", ""})
		if p[3] != "" {
			rows = append(rows, []string{p[0] + ", published", "healthy", "", "nothing", "", "", "", p[3], ""})
		}
	}
	print(out, rows, md)
	fmt.Fprint(out, `
top-1, top-3: the root is the first, or among the first three, of the services in their order, whether or not it is silent
silent: "nothing is wrong" has half of the probability or more; named and right: it isn't silent, and the root is the first
`)
}

func share(of, all int) string { return fmt.Sprintf("%.2f (%d/%d)", float64(of)/float64(all), of, all) }

// print prints rows as a table, the first as its head.
func print(out io.Writer, rows [][]string, md bool) {
	wide := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			wide[i] = max(wide[i], len(c))
		}
	}
	for n, r := range rows {
		var b strings.Builder
		for i, c := range r {
			switch {
			case md:
				b.WriteString("| " + c + " ")
			case i > 0:
				fmt.Fprintf(&b, "  %-*s", wide[i], c)
			default:
				fmt.Fprintf(&b, "%-*s", wide[i], c)
			}
		}
		if md {
			b.WriteString("|")
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
		if md && n == 0 {
			fmt.Fprintln(out, strings.Repeat("| --- ", len(r))+"|")
		}
	}
}

// details lists what was said of each issue, and of the healthy windows that
// weren't passed over in silence.
func details(out io.Writer, all []said) {
	for i := range all {
		a := &all[i]
		if a.of.part == "healthy" && a.silent[ours] {
			continue
		}
		fmt.Fprintf(out, "\n%s %s, %s of %s, by %s: root %s; plain %s\n", a.of.part, a.of.name, a.of.target.Metric,
			clean(a.of.target.Service), a.of.kind, clean(a.of.root), clean(strings.Join(a.ranked[plain], " ")))
		for _, c := range a.causes[:min(4, len(a.causes))] {
			name := clean(c.Service)
			if c.Service == "" {
				name = "nothing"
			}
			fmt.Fprintf(out, "  %3.0f%% %s: %s\n", 100*c.Probability, name, clean(strings.Join(c.Reasons, "; ")))
		}
	}
}

// clean makes text of a file fit for a terminal.
func clean(s string) string { return words.Clean(s, words.LineLen) }
