package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/origin"
)

// maxIssues bounds how many issues of a part are read.
const maxIssues = 1000

// shop is the data set.
type shop struct {
	graph  *detector.Graph
	normal *table
	issues []issue
}

// issue is a trouble whose cause is known, or healthy rows that are laid out as
// one, without a root.
type issue struct {
	part, name, kind string
	rows             *table
	target           origin.Target
	at               time.Time // when it was noticed
	root             string
}

func readShop(dir string, parts []string) (*shop, error) {
	s := &shop{}
	var err error
	if s.graph, err = read(filepath.Join(dir, "graph.csv"), readGraph); err != nil {
		return nil, err
	}
	if s.normal, err = read(filepath.Join(dir, "noissue", "metrics.csv"), readTable); err != nil {
		return nil, err
	}
	if len(s.normal.times) < 4 {
		return nil, fmt.Errorf("%s: %d normal rows, want four at least", dir, len(s.normal.times))
	}
	for _, part := range parts {
		folders, err := filepath.Glob(filepath.Join(dir, part, "issue_*"))
		if err != nil || len(folders) == 0 || len(folders) > maxIssues {
			return nil, fmt.Errorf("%s: %d issues, want 1 to %d", filepath.Join(dir, part), len(folders), maxIssues)
		}
		slices.SortFunc(folders, func(a, b string) int { return 2*(len(a)-len(b)) + strings.Compare(a, b) })
		for _, f := range folders {
			i, err := readIssue(f, part)
			if err != nil {
				return nil, err
			}
			s.issues = append(s.issues, i)
		}
	}
	return s, nil
}

func readIssue(folder, part string) (issue, error) {
	rows, err := read(filepath.Join(folder, "metrics.csv"), readTable)
	if err != nil {
		return issue{}, err
	}
	a, err := read(filepath.Join(folder, "target.json"), readAnswer)
	if err != nil {
		return issue{}, err
	}
	return issue{
		part: part, name: filepath.Base(folder), kind: kind(a.Metadata.Reproducibility.Command), rows: rows,
		target: origin.Target{Service: a.Target.Node, Metric: origin.Metric(a.Target.Metric), Stat: a.Target.Agg},
		at:     time.Unix(int64(a.Target.Timestamp), 0).UTC(), root: a.RootCause.Node,
	}, nil
}

// kind says how an issue was made, by the command that made it.
func kind(command string) string {
	switch first, _, _ := strings.Cut(command, " "); first {
	case "aws":
		return "configuration"
	case "sed":
		return "deployment"
	case "python":
		return "load"
	}
	return "other"
}

// read reads a file, and names it in the error.
func read[T any](path string, parse func(io.Reader) (T, error)) (T, error) {
	var none T
	f, err := os.Open(path)
	if err != nil {
		return none, err
	}
	defer f.Close()
	if i, err := f.Stat(); err != nil || !i.Mode().IsRegular() {
		return none, fmt.Errorf("%s: not a file", path)
	}
	v, err := parse(f)
	if err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// ask lays normal rows before an issue in time, by whole days so that the hours
// stay, and makes a question of them. A row holds the time from its stamp to the
// next one's, as in CloudWatch, where the data set comes from: the rows since
// the onset are those that end after it.
func ask(graph *detector.Graph, normal *table, i *issue) (*origin.Question, error) {
	rows := i.rows.times
	step := normal.times[1].Sub(normal.times[0])
	last := normal.times[len(normal.times)-1]
	const day = 24 * time.Hour
	by := time.Duration(math.Floor(float64(rows[0].Add(-step).Sub(last))/float64(day))) * day
	q := &origin.Question{Normal: len(normal.times), Onset: len(normal.times), Graph: graph, Target: i.target}
	for _, t := range normal.times {
		q.Times = append(q.Times, t.Add(by))
	}
	q.Times = append(q.Times, rows...)
	for q.Onset < len(q.Times) && !q.Times[q.Onset].Add(step).After(i.at) {
		q.Onset++
	}
	if q.Onset == len(q.Times) {
		return nil, fmt.Errorf("%s %s: no rows since it was noticed", i.part, i.name)
	}
	before, since := normal.where(), i.rows.where()
	for _, c := range normal.columns {
		values := slices.Clone(before[c])
		if after, ok := since[c]; ok {
			values = append(values, after...)
		} else {
			values = append(values, missing(len(rows))...)
		}
		q.Series = append(q.Series, origin.Series{Service: c.service, Metric: c.metric, Stat: c.stat, Values: values})
	}
	for _, c := range i.rows.columns {
		if _, ok := before[c]; !ok {
			q.Series = append(q.Series, origin.Series{
				Service: c.service, Metric: c.metric, Stat: c.stat, Values: append(missing(len(normal.times)), since[c]...),
			})
		}
	}
	return q, nil
}

func missing(n int) []float64 { return slices.Repeat([]float64{math.NaN()}, n) }

// cut takes rows out of a table.
func (t *table) cut(from, to int) *table {
	out := &table{times: t.times[from:to], columns: t.columns}
	for _, v := range t.values {
		out.values = append(out.values, v[from:to])
	}
	return out
}

// healthy are windows of the held-back normal rows, one after the other, laid
// out as the issues are in turn: as many rows, noticed as long after the first,
// at each target that the issues have.
func (s *shop) healthy() (normal *table, windows []issue) {
	half := len(s.normal.times) / 2
	normal = s.normal.cut(0, half)
	var targets []origin.Target
	for _, i := range s.issues {
		if !slices.Contains(targets, i.target) {
			targets = append(targets, i.target)
		}
	}
	for at, n := half, 0; ; n++ {
		like := s.issues[n%len(s.issues)]
		to := at + len(like.rows.times)
		if to > len(s.normal.times) {
			return normal, windows
		}
		rows := s.normal.cut(at, to)
		for _, t := range targets {
			windows = append(windows, issue{
				part: "healthy", name: fmt.Sprintf("row %d", at), rows: rows, target: t,
				at: rows.times[0].Add(like.at.Sub(like.rows.times[0])),
			})
		}
		at = to
	}
}
