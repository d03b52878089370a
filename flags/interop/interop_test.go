package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/flags/definitions"
	"aftershock/flags/feed"
	"aftershock/flags/ofrep"
)

const (
	flagCount    = 240
	contextCount = 50
)

// store is the least that a switchboard needs to serve a file.
type store struct {
	revision int64
	document []byte
}

func (s *store) Definitions(context.Context) (int64, []byte, error) {
	return s.revision, s.document, nil
}

func (s *store) PutDefinitions(_ context.Context, _ int64, document []byte, _ detector.Toggle) (int64, error) {
	s.revision, s.document = s.revision+1, document
	return s.revision, nil
}

func (s *store) AuditToggle(context.Context, detector.Toggle) error { return nil }

func (s *store) DecideToggle(context.Context, detector.Toggle, detector.Toggle) error { return nil }

func (s *store) TogglesIn(context.Context, ...detector.ToggleState) ([]detector.Toggle, error) {
	return nil, nil
}

func (s *store) Toggles(context.Context, string, int) ([]detector.Toggle, error) { return nil, nil }

func (s *store) Toggle(context.Context, string) (detector.Toggle, error) {
	return detector.Toggle{}, flags.ErrUnknown
}

func (s *store) Freeze(context.Context) (detector.Freeze, error) { return detector.Freeze{}, nil }

func (s *store) PutFreeze(context.Context, detector.Freeze) error { return nil }

type example struct {
	Flag    string         `json:"flag"`
	Type    string         `json:"type"`
	Context map[string]any `json:"context"`
}

type outcome struct {
	Value   any    `json:"value"`
	Variant string `json:"variant"`
	Reason  string `json:"reason"`
	Error   string `json:"error"`
	Version string `json:"version"`
}

type answers struct {
	SDK  outcome `json:"sdk"`
	Sync outcome `json:"sync"`
	Core outcome `json:"core"`
}

// The names of the clients.
const (
	overOFREP = "SDK over OFREP"
	synced    = "SDK with flagd's provider in-process"
	flagdCore = "flagd-core"
)

