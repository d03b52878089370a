package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// fakeEnv makes the test binary a daemon of a few lines, which knows beforehand
// what the real one finds out: it says that an upgrade happened when payments
// changed its build, alerts while the flag is new and the upgrade bad, and
// resolves when it is legacy.
const fakeEnv = "STORY_FAKE_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(fakeEnv) != "" {
		switch os.Args[1] {
		case "inspect":
			fmt.Println(`{"findings":[{"rule":"` + foreseenRule + `","severity":"blocker","what":"` + hybridKey + ` is missing","place":{"file":"payments.env","line":1}}]}`)
			os.Exit(notReady)
		case "inventory", "upgrades":
			os.Exit(0)
		}
		if err := fakeDaemon(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "story-programs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programDir = dir
	// The children are the test binary as well, and are daemons by this.
	if err := os.Setenv(fakeEnv, "yes"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// untuned lets the fake daemon find no better constants.
const untuned = "AFTERSHOCK_TEST_UNTUNED"

type fake struct {
	mu       sync.Mutex
	variants map[string]any
	others   map[string]any
	variant  string
	version  string
	bad      bool
	since    time.Time
	fired    bool
	toggles  []map[string]any
	webhook  string
}

func fakeDaemon(args []string) error {
	if len(args) != 3 || args[0] != "run" || args[1] != "--config" {
		return fmt.Errorf("unexpected arguments %q", args)
	}
	content, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	var c struct {
		Data    string `yaml:"data"`
		Sources struct {
			Scrape struct {
				Files []string `yaml:"files"`
			} `yaml:"scrape"`
		} `yaml:"sources"`
		Flags struct {
			Definitions string `yaml:"definitions"`
		} `yaml:"flags"`
		Alerts struct {
			Receivers []struct {
				Webhook struct {
					URL string `yaml:"url"`
				} `yaml:"webhook"`
			} `yaml:"receivers"`
		} `yaml:"alerts"`
	}
	if err := yaml.Unmarshal(content, &c); err != nil {
		return err
	}
	f := &fake{variant: "new", version: "4.1.3", webhook: c.Alerts.Receivers[0].Webhook.URL, others: map[string]any{}}
	if err := f.readFlags(c.Flags.Definitions); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: f.routes()}
	go func() { _ = server.Serve(ln) }()
	if err := os.WriteFile(filepath.Join(c.Data, "token"), []byte("secret\n"), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Data, "listen"), []byte(ln.Addr().String()+"\n"), 0o644); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	tick := time.NewTicker(200 * time.Millisecond)
	for {
		select {
		case <-stop:
			return server.Close()
		case <-tick.C:
			f.look(c.Sources.Scrape.Files[0])
		}
	}
}

func (f *fake) readFlags(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var defs struct {
		Flags map[string]struct {
			Variants       map[string]any `json:"variants"`
			DefaultVariant string         `json:"defaultVariant"`
		} `json:"flags"`
	}
	if err := json.Unmarshal(content, &defs); err != nil {
		return err
	}
	for k, d := range defs.Flags {
		f.others[k] = d.Variants[d.DefaultVariant]
	}
	f.variants = defs.Flags[backoffFlag].Variants
	return nil
}

