package scrape

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

func TestConfigFromYAML(t *testing.T) {
	var c Config
	d := yaml.NewDecoder(strings.NewReader(`
interval: 5s
timeout: 2s
targets: [{targets: ["checkout:9100"], labels: {service: checkout, __metrics_path__: "/probe?x=1"}}]
files: [targets/*.json]
retention: 30d
body_size_limit: 8MB
label_limits: {count: 30}
http_client: {basic_auth: {username: u, password: p}}
`))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	c.SetDefaults()
	if errs := c.Validate("sources.scrape"); errs != nil {
		t.Fatal(errs)
	}
	if c.Retention != model.Duration(30*24*time.Hour) || c.BodySizeLimit != 8<<20 || c.LabelLimits.Count != 30 || c.LabelLimits.ValueLength != 4096 {
		t.Errorf("config = %+v", c)
	}
	if !c.HTTPClient.FollowRedirects || c.HTTPClient.BasicAuth.Username != "u" || !*c.NativeHistograms {
		t.Errorf("http_client = %+v", c.HTTPClient)
	}
	e := c.endpoints(c.Targets[0])[0]
	want := endpoint{url: "http://checkout:9100/probe?x=1"}
	if e.url != want.url || e.labels.String() != `{instance="checkout:9100", job="aftershock", service="checkout"}` {
		t.Errorf("endpoint = %s %s", e.url, e.labels)
	}
}

