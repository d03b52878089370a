package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// began is the first normal row; the issues are months before, as in the data
// set.
var began = time.Date(2023, 8, 21, 9, 0, 0, 0, time.UTC)

// metrics writes rows of three services, web calling api calling db. From a row
// on api is slower, or fails.
func metrics(from time.Time, rows int, slow, fail func(row int) float64) string {
	draw := rand.New(rand.NewPCG(uint64(from.Unix()), 1))
	var b strings.Builder
	b.WriteString("microservice,web,api,db,web,api,db,web,api,db\n")
	b.WriteString("metric,latency,latency,latency,requests,requests,requests,availability,availability,availability\n")
	b.WriteString("statistic,Average,Average,Average,Sum,Sum,Sum,Average,Average,Average\n")
	b.WriteString("unix_timestamp,,,,,,,,,\n")
	for i := range rows {
		noise := func() float64 { return math.Exp(0.1 * draw.NormFloat64()) }
		db := 0.01 * noise()
		api := 0.02*noise() + db + slow(i)
		down := 100 * fail(i)
		fmt.Fprintf(&b, "%d.0,%g,%g,%g,400,400,,%g,%g,100\n", from.Add(time.Duration(i)*5*time.Minute).Unix(), 0.03*noise()+api, api, db, 100-down, 100-down)
	}
	return b.String()
}

func never(int) float64 { return 0 }

func since(row int, size float64) func(int) float64 {
	return func(i int) float64 {
		if i >= row {
			return size
		}
		return 0
	}
}

// folder writes a small data set.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "graph.csv", ",web,api,db\nweb,0.0,1.0,0.0\napi,0.0,0.0,1.0\ndb,0.0,0.0,0.0\n")
	write(t, dir, "noissue/metrics.csv", metrics(began, 400, never, never))
	at := time.Date(2023, 4, 18, 22, 2, 0, 0, time.UTC)
	for i, part := range []string{"train", "test"} {
		first := at.Add(time.Duration(i) * 24 * time.Hour)
		noticed := first.Add(8 * time.Minute).Unix()
		write(t, dir, part+"/issue_0/metrics.csv", metrics(first, 5, since(2, 0.05), never))
		write(t, dir, part+"/issue_0/target.json", target("latency", noticed, "aws ssm put"))
		write(t, dir, part+"/issue_1/metrics.csv", metrics(first, 5, never, since(2, 0.2)))
		write(t, dir, part+"/issue_1/target.json", target("availability", noticed, "sed -E"))
	}
	return dir
}