// install gets the npm clients, in the versions of package-lock.json, unless
// they are there.
func install(t *testing.T) {
	t.Helper()
	lock, err := os.Stat("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	there, err := os.Stat("node_modules/.package-lock.json")
	if err == nil && !there.ModTime().Before(lock.ModTime()) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts").CombinedOutput()
	if err != nil {
		t.Fatalf("npm ci: %v; Node 20 or later with npm must be in the PATH, which make tools sees to\n%s", err, out)
	}
}

func TestOfficialClientsAgree(t *testing.T) {
	install(t)
	r := rand.New(rand.NewPCG(4, 2))
	document, types := generate(r)
	document = limited(t, r, document)
	_, url := serve(t, document)
	var cases []example
	for n := range flagCount {
		flag := fmt.Sprintf("flag-%03d", n)
		for range contextCount {
			cases = append(cases, example{flag, types[flag], randomContext(r)})
		}
	}
	set, err := definitions.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	if p := set.Problems(); len(p) > 0 {
		t.Fatalf("the generator makes bad flags: %v", p)
	}
	got := runClients(t, url, document, cases)
	disagreements, reasons := 0, map[string]int{}
	for i, c := range cases {
		ours := resolve(set, c)
		reasons[ours.Reason]++
		for name, theirs := range map[string]outcome{flagdCore: got[i].Core, synced: got[i].Sync, overOFREP: got[i].SDK} {
			if theirs.Error != "" {
				theirs.Version = "" // not all clients keep the metadata of an error
			}
			d := cmp.Diff(expected(ours, name), theirs)
			if d == "" {
				continue
			}
			if disagreements++; disagreements <= 10 {
				f, _ := set.Flag(c.Flag)
				t.Errorf("%s on %s with %v\n%s\n(-ours +theirs):\n%s", name, c.Flag, c.Context, f.Definition, d)
			}
		}
	}
	t.Logf("%d evaluations of %d flags by 3 clients, %d disagreements; ours by reason: %v", len(cases), flagCount, disagreements, reasons)
	for _, reason := range []string{"STATIC", "TARGETING_MATCH", "DEFAULT", "DISABLED"} {
		if reasons[reason] == 0 {
			t.Errorf("no evaluation ended as %s", reason)
		}
	}
}

// resolve is our own evaluation, with the client's default where there is no
// value.
func resolve(set *definitions.Set, c example) outcome {
	res := set.Evaluate(c.Flag, c.Context, time.Now())
	o := outcome{Variant: res.Variant, Reason: res.Reason, Error: res.ErrorCode}
	if res.Value == nil {
		o.Value = map[string]any{"boolean": false, "string": "(default)", "number": -1.0, "object": map[string]any{"default": true}}[c.Type]
		return o
	}
	if err := json.Unmarshal(res.Value, &o.Value); err != nil {
		panic(err)
	}
	return o
}

// expected is what a client makes of our answer. The OFREP provider of npm
// doesn't know answers without a value yet: it reports an error and gives the
// default, as it should.
func expected(ours outcome, client string) outcome {
	if client == overOFREP && ours.Variant == "" && ours.Error == "" {
		ours.Reason, ours.Error = "ERROR", "GENERAL"
	}
	if client != flagdCore && ours.Error == "" {
		ours.Version = "1" // the revision is in the metadata of what is served
	}
	return ours
}

// serve runs a switchboard with its OFREP and sync on one listener, as the
// daemon does.
func serve(t *testing.T, document []byte) (*flags.Switchboard, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "flags.json")
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := flags.New(flags.Config{Definitions: file}, &store{}, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask := s.Handler()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if feed.IsGRPC(r) {
			s.Feed().ServeGRPC(w, r)
			return
		}
		ask.ServeHTTP(w, r)
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(func() { s.Feed().Close(); server.Close() })
	if err := s.Connect(t.Context(), ofrep.Config{BaseURL: server.URL}); err != nil {
		t.Fatal(err)
	}
	return s, server.URL
}

// address is where a URL points, as flagd's provider wants it.
func address(t *testing.T, url string) (host string, port int) {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", url[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	return addr.IP.String(), addr.Port
}

func runClients(t *testing.T, url string, document []byte, cases []example) []answers {
	t.Helper()
	host, port := address(t, url)
	in, err := json.Marshal(map[string]any{"url": url, "host": host, "port": port, "definitions": string(document), "cases": cases})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "client.mjs")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run the npm clients: %v\n%s", err, stderr.String())
	}
	var all []answers
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a answers
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	if len(all) != len(cases) {
		t.Fatalf("got %d answers, want %d\n%s", len(all), len(cases), stderr.String())
	}
	return all
}

// generate makes flags of all kinds and says each one's type.
func generate(r *rand.Rand) ([]byte, map[string]string) {
	flags, types := map[string]any{}, map[string]string{}
	for n := range flagCount {
		key := fmt.Sprintf("flag-%03d", n)
		kind := []string{"boolean", "string", "number", "object"}[r.IntN(4)]
		types[key] = kind
		f := map[string]any{
			"state": "ENABLED", "defaultVariant": "a", "metadata": map[string]any{"n": n},
			"variants": map[string]any{"a": value(kind, 1), "b": value(kind, 2), "c": value(kind, 3), "true": value(kind, 4), "7": value(kind, 5)},
		}
		if r.IntN(20) == 0 {
			f["state"] = "DISABLED"
		}
		if r.IntN(15) == 0 {
			delete(f, "defaultVariant")
		}
		if r.IntN(8) > 0 {
			f["targeting"] = targeting(r)
		}
		flags[key] = f
	}
	b, err := json.Marshal(map[string]any{
		"flags": flags, "metadata": map[string]any{"set": "interop"},
		"$evaluators": map[string]any{
			"staff": map[string]any{"ends_with": []any{property("email"), "@faas.com"}},
			"newer": map[string]any{"sem_ver": []any{property("version"), ">=", "2.1.0"}},
		},
	})
	if err != nil {
		panic(err)
	}
	return b, types
}

