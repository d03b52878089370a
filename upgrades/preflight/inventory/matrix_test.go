package inventory

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"aftershock/detector"
	"aftershock/upgrades/inside"
	"aftershock/upgrades/preflight/version"
)

const pathsText = `products:
  - product: dten
    also: [dten-checkout, checkout]
    releases: [3.9.4, 4.0.9, 4.1.3, 4.1.9, 4.2.0]
    paths:
      - from: 3.x
        to: 4.0.x
        needs:
          manual: |
            move the ledger
            by hand
      - from: ">= 4.0, < 4.2"
        to: 4.1.x
      - from: ~4.1
        to: 4.2.x
        needs:
          disk: 2GiB
          disk_path: /var/lib/dten
          packages:
            - libssl3 (>= 3.0.11)
            - nosuch
          keys:
            - dten.hybrid.enable
          downtime: 10m
`

func paths(t *testing.T, text string) Paths {
	t.Helper()
	p, err := ParsePaths("paths.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRoute(t *testing.T) {
	p := paths(t, pathsText)
	for _, tt := range []struct{ from, to, want string }{
		{"4.1.3", "4.2.0", "4.1.3>4.2.0"},
		{"4.1.3", "4.1.3", ""},
		{"4.0.1", "4.2.0", "4.0.1>4.1.9 4.1.9>4.2.0"},
		{"3.9.4", "4.2.5", "3.9.4>4.0.9 4.0.9>4.1.9 4.1.9>4.2.5"},
		{"2.0", "4.2.0", "no known path of dten begins at 2.0"},
		{"3.1", "5.0", "no known path leads dten from 3.1 to 5.0: 4.2.0 is as far as one gets"},
		{"4.2.0", "4.1.3", "no known path of dten begins at 4.2.0"},
		{"4.1.9", "4.1.3", "no known path leads dten from 4.1.9 to 4.1.3: "},
		{"x", "4.1.3", `the version to go from: "x" is no semantic version: "x" is no number`},
	} {
		steps, err := p.Route("checkout", tt.from, tt.to)
		var got []string
		for _, s := range steps {
			got = append(got, s.From+">"+s.To)
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if text != tt.want && (!strings.HasSuffix(tt.want, ": ") || !strings.HasPrefix(text, "no known path")) {
			t.Errorf("%s to %s: %s, want %s", tt.from, tt.to, text, tt.want)
		}
	}
	if _, err := p.Route("other", "1", "2"); !errors.Is(err, ErrUnknownProduct) {
		t.Error(err)
	}
	steps, err := p.Route("dten", "3.0", "4.2.0")
	if err != nil || Downtime(steps) != 10*time.Minute {
		t.Errorf("downtime %s, %v", Downtime(steps), err)
	}
}

// TestRouteIsShortest holds routes over single versions to a search that tries every way.
func TestRouteIsShortest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edges := map[[2]int]bool{}
		text := "products:\n- product: p\n  paths:\n"
		for range rapid.IntRange(1, 14).Draw(t, "paths") {
			a, b := rapid.IntRange(1, 7).Draw(t, "from"), rapid.IntRange(1, 7).Draw(t, "to")
			text += fmt.Sprintf("  - {from: 1.0.%d, to: 1.0.%d}\n", a, b)
			if a < b { // steps only lead up
				edges[[2]int{a, b}] = true
			}
		}
		var shortest func(from, to int) int
		shortest = func(from, to int) int {
			if from == to {
				return 0
			}
			best := 1000
			for e := range edges {
				if e[0] == from {
					best = min(best, 1+shortest(e[1], to))
				}
			}
			return best
		}
		p, err := ParsePaths("", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		steps, err := p.Route("p", "1.0.1", "1.0.7")
		want := shortest(1, 7)
		if (err != nil) != (want >= 1000) || err == nil && len(steps) != want {
			t.Fatalf("%d steps, %v; want %d\n%s", len(steps), err, want, text)
		}
		for i, s := range steps {
			if i > 0 && steps[i-1].To != s.From {
				t.Fatalf("step %d begins at %s, the one before ended at %s", i, s.From, steps[i-1].To)
			}
		}
	})
}

