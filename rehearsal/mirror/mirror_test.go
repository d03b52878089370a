package mirror

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

const production = `
os: Debian 12
kernel: 6.1.0-13-amd64
packages: [{name: openssl, version: 3.0.11}, {name: curl, version: "8"}]
services: [{service: dten-checkout, version: 4.1.3}, {service: dten-payments, version: 4.1.3}]
configuration: {dten.hybrid.enable: "true", db.password: s3cret, only.production: "1"}
databases:
  - {engine: postgresql, version: "15.4", tables: [{name: public.orders, rows: 1000000, bytes: 800000000}, {name: carts, rows: 1000}, {name: tiny, rows: 3}, {name: blobs, bytes: 50000000}, {name: gone, rows: 5}]}
third_parties: [{name: acme-pay, endpoint: "https://api.acme.example"}, mailer]
unknown: {is: passed over}
`

const copied = `
os: Debian 12
kernel: 6.1.0-9-amd64
packages: [{name: openssl, version: 3.0.9}]
services: [{service: dten-checkout, version: 4.1.2}, {service: dten-payments, version: 4.1.3}]
configuration: {dten.hybrid.enable: "false", db.password: other}
databases:
  - {engine: postgresql, version: "15.2", tables: [{name: public.orders, rows: 10000, bytes: 8000000}, {name: carts, rows: 300}, {name: tiny, rows: 50}, {name: blobs, bytes: 49000000}]}
third_parties: [{name: acme-pay, endpoint: "http://sandbox:8080"}, mailer]
`

func parse(t *testing.T, text string) Mirror {
	t.Helper()
	m, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCompare(t *testing.T) {
	t.Parallel()
	got := Listing(Compare(parse(t, production), parse(t, copied)), 100)
	want := []string{
		"major  service dten-checkout is 4.1.2 on the copy, 4.1.3 in production",
		"major  the copy has 1/100 of the rows of public.orders",
		"major  the copy has no table gone",
		"major  third party acme-pay is http://sandbox:8080 on the copy, https://api.acme.example in production",
		"minor  the kernel is 6.1.0-9-amd64 on the copy, 6.1.0-13-amd64 in production",
		"minor  the copy has no package curl",
		"minor  package openssl is 3.0.9 on the copy, 3.0.11 in production",
		"minor  db.password is set otherwise on the copy",
		"minor  dten.hybrid.enable is set otherwise on the copy",
		"minor  only.production isn't set on the copy",
		"minor  postgresql is 15.2 on the copy, 15.4 in production",
		"minor  the copy has 1/3.3 of the rows of carts",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if strings.Contains(strings.Join(got, " "), "s3cret") {
		t.Error("a value of a setting is told")
	}
}

func TestWhatIsUnknownIsNoDifference(t *testing.T) {
	t.Parallel()
	all := parse(t, production)
	if got := Compare(all, all); len(got) > 0 {
		t.Errorf("with itself: %v", got)
	}
	if got := Compare(all, parse(t, "os: Debian 12")); len(got) > 0 {
		t.Errorf("with an inventory of nothing but the same system: %v", got)
	}
}

func verdictOf(kind detector.Kind, service string, s detector.State) detector.Verdict {
	return detector.Verdict{Indicator: detector.Indicator{Kind: kind, Labels: map[string]string{"service": service}}, State: s}
}

func TestWeaken(t *testing.T) {
	t.Parallel()
	differences := Compare(parse(t, production), parse(t, copied))
	lock := detector.Hypothesis{Kind: detector.HypothesisLock, Says: "orders is locked", Tables: []string{"orders"}, Services: []string{"checkout"}, Indicators: []detector.Kind{detector.Latency}}
	for _, tt := range []struct {
		name        string
		hypothesis  detector.Hypothesis
		verdict     detector.Verdict
		want        detector.State
		missing     string
		warningsMin int
	}{
		{"clear is taken back", lock, verdictOf(detector.Latency, "checkout", detector.Clear), detector.Undecided, "1/100 of the rows of public.orders", 1},
		{"improved is taken back", lock, verdictOf(detector.Latency, "checkout", detector.Improved), detector.Undecided, "improved can't be claimed", 1},
		{"regressed stays", lock, verdictOf(detector.Latency, "checkout", detector.Regressed), detector.Regressed, "", 1},
		{"another service", lock, verdictOf(detector.Latency, "payments", detector.Clear), detector.Clear, "", 0},
		{"another kind", lock, verdictOf(detector.Error, "checkout", detector.Clear), detector.Clear, "", 0},
		{"a minor difference warns", detector.Hypothesis{Tables: []string{"Carts"}}, verdictOf(detector.Latency, "x", detector.Clear), detector.Clear, "", 1},
		{"a setting", detector.Hypothesis{Key: "dten.hybrid.enable"}, verdictOf(detector.Latency, "x", detector.Clear), detector.Undecided, "dten.hybrid.enable", 1},
		{"a binary", detector.Hypothesis{Binaries: []string{"dten_checkout"}}, verdictOf(detector.Latency, "x", detector.Clear), detector.Undecided, "4.1.2", 1},
		{"a binary that is alike", detector.Hypothesis{Binaries: []string{"dten-payments"}}, verdictOf(detector.Latency, "x", detector.Clear), detector.Clear, "", 0},
		{"a table that ends alike", detector.Hypothesis{Tables: []string{"reorders"}}, verdictOf(detector.Latency, "x", detector.Clear), detector.Clear, "", 0},
	} {
		list := []detector.Verdict{tt.verdict}
		Weaken(list, differences, []detector.Hypothesis{tt.hypothesis})
		if v := list[0]; v.State != tt.want || !strings.Contains(v.Missing, tt.missing) || len(v.Warnings) < tt.warningsMin || tt.warningsMin == 0 && len(v.Warnings) > 0 {
			t.Errorf("%s: got %s, %q, %v", tt.name, v.State, v.Missing, v.Warnings)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(production))
	f.Add([]byte("databases: [{tables: [{name: a, rows: 1e300}]}]"))
	f.Add([]byte("third_parties: [[]]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		if got := Compare(m, m); len(got) > 0 && !twice(m) {
			t.Fatalf("differs from itself: %v", got)
		}
		Compare(m, Mirror{})
	})
}

// twice says whether something comes twice, of which only one is looked at.
func twice(m Mirror) bool {
	databases, tables, parties := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, d := range m.Databases {
		key := strings.TrimSpace(d.Engine + " " + d.Name)
		if databases[key] {
			return true
		}
		databases[key] = true
		clear(tables)
		for _, x := range d.Tables {
			if tables[x.Name] {
				return true
			}
			tables[x.Name] = true
		}
	}
	for _, p := range m.ThirdParties {
		if parties[p.Name] {
			return true
		}
		parties[p.Name] = true
	}
	return false
}

// What aftershock inventory writes is read as it is.
func TestInventory(t *testing.T) {
	m, err := Parse([]byte("taken_at: 2026-03-06T07:00:00Z\nhosts: [a]\nos: {id: debian, version: \"12\", name: Debian GNU/Linux 12}\nkernel: 6.1.0\nunits: [{name: a.service}]\nthird_parties: [{name: acme-pay, host: acme.example}]\n"))
	if err != nil || m.OS != "debian 12" || m.ThirdParties[0].Endpoint != "acme.example" || m.Kernel != "6.1.0" {
		t.Errorf("got %+v (%v)", m, err)
	}
}