func TestEndpointLabels(t *testing.T) {
	var c Config
	c.SetDefaults()
	for _, tt := range []struct {
		name         string
		labels       map[string]string
		url, labels2 string
	}{
		{"plain", nil, "http://h:1/metrics", `{instance="h:1", job="aftershock"}`},
		{"own job and instance", map[string]string{"job": "pay", "instance": "pod-7"}, "http://h:1/metrics", `{instance="pod-7", job="pay"}`},
		{"empty label", map[string]string{"zone": "", "instance": ""}, "http://h:1/metrics", `{instance="h:1", job="aftershock"}`},
		{"how to ask", map[string]string{"__scheme__": "https", "__metrics_path__": "/m", "__param_module": "a b", "__meta_x": "y"}, "https://h:1/m?module=a+b", `{instance="h:1", job="aftershock"}`},
	} {
		e := c.endpoints(Group{Targets: []string{"h:1"}, Labels: tt.labels})[0]
		if e.url != tt.url || e.labels.String() != tt.labels2 {
			t.Errorf("%s: %s %s, want %s %s", tt.name, e.url, e.labels, tt.url, tt.labels2)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Config)
		want []string
	}{
		{"nothing to scrape", func(c *Config) { c.Targets = nil }, []string{"s.targets: is empty, and so is files: give at least one target to scrape"}},
		{"timeout above interval", func(c *Config) { c.Timeout = model.Duration(time.Hour) }, []string{"s.timeout: is 1h, must be above 0 and at most the interval (1m)"}},
		{"interval too short", func(c *Config) { c.Interval, c.Timeout = 1, 1 }, []string{"s.interval: is 0s, must be at least 100ms"}},
		{"scheme and path", func(c *Config) { c.Scheme, c.MetricsPath = "ftp", "metrics" }, []string{
			`s.scheme: is "ftp", must be http or https`, `s.metrics_path: is "metrics", must be a URL's path that begins with /`,
		}},
		{"address with scheme", func(c *Config) { c.Targets[0].Targets = []string{"http://x:1"} }, []string{
			`s.targets[0].targets[0]: is "http://x:1", give host:port alone and set scheme and metrics_path`,
		}},
		{"label name", func(c *Config) { c.Targets[0].Labels = map[string]string{"a-b": "1"} }, []string{
			`s.targets[0].labels.a-b: is not a label name ([a-zA-Z_][a-zA-Z0-9_]*)`,
		}},
		{"file", func(c *Config) { c.Files = []string{"a.txt", "*/a.json"} }, []string{
			`s.files[0]: is "a.txt", must end in .json, .yml or .yaml`,
			`s.files[1]: is "*/a.json", only the last part of the path may be a pattern`,
		}},
		{"negative limit", func(c *Config) { c.LabelLimits.Count = -1 }, []string{"s.label_limits.count: is -1, must not be negative"}},
		{"credentials twice", func(c *Config) { c.HTTPClient.BearerToken, c.HTTPClient.BearerTokenFile = "x", "y" }, []string{
			"s.http_client: at most one of bearer_token & bearer_token_file must be configured",
		}},
	} {
		c := testConfig("h:1")
		tt.edit(&c)
		var got []string
		for _, err := range c.Validate("s") {
			got = append(got, err.Error())
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}

func TestLists(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	l := newLists([]string{dir + "/one.json", dir + "/more-*.yml"})
	poll := func() (targets []string, changes []string) {
		now = now.Add(10 * time.Second)
		groups, cs := l.poll(now)
		for _, g := range groups {
			targets = append(targets, g.Targets...)
		}
		for _, c := range cs {
			line := strings.TrimPrefix(c.file, dir+"/") + ": "
			if c.err != nil {
				line += c.err.Error()
			} else {
				line += "ok"
			}
			changes = append(changes, line)
		}
		return targets, changes
	}
	remove := func(name string) func() { return func() { rename(t, dir+"/"+name, dir+"/gone") } }
	write := func(name, content string) func() { return func() { writeFile(t, dir+"/"+name, content) } }
	const missing = "one.json: file does not exist: write it or correct sources.scrape.files"
	const early = "one.json: file ends too early: is it still being written? replace it in one step (write beside it, then rename)"
	for i, tt := range []struct {
		do      func()
		targets []string
		changes []string
	}{
		{func() {}, nil, []string{missing}},
		{write("one.json", `[{"targets": ["a:1"], "labels": {"x": "1"}}]`), []string{"a:1"}, []string{"one.json: ok"}},
		{write("more-1.yml", "- targets: ['b:1']\n"), []string{"b:1", "a:1"}, nil},
		{write("one.json", `[{"targets": ["a:1"`), []string{"b:1", "a:1"}, []string{early}},
		{func() {}, []string{"b:1", "a:1"}, nil},
		{write("one.json", `[{"targets": ["a:2"]}, {"targets": []}]`), []string{"b:1", "a:2"}, []string{"one.json: ok"}},
		{write("one.json", `[{"target": ["a:2"]}]`), []string{"b:1", "a:2"}, []string{`one.json: parse JSON: json: unknown field "target": expected [{"targets": ["host:port"], "labels": {}}]`}},
		{remove("one.json"), []string{"b:1", "a:2"}, []string{missing}},
		{remove("more-1.yml"), []string{"b:1"}, nil},
		{func() {}, nil, nil},
		{write("more-2.yml", ""), nil, []string{"more-2.yml: file is empty: write [] for no targets"}},
	} {
		tt.do()
		targets, changes := poll()
		if d := cmp.Diff(tt.targets, targets); d != "" {
			t.Errorf("step %d: targets (-want +got):\n%s", i, d)
		}
		if d := cmp.Diff(tt.changes, changes); d != "" {
			t.Errorf("step %d: changes (-want +got):\n%s", i, d)
		}
	}
}

func FuzzParseGroups(f *testing.F) {
	f.Add([]byte(`[{"targets": ["a:1"], "labels": {"x": "1"}}]`), true)
	f.Add([]byte("- targets: ['b:1']\n  labels: {a: b}\n"), false)
	f.Add([]byte("&a [*a]"), false)
	f.Fuzz(func(t *testing.T, b []byte, isJSON bool) {
		groups, err := parseGroups(b, isJSON)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000 {
				t.Errorf("error isn't short: %q", err)
			}
			return
		}
		var c Config
		c.SetDefaults()
		for _, g := range groups {
			for _, e := range c.endpoints(g) {
				if _, err := newRequest(e.url); err != nil {
					t.Errorf("accepted target makes no request: %v", err)
				}
				if dup, has := e.labels.HasDuplicateLabelNames(); has {
					t.Errorf("label %q comes twice", dup)
				}
			}
		}
	})
}

// FuzzAnswer scrapes arbitrary answers: the daemon stays whole, and a good
// answer after them is stored.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("a 1\nb{x=\"1\"} 2 123\n"), "text/plain")
	f.Add([]byte("# TYPE a counter\na_total 1\na_created 1\n# EOF\n"), "application/openmetrics-text; version=1.0.0")
	f.Add([]byte("\x0a\x0a\x01a\x18\x01\x22\x05\x12\x03\x09\x00\x00"), "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
	s, _ := open(f, testConfig("h:1"), f.TempDir())
	i := 0
	f.Fuzz(func(t *testing.T, b []byte, contentType string) {
		l := loops(t, s)[0]
		for _, body := range [][]byte{b, b, []byte("good 1\n")} {
			i++
			in := l.newIngest(at(i))
			if bytes.Equal(body, []byte("good 1\n")) {
				contentType = "text/plain"
			}
			f, err := l.storeAnswer(t.Context(), in, body, contentType, at(i))
			if err != nil {
				t.Fatalf("store: %v", err)
			}
			if f != nil && (strings.Contains(f.Error(), "\n") || len(f.Error()) > 1000 || strings.Contains(f.Error(), "parser gave up")) {
				t.Errorf("failure isn't one short line: %q", f.Error())
			}
			if f != nil && contentType == "text/plain" && bytes.Equal(body, []byte("good 1\n")) {
				t.Errorf("good answer failed: %v", f)
			}
		}
	})
}

// TestDocumentedConfig loads the example of docs/sources.md.
func TestDocumentedConfig(t *testing.T) {
	doc, err := os.ReadFile("../../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "## Own scraping\n\n```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/sources.md has no example of own scraping")
	}
	var file struct {
		Sources struct {
			Scrape Config `yaml:"scrape"`
		} `yaml:"sources"`
	}
	d := yaml.NewDecoder(strings.NewReader(example))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	c := file.Sources.Scrape
	c.SetDefaults()
	if errs := c.Validate("sources.scrape"); errs != nil {
		t.Error(errs)
	}
	var all []endpoint
	for _, g := range c.Targets {
		all = append(all, c.endpoints(g)...)
	}
	if len(all) != 2 {
		t.Errorf("%d targets, want 2", len(all))
	}
}