func TestPathsChecked(t *testing.T) {
	p := paths(t, pathsText)
	at := detector.Place{File: "manifest.yaml", Line: 2}
	got := rules(p.Check(installed, []Change{{Name: "dten-checkout", To: "4.2.0", Place: at}}))
	want := []string{
		"blocker inventory/disk-space paths.yaml:17",
		"blocker inventory/step-package paths.yaml:20",
		"note inventory/step-downtime paths.yaml:17",
		"note inventory/step-key paths.yaml:23",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	old := Inventory{Services: []Service{{Service: "checkout", Version: "3.1"}}}
	got = rules(p.Check(old, []Change{{Name: "dten-checkout", To: "4.0.0", Place: at}}))
	if d := cmp.Diff([]string{"risk inventory/manual-step paths.yaml:9"}, got); d != "" {
		t.Error(d)
	}
	got = rules(p.Check(old, []Change{{Name: "dten-checkout", To: "5.0.0", Place: at}}))
	if d := cmp.Diff([]string{"blocker inventory/no-upgrade-path manifest.yaml:2"}, got); d != "" {
		t.Error(d)
	}
	old.Services[0].Version = "4.0.1"
	got = rules(p.Check(old, []Change{{Name: "dten-checkout", To: "4.2.0-1", Scheme: version.Debian, Place: at}}))
	if d := cmp.Diff([]string{"blocker inventory/intermediate-versions manifest.yaml:2", "note inventory/step-downtime paths.yaml:17", "note inventory/step-key paths.yaml:23"}, got); d != "" {
		t.Error(d)
	}
	if f := p.Check(Inventory{}, []Change{{Name: "dten-checkout", To: "9"}}); f != nil {
		t.Errorf("an empty inventory tells %v", f)
	}
}

// TestPathsOncePerWay: the package and its binaries, all names of one product, go one way.
func TestPathsOncePerWay(t *testing.T) {
	inv := Inventory{Services: []Service{{Service: "checkout", Binary: "dten-checkout", Version: "4.0.1"}}}
	at := detector.Place{File: "manifest.yaml", Line: 2}
	changes := []Change{{Name: "dten-checkout", Also: []string{"checkout"}, To: "4.2.0", Place: at}, {Name: "checkout", To: "4.2.0", Place: detector.Place{File: "manifest.yaml", Line: 9}}}
	want := []string{"blocker inventory/intermediate-versions manifest.yaml:2", "note inventory/step-downtime paths.yaml:17", "note inventory/step-key paths.yaml:23"}
	if d := cmp.Diff(want, rules(paths(t, pathsText).Check(inv, changes))); d != "" {
		t.Error(d)
	}
}

const compatibilityText = `rules:
  - product: checkout
    versions: ">= 4.2"
    with:
      - neighbour: payments
        versions: ">= 4.1, < 5"
        why: older ones answer without an amount
      - neighbour: ledger
        versions: ">= 1"
      - neighbour: checkout
        versions: ">= 4.1"
  - product: dten-web
    versions: 7.x
    with:
      - {neighbour: checkout, versions: "< 4.2"}
needs:
  - neighbour: dten-web
    of: dten-checkout
    routes:
      - POST /place
      - /kept
      - /never
    services:
      - dten.v1.Checkout/Place
    functions:
      - Legacy
    sql:
      - old_orders
`

func compatibility(t *testing.T) Compatibility {
	t.Helper()
	m, err := ParseCompatibility("matrix.yaml", []byte(compatibilityText))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCompatibility(t *testing.T) {
	m := compatibility(t)
	checkout := Change{Name: "dten-checkout", Also: []string{"checkout"}, To: "4.2.0"}
	got := rules(m.Check(installed, []Change{checkout}))
	want := []string{
		"blocker inventory/incompatible matrix.yaml:15",      // dten-web 7.2.0 wants checkout < 4.2
		"blocker inventory/incompatible matrix.yaml:5",       // payments 4.0.9 still runs beside 4.1.3
		"note inventory/neighbour-unknown",                   // ledger
		"risk inventory/incompatible-rollout matrix.yaml:10", // an old process of 4.0.1 still runs
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// The upgrade brings payments as well: its old build runs until the roll-out is over.
	got = rules(m.Check(installed, []Change{checkout, {Name: "payments", To: "4.2.0"}}))
	want = append(slices.Delete(want, 1, 2), "risk inventory/incompatible-rollout matrix.yaml:5")
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// A payments that is too new, and a checkout whose old build can't run beside the new one.
	old := Inventory{Services: []Service{{Service: "checkout", Version: "4.0.9"}}}
	got = rules(m.Check(old, []Change{checkout, {Name: "payments", To: "5.0.0"}}))
	want = []string{"blocker inventory/incompatible matrix.yaml:5", "note inventory/neighbour-unknown", "risk inventory/incompatible-rollout matrix.yaml:10"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, c := range []Change{{Name: "dten-checkout", Also: []string{"checkout"}, To: "4.1.4"}, {Name: "other", To: "1"}} {
		if f := m.Check(installed, []Change{c}); len(f) > 0 {
			t.Errorf("%s %s: %v", c.Name, c.To, rules(f))
		}
	}
}

func TestMatricesRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"products:\n- product: a\n  paths:\n  - from: 1\n", "line 4: a path needs from and to"},
		{"products:\n- product: a\n  paths:\n  - {from: 1, to: recent}\n", `line 4: to: "recent": "recent" is no semantic version: "recent" is no number`},
		{"products:\n- product: a\n  scheme: pip\n", `line 2: unknown scheme "pip" of versions: want semver, deb or rpm`},
		{"products:\n- product: a\n  paths:\n  - from: 1\n    to: 2\n    needs:\n      disk: much\n", `line 7: products[0].paths[0].needs.disk: "much" is no size, want one like 2GiB or a number of bytes`},
		{"products:\n- product: a\n  paths:\n  - from: 1\n    to: 2\n    needs:\n      downtime: -5m\n", `line 7: products[0].paths[0].needs.downtime: "-5m" is no length of time, want one like 10m or 1h30m`},
	} {
		if _, err := ParsePaths("", []byte(tt.text)); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
	for _, tt := range []struct{ text, want string }{
		{"rules:\n- product: a\n", "line 2: a rule needs product and with"},
		{"rules:\n- product: a\n  with:\n  - neighbour: b\n", "line 4: what a product goes with needs neighbour and versions"},
		{"needs:\n- of: a\n", "line 2: a need has neighbour and of"},
	} {
		if _, err := ParseCompatibility("", []byte(tt.text)); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
}

const program = `package main

import (
	"fmt"
	"net/http"
	"os"
)

%s

func main() {
	http.HandleFunc("/kept", func(http.ResponseWriter, *http.Request) {})
	for _, s := range texts {
		http.HandleFunc(s, func(http.ResponseWriter, *http.Request) {})
		fmt.Fprintln(os.Stderr, s)
	}
	Legacy(len(os.Args))
}
`

func build(t *testing.T, name, part string) string {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[string]string{"go.mod": "module example.com/" + name + "\n\ngo 1.24\n", "main.go": fmt.Sprintf(program, part)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-o", name, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return filepath.Join(dir, name)
}

// TestBuilds compares two real builds.
func TestBuilds(t *testing.T) {
	old := build(t, "dten-checkout", `var texts = []string{"POST /place", "GET /v1/gone", "/vague", "/etc/dten/x.conf", "/dten.v1.Checkout/Place", "/dten.v1.Checkout/Stays", "SELECT id FROM old_orders JOIN kept_table ON true"}

//go:noinline
func Legacy(n int) { fmt.Println("legacy", n) }`)
	new := build(t, "dten-checkout", `var texts = []string{"/dten.v1.Checkout/Stays", "INSERT INTO kept_table VALUES (1)"}

//go:noinline
func legacy2(n int) { fmt.Println("legacy", n) }

var Legacy = legacy2`)
	p, err := inside.Take(old)
	if err != nil {
		t.Fatal(err)
	}
	m := compatibility(t)
	inv := Inventory{Files: []File{{Path: old, SHA256: p.SHA256}}}
	findings, err := m.CheckBuilds(t.Context(), inv, []Change{{Name: "dten-checkout", To: "2", New: new}}, inside.Cache{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"blocker inventory/interface-removed matrix.yaml:20",
		"blocker inventory/interface-removed matrix.yaml:24",
		"blocker inventory/interface-removed matrix.yaml:26",
		"blocker inventory/interface-removed matrix.yaml:28",
		"note inventory/interface-gone",
		"note inventory/interface-unfound matrix.yaml:22",
		"risk inventory/interface-gone",
	}
	if d := cmp.Diff(want, rules(findings)); d != "" {
		t.Error(d)
	}
	for _, f := range findings {
		if f.Rule == "inventory/interface-gone" {
			got := f.What[strings.LastIndex(f.What, ": ")+2:]
			if want := map[string]string{"risk": "GET /v1/gone", "note": "/vague"}[f.Severity]; got != want {
				t.Errorf("%s: %q, want %q", f.Severity, got, want)
			}
		}
	}
	if f, _ := m.CheckBuilds(t.Context(), inv, []Change{{Name: "dten-checkout", New: old}}, inside.Cache{}); len(f) > 0 {
		t.Errorf("a build against itself: %v", rules(f))
	}
	inv.Files[0].SHA256 = strings.Repeat("0", 64) // another build than the inventory saw
	f, _ := m.CheckBuilds(t.Context(), inv, []Change{{Name: "dten-checkout", New: new}}, inside.Cache{})
	if d := cmp.Diff([]string{"note inventory/build-unknown"}, rules(f)); d != "" {
		t.Error(d)
	}
}

func TestInterfacesOf(t *testing.T) {
	got := InterfacesOf(inside.Fingerprint{Texts: []string{
		"/api/v2/orders/{id}", "/usr/bin/env", "/proc/self/exe", "GET /x", "POST example.com/y", "/a.b.C/D", "/orders", "/a.txt", "//", "/", "/gc/heap/live:bytes", "/users/:id/{x}",
		"SELECT a FROM \"Orders\" o LEFT JOIN public.items i ON true", "update failed from the server", "select one from the list", "UPDATE stock SET n = 1",
		"CREATE TABLE IF NOT EXISTS ledger (id int)", "delete everything", "select: from", "please update table manners",
	}})
	want := Interfaces{
		Routes:   map[string]bool{"/api/v2/orders/{id}": true, "GET /x": true, "POST example.com/y": true, "/orders": false, "/users/:id/{x}": false},
		Services: map[string]bool{"a.b.C": true, "a.b.C/D": true},
		Tables:   map[string]bool{"orders": true, "public.items": true, "stock": true, "ledger": true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzMatrices(f *testing.F) {
	f.Add([]byte(pathsText), "4.0.1", "4.2.0")
	f.Add([]byte(compatibilityText), "1", "2")
	f.Add([]byte("products:\n- product: dten\n  scheme: deb\n  paths: [{from: '*', to: '*', downgrade: true}]\n"), "1:2~3", "0")
	f.Fuzz(func(t *testing.T, data []byte, from, to string) {
		c := Change{Name: "dten", Also: []string{"checkout"}, To: to}
		inv := Inventory{Services: []Service{{Service: "dten", Version: from}, {Service: "payments", Version: to}}}
		if p, err := ParsePaths("", data); err == nil {
			p.Check(inv, []Change{c})
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
		if m, err := ParseCompatibility("", data); err == nil {
			m.Check(inv, []Change{c})
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
	})
}

// TestReadMatrices reads matrices from files, whose names their findings bear.
func TestReadMatrices(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return at
	}
	good := file("paths.yaml", pathsText)
	if p, err := ReadPaths(good); err != nil || p.File != good {
		t.Errorf("%s, %v", p.File, err)
	}
	if m, err := ReadCompatibility(file("matrix.yaml", compatibilityText)); err != nil || m.File != filepath.Join(dir, "matrix.yaml") {
		t.Errorf("%s, %v", m.File, err)
	}
	bad := file("bad.yaml", "product: a\n")
	want := "read upgrade paths " + bad + ": line 1: product: unknown field"
	if _, err := ReadPaths(bad); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	want = "read compatibility matrix " + bad + ": line 1: product: unknown field"
	if _, err := ReadCompatibility(bad); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := ReadPaths(file("large.yaml", strings.Repeat("#", MaxMatrix+1))); err == nil || !strings.Contains(err.Error(), "is larger than") {
		t.Error(err)
	}
}