// look scrapes payments-2 for its build and alerts or resolves.
func (f *fake) look(file string) {
	content, err := os.ReadFile(file)
	if err != nil {
		return
	}
	var groups []struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	if json.Unmarshal(content, &groups) != nil {
		return
	}
	for _, g := range groups {
		if g.Labels["instance"] != "payments-2" || g.Labels["service"] != "payments" {
			continue
		}
		resp, err := http.Get("http://" + g.Targets[0] + "/metrics")
		if err != nil {
			return
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return
		}
		_, after, _ := strings.Cut(string(body), `dten_build_info{binary="dten-payments"`)
		_, after, _ = strings.Cut(after, `,version="`)
		f.mu.Lock()
		f.version, _, _ = strings.Cut(after, `"`)
		f.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	bad := f.version == "4.2.0" && f.variant == "new"
	if bad != f.bad {
		f.bad, f.since = bad, time.Now()
	}
	switch settled := time.Since(f.since) > 1500*time.Millisecond; {
	case bad && !f.fired && settled:
		f.fired = true
		f.notify("firing")
	case !bad && f.fired && settled:
		f.fired = false
		f.notify("resolved")
		f.toggles[0]["state"] = "recovered"
	}
}

func (f *fake) notify(status string) {
	body, err := json.Marshal(map[string]any{"version": "4", "status": status, "alerts": []any{map[string]any{
		"status": status, "fingerprint": "1", "labels": map[string]string{"cause": "binary", "binary": guilty},
		"annotations": map[string]string{
			"summary":  "payments /charge is slow",
			"reason":   guilty + ", in which backoff.Parse was added; " + innocent + " is out: nothing moved as its instances switched",
			"foreseen": "foreseen before the upgrade: payments falls back (" + foreseenRule + ", payments.env:1)",
		},
	}}})
	if err != nil {
		return
	}
	resp, err := http.Post(f.webhook, "application/json", strings.NewReader(string(body)))
	if err == nil {
		resp.Body.Close()
	}
}

func (f *fake) routes() http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, h func(*http.Request) any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			_ = json.NewEncoder(w).Encode(h(r))
		})
	}
	answer("GET /-/healthy", func(*http.Request) any { return "healthy" })
	answer("POST /ofrep/v1/evaluate/flags/{key}", func(r *http.Request) any {
		if key := r.PathValue("key"); key != backoffFlag {
			return object{"key": key, "value": f.others[key], "variant": "on", "reason": "STATIC"}
		}
		return object{"key": backoffFlag, "value": f.variants[f.variant], "variant": f.variant, "reason": "STATIC"}
	})
	answer("POST /api/v1/sign-in", func(*http.Request) any { return object{"link": "http://127.0.0.1/sign-in/once"} })
	answer("GET /api/v1/upgrades", func(*http.Request) any {
		if f.version == "4.1.3" {
			return object{"items": []any{}, "next": ""}
		}
		return object{"next": "", "items": []any{object{"id": "u1", "started_at": time.Now(), "binaries": []any{
			object{"name": guilty, "from": "4.1.3", "to": f.version}, object{"name": innocent, "from": "4.1.3", "to": "4.2.0"},
		}}}}
	})
	answer("GET /api/v1/upgrades/u1/verdicts", func(*http.Request) any {
		items := []any{object{"verdict": "clear"}}
		if f.fired {
			causes := []any{object{"kind": "binary", "name": guilty, "probability": 0.95}}
			for _, kind := range []string{"latency", "retry"} {
				items = append(items, object{"verdict": "regressed", "indicator": object{"kind": kind}, "causes": causes})
			}
		}
		return object{"items": items, "next": ""}
	})
	answer("GET /api/v1/upgrades/u1/report", func(*http.Request) any { return "review of " + guilty })
	answer("GET /api/v1/reports/this", func(*http.Request) any { return "a week of " + guilty })
	answer("GET /api/v1/flags/"+backoffFlag+"/history", func(*http.Request) any { return object{"items": f.toggles, "next": ""} })
	answer("GET /api/v1/flags/"+backoffFlag+"/tuning", func(*http.Request) any {
		if os.Getenv(untuned) != "" {
			return object{"why": "nothing that was tried is better", "rows": []any{}, "suggestion": object{"variant": "legacy", "row": "legacy"}}
		}
		return object{
			"why": "it loses fewer calls", "rows": []any{
				object{"name": "suggested", "retries_per_call": object{"value": 0.05, "error": 0.01}},
				// Nobody can lose less than none: whatever is counted is more.
				object{"name": "tuned", "retries_per_call": object{"value": 0.05, "error": 0.01}, "failed": object{"value": 0.02, "error": 0.01}},
			},
			"suggestion": object{"variant": "tuned", "row": "suggested", "changed": true, "value": object{
				"strategy": "exponential", "base_ms": 60, "cap_ms": 240, "factor": 2, "jitter": 0.2, "max_attempts": 3, "slow_ms": 0,
			}},
		}
	})
	mux.HandleFunc("PUT /api/v1/flags/"+backoffFlag, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		var in struct {
			Variant, Reason, Upgrade string
			Value                    any
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Reason == "" || r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "refused", http.StatusForbidden)
			return
		}
		f.variant = in.Variant
		if in.Value != nil {
			f.variants[in.Variant] = in.Value
		}
		t := map[string]any{"id": fmt.Sprintf("t%d", len(f.toggles)+1), "after": in.Variant, "state": "verified", "actor": "api", "at": time.Now()}
		f.toggles = append(f.toggles, t)
		_ = json.NewEncoder(w).Encode(t)
	})
	return mux
}