func value(kind string, n int) any {
	switch kind {
	case "boolean":
		return n%2 == 0
	case "string":
		return fmt.Sprintf("value %d <ü>", n)
	case "number":
		return float64(n) * 1.25
	}
	return map[string]any{"base_ms": n * 50, "jitter": n%2 == 0, "list": []any{n, "x", nil}}
}

func property(name string) any { return map[string]any{"var": name} }

func op(name string, args ...any) any { return map[string]any{name: args} }

func targeting(r *rand.Rand) any {
	switch r.IntN(8) {
	case 0, 1:
		return fractional(r)
	case 2:
		return condition(r, 2) // true, which is a variant, or false, which isn't
	case 3:
		return op("if", condition(r, 2), fractional(r), variant(r))
	case 4:
		return op("if", condition(r, 2), 7, nil)
	}
	return op("if", condition(r, 3), variant(r), condition(r, 2), variant(r), variant(r))
}

func variant(r *rand.Rand) any {
	return []any{"a", "b", "c", nil, "undeclared"}[min(r.IntN(12)/2, 4)]
}

func fractional(r *rand.Rand) any {
	var args []any
	if r.IntN(2) == 0 {
		args = append(args, op("cat", property("$flagd.flagKey"), property("email")))
	}
	weights := [][]any{{"a", 50}, {"b", 25}, {"c", 25}}
	if r.IntN(2) == 0 {
		weights = [][]any{{"a", r.IntN(1000)}, {"b", r.IntN(1_000_000) + 1}, {"c"}}
	}
	for _, w := range weights {
		args = append(args, w)
	}
	return op("fractional", args...)
}

func condition(r *rand.Rand, depth int) any {
	if depth > 0 && r.IntN(3) == 0 {
		return op([]string{"and", "or"}[r.IntN(2)], op("!!", condition(r, depth-1)), op("!!", condition(r, depth-1)))
	}
	switch r.IntN(12) {
	case 0:
		return op("==", property("region"), []any{"eu", "us"}[r.IntN(2)])
	case 1:
		return op("===", property("tier"), r.IntN(4))
	case 2:
		return op("!=", property("region"), "eu")
	case 3:
		return op([]string{"<", "<=", ">", ">="}[r.IntN(4)], property("tier"), r.IntN(4))
	case 4:
		return op("in", property("region"), []any{"eu", "ap"})
	case 5:
		return op("!", property("beta"))
	case 6:
		return map[string]any{"$ref": []string{"staff", "newer"}[r.IntN(2)]}
	case 7:
		operators := []string{"=", "!=", "<", "<=", ">", ">=", "^", "~"}
		versions := []string{"2.1.0", "1.9", "3", "v2.1.0-rc.1"}
		return op("!!", op("sem_ver", property("version"), operators[r.IntN(8)], versions[r.IntN(4)]))
	case 8:
		return op("starts_with", property("ip"), "10.")
	case 9:
		return op("in", "faas", property("email"))
	case 10:
		return op("==", op("%", property("tier"), 2), 0)
	}
	return op("some", property("groups"), op("==", property(""), "sre"))
}

func randomContext(r *rand.Rand) map[string]any {
	c := map[string]any{
		"targetingKey": fmt.Sprintf("user-%d", r.IntN(100_000)),
		"email":        fmt.Sprintf("u%d@%s", r.IntN(1000), []string{"faas.com", "x.org"}[r.IntN(2)]),
		"region":       []any{"eu", "us", "ap"}[r.IntN(3)],
		"tier":         float64(r.IntN(4)),
		"beta":         r.IntN(2) == 0,
		"version":      []any{"2.1.0", "2.1.7", "v3.0.0", "1.9.2", "2.1.0-rc.2", "mine", "2.1", "2.1.0+b7"}[r.IntN(8)],
		"ip":           fmt.Sprintf("%d.0.0.1", 8+r.IntN(4)),
		"groups":       []any{"dev", []any{"sre", "ops"}[r.IntN(2)]},
	}
	if r.IntN(10) == 0 {
		delete(c, "region")
	}
	if r.IntN(20) == 0 {
		delete(c, "targetingKey")
	}
	return c
}
