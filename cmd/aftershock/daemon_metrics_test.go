package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"aftershock/detector"
	"aftershock/flags/feed"
)

// queried is a query of one of the shipped files, and where it stands.
type queried struct{ place, expr string }

func shippedRules(t *testing.T) (all []queried) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(shipped(t, "prometheus-rules.yml"), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			all = append(all, queried{r.Alert, r.Expr})
		}
	}
	return all
}

func shipped(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../configs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dashboard is as much of Grafana's model as the test looks at.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct{ Name, Type, Query any }
	}
	Panels []struct {
		ID          int
		Type, Title string
		Description string
		Datasource  struct{ UID string }
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct {
			RefID, Expr string
			Datasource  struct{ UID string }
		}
	}
}

var (
	variable    = regexp.MustCompile(`\$(\w+)`)
	labelValues = regexp.MustCompile(`label_values\(([^,]+), (\w+)\)`)
)

func shippedDashboard(t *testing.T) (all []queried) {
	t.Helper()
	text := shipped(t, "grafana-dashboard.json")
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		known[fmt.Sprint(v.Name)] = true
	}
	if len(d.Templating.List) == 0 || d.Templating.List[0].Type != "datasource" || d.Templating.List[0].Name != "datasource" {
		t.Errorf("got the variables %v, want the data source first, since the others are read from it", d.Templating.List)
	}
	for _, m := range labelValues.FindAllStringSubmatch(string(text), -1) {
		all = append(all, queried{"variable " + m[2], m[1]})
	}
	ids, taken := map[int]string{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if other, double := ids[p.ID]; double {
			t.Errorf("panels %s and %s have the same id", p.Title, other)
		}
		ids[p.ID] = p.Title
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, double := taken[[2]int{x, y}]; double || x >= 24 {
					t.Fatalf("panel %s lies on %q, or beyond the right edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Description == "" || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %s has no query, no description or another data source than the variable's", p.Title)
		}
		for _, q := range p.Targets {
			if q.Datasource.UID != "${datasource}" {
				t.Errorf("panel %s: query %s has the data source %s", p.Title, q.RefID, q.Datasource.UID)
			}
			for _, v := range variable.FindAllStringSubmatch(q.Expr, -1) {
				if !known[v[1]] {
					t.Errorf("panel %s: query %s has the unknown variable %s", p.Title, q.RefID, v[0])
				}
			}
			all = append(all, queried{"panel " + p.Title, strings.ReplaceAll(q.Expr, "$__rate_interval", "5m")})
		}
	}
	return all
}

// exposition is what daemons expose at /metrics: the labels of each series, by its name.
type exposition map[string][]map[string]string

func (e exposition) read(t *testing.T, p *process) {
	t.Helper()
	resp, err := httpClient.Get(p.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parse := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parse.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range families {
		for _, m := range f.Metric {
			of := map[string]string{}
			for _, l := range m.Label {
				of[l.GetName()] = l.GetValue()
			}
			if f.GetType() == dto.MetricType_HISTOGRAM {
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					e[name+suffix] = append(e[name+suffix], of)
				}
				continue
			}
			e[name] = append(e[name], of)
		}
	}
}

// has says whether a series is exposed that the selector would find. Labels that Prometheus
// adds, and patterns, match anything.
func (e exposition) has(s *parser.VectorSelector) bool {
next:
	for _, of := range e[s.Name] {
		for _, m := range s.LabelMatchers {
			own := m.Name != model.MetricNameLabel && m.Name != "job" && m.Name != "instance"
			if own && (m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual) && !m.Matches(of[m.Name]) {
				continue next
			}
		}
		return true
	}
	return false
}

// TestShippedQueriesFindMetrics holds every query of the shipped rules and dashboard against
// what daemons expose that have something to do: one that scrapes, and one that reads a
// server.
func TestShippedQueriesFindMetrics(t *testing.T) {
	t.Parallel()
	home := newHome(t, config("", "  prometheus: {url: http://"+closedPort(t)+", tries: 1}", "[]"))
	home.file("flags.json", definitions)
	reading, scraping := home.start(), busyDaemon(t)
	queries := append(shippedRules(t), shippedDashboard(t)...)
	promql := parser.NewParser(parser.Options{})
	var selectors []*parser.VectorSelector
	places := map[*parser.VectorSelector]string{}
	for _, q := range queries {
		e, err := promql.ParseExpr(q.expr)
		if err != nil {
			t.Fatalf("%s: %v", q.place, err)
		}
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			if s, ok := n.(*parser.VectorSelector); ok {
				selectors, places[s] = append(selectors, s), q.place
			}
			return nil
		})
	}
	if len(selectors) < len(queries) {
		t.Fatalf("found %d selectors in %d queries", len(selectors), len(queries))
	}
	wait(t, 40*time.Second, "all metrics of the rules and the dashboard", func() error {
		exposed := exposition{"up": {{}}} // which is Prometheus's own
		exposed.read(t, reading)
		exposed.read(t, scraping)
		for _, s := range selectors {
			if !exposed.has(s) {
				return fmt.Errorf("%s: no daemon exposes %s", places[s], s)
			}
		}
		return nil
	})
	if got := scraping.metric("aftershock_flag_toggles_overdue"); got != 1 {
		t.Errorf("got %g overdue toggles, want the one that expired", got)
	}
}

// busyDaemon scrapes a fleet and an exporter that writes what it shouldn't, and has served and
// toggled a flag.
func busyDaemon(t *testing.T) *process {
	t.Helper()
	f := newFleet(t)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "# TYPE http_server_request_duration_seconds histogram\nhttp_server_request_duration_seconds_bucket{le=\"slow\"} 1")
	}))
	t.Cleanup(broken.Close)
	targets := strings.TrimSuffix(f.scraped(), "]}") + `,{"targets":["` + broken.Listener.Addr().String() + `"]}]}`
	home := newHome(t, config("", targets, `[{name: am, alertmanager: {urls: ["http://`+closedPort(t)+`"]}}, {name: log, log: {}}]`))
	home.file("flags.json", definitions)
	p := home.start()
	var toggled detector.Toggle
	if err := p.do(http.MethodPut, "/api/v1/flags/receipts", map[string]any{"variant": "off", "reason": "try", "expires_in": 1}, &toggled); err != nil {
		t.Fatal(err)
	}
	if err := p.do(http.MethodPost, "/ofrep/v1/evaluate/flags/receipts", map[string]any{"context": map[string]any{}}, nil); err != nil {
		t.Fatal(err)
	}
	stream, err := http.Get(p.url + feed.EventsPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Body.Close() })
	return p
}