func target(metric string, at int64, command string) string {
	return fmt.Sprintf(`{"target": {"node": "web", "metric": %q, "agg": "Average", "timestamp": %d}, "root_cause": {"node": "api", "metric": null},
		"metadata": {"reproducibility": {"command": %q}}}`, metric, at, command)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReport(t *testing.T) {
	s, err := readShop(folder(t), parts("all"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := run(s)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	report(&text, all, true)
	details(&text, all)
	for _, want := range []string{
		"| aftershock | train | latency | configuration | 1 | 1.00 (1/1) | 1.00 (1/1) | 0.00 (0/1) | 1.00 (1/1) |\n",
		"| aftershock | test | availability | deployment | 1 | 1.00 (1/1) | 1.00 (1/1) | 0.00 (0/1) | 1.00 (1/1) |\n",
		"| aftershock | healthy | latency | nothing | 40 |",
		"| plain traversal, 3 sigma | test | latency | all | 1 | 1.00 (1/1) | 1.00 (1/1) | 0.00 (0/1) | 1.00 (1/1) |\n",
		"| IDI, published | test | latency | all |  | 0.90 | 0.90 |",
		"train issue_0, latency of web, by configuration: root api; plain api\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report doesn't have %q:\n%s", want, text.String())
		}
	}
	var again bytes.Buffer
	if all, err = run(s); err != nil {
		t.Fatal(err)
	}
	report(&again, all, false)
	if !strings.HasPrefix(again.String(), "                               part     noticed in") {
		t.Errorf("the text begins otherwise:\n%s", again.String())
	}
}

// Normal rows come before the issue, at the same hours, and the row in which the
// trouble was noticed is the first since its onset.
func TestAsk(t *testing.T) {
	s, err := readShop(folder(t), parts("train"))
	if err != nil {
		t.Fatal(err)
	}
	q, err := ask(s.graph, s.normal, &s.issues[0])
	if err != nil {
		t.Fatal(err)
	}
	last, first := q.Times[q.Normal-1], q.Times[q.Normal]
	if d := first.Sub(last); d < 5*time.Minute || d > 24*time.Hour+5*time.Minute {
		t.Errorf("the normal rows end %s before the issue's", d)
	}
	if d := s.normal.times[0].Sub(q.Times[0]); d%(24*time.Hour) != 0 {
		t.Errorf("moved by %s, want whole days", d)
	}
	if q.Normal != 400 || q.Onset != 401 || len(q.Times) != 405 {
		t.Errorf("got %d normal rows, onset %d, %d rows; want 400, 401, 405", q.Normal, q.Onset, len(q.Times))
	}
	for _, v := range q.Series {
		if len(v.Values) != len(q.Times) {
			t.Errorf("%s %s has %d values", v.Service, v.Metric, len(v.Values))
		}
	}
	s.issues[0].at = s.issues[0].at.Add(time.Hour)
	if _, err := ask(s.graph, s.normal, &s.issues[0]); err == nil {
		t.Error("an issue without rows since it was noticed was asked of")
	}
}

// Columns that only the normal rows or only the issue's have are missing in the
// others.
func TestAskOfOtherColumns(t *testing.T) {
	dir := folder(t)
	text := metrics(time.Date(2023, 4, 18, 22, 2, 0, 0, time.UTC), 5, never, never)
	write(t, dir, "train/issue_0/metrics.csv", strings.Replace(text, ",db", ",other", 1))
	s, err := readShop(dir, parts("train"))
	if err != nil {
		t.Fatal(err)
	}
	q, err := ask(s.graph, s.normal, &s.issues[0])
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, v := range q.Series {
		switch {
		case v.Service == "db" && v.Metric == "latency" && math.IsNaN(v.Values[402]) && !math.IsNaN(v.Values[0]),
			v.Service == "other" && v.Metric == "latency" && math.IsNaN(v.Values[0]) && !math.IsNaN(v.Values[402]):
			found++
		}
	}
	if found != 2 {
		t.Errorf("found %d of two columns that are there at one time only", found)
	}
	if _, err := run(s); err != nil {
		t.Error(err)
	}
}

// Whatever is wrong with the folder is told in one line that names the file.
func TestHostileFolders(t *testing.T) {
	good := metrics(began, 30, never, never)
	for _, tt := range []struct{ name, file, text, want string }{
		{"no graph", "graph.csv", "", "graph.csv: head: EOF"},
		{"ragged graph", "graph.csv", ",a,b\na,1\n", "wrong number of fields"},
		{"graph of words", "graph.csv", ",a\na,yes\n", `"yes" isn't a number`},
		{"long graph", "graph.csv", ",a\na,0\nb,0\n", "more callers"},
		{"no rows", "noissue/metrics.csv", strings.Join(strings.SplitAfter(good, "\n")[:4], ""), "no rows"},
		{"few rows", "noissue/metrics.csv", metrics(began, 3, never, never), "want four"},
		{"no head", "noissue/metrics.csv", "a,b\n", `begins with "a"`},
		{"control characters", "noissue/metrics.csv", "\x1b[31m\r\n\x00,b\n", "row 1 begins with"},
		{"unknown metric", "noissue/metrics.csv", strings.Replace(good, "latency", "memory", 1), `unknown metric "memory"`},
		{"column twice", "noissue/metrics.csv", strings.Replace(good, ",web,api", ",web,web", 1), "there twice"},
		{"no number", "noissue/metrics.csv", strings.Replace(good, ",400,", ",many,", 1), `"many" isn't fit for requests`},
		{"negative", "noissue/metrics.csv", strings.Replace(good, ",400,", ",-4,", 1), `"-4" isn't fit for requests`},
		{"more than all", "noissue/metrics.csv", strings.Replace(good, ",100\n", ",101\n", 1), `"101" isn't fit for availability`},
		{"times stand still", "noissue/metrics.csv", good + strings.SplitAfter(good, "\n")[4], "isn't after the one before"},
		{"no time", "noissue/metrics.csv", strings.Replace(good, ".0,", "x,", 1), "not a time"},
		{"quotes", "noissue/metrics.csv", good + "\"\n", `extraneous or missing " in quoted-field`},
		{"no issue", "train/issue_0/target.json", "{}", "no target or no root cause"},
		{"no JSON", "train/issue_0/target.json", "\n\n{\n", "target.json: unexpected EOF"},
		{"unfit target", "train/issue_0/target.json", target("requests", 1, ""), `metric is "requests"`},
		{"late target", "train/issue_0/target.json", target("latency", math.MaxInt64, ""), "want seconds"},
	} {
		dir := folder(t)
		write(t, dir, tt.file, tt.text)
		_, err := readShop(dir, parts("train"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), dir) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		} else if strings.ContainsAny(err.Error(), "\n\r\x1b\x00") || len(err.Error()) > 500 {
			t.Errorf("%s: not one plain line: %q", tt.name, err)
		}
	}
	if _, err := readShop(filepath.Join(folder(t), "nowhere"), parts("all")); err == nil {
		t.Error("a folder that isn't there was read")
	}
	dir := folder(t)
	write(t, dir, "train/issue_2/metrics.csv/file", "")
	if _, err := readShop(dir, parts("train")); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a folder was read as a file: %v", err)
	}
}

// A reader that never ends is given up.
func TestBounded(t *testing.T) {
	if _, err := readTable(endless{}); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v, want an end", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestKind(t *testing.T) {
	for command, want := range map[string]string{
		"aws ssm put-parameter": "configuration", "sed -E": "deployment", "python -m": "load", "": "other", "rm": "other",
	} {
		if got := kind(command); got != want {
			t.Errorf("kind(%q) = %s, want %s", command, got, want)
		}
	}
}

// Whatever comes in, a table that is read has a value for each column and row, and
// an error is one line.
func FuzzReaders(f *testing.F) {
	f.Add([]byte(metrics(began, 2, never, never)))
	f.Add([]byte(",web,api\nweb,0.0,1.0\napi,0,0\n"))
	f.Add([]byte(target("latency", 1681855803, "aws ssm")))
	f.Add([]byte("microservice,a\nmetric,latency\nstatistic,\nunix_timestamp,\n1,\n2,NaN\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := readTable(bytes.NewReader(text))
		if err == nil {
			for i, v := range table.values {
				for _, x := range v {
					if math.IsInf(x, 0) || x < 0 || table.columns[i].metric == "availability" && x > 1 {
						t.Errorf("column %d has %g", i, x)
					}
				}
				if len(v) != len(table.times) {
					t.Errorf("column %d has %d values for %d rows", i, len(v), len(table.times))
				}
			}
		}
		graph, errGraph := readGraph(bytes.NewReader(text))
		if errGraph == nil {
			for from, to := range graph.Edges {
				if to[from] {
					t.Errorf("%q calls itself", from)
				}
			}
		}
		a, errAnswer := readAnswer(bytes.NewReader(text))
		if errAnswer == nil {
			if _, err := json.Marshal(a); err != nil {
				t.Error(err)
			}
		}
		for _, err := range []error{err, errGraph, errAnswer} {
			if err != nil && (strings.ContainsAny(err.Error(), "\n\r\x00\x1b") || len(err.Error()) > 1000) {
				t.Errorf("not one plain line: %q", err)
			}
		}
	})
}
