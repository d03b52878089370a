package inventory

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"aftershock/detector"
	"aftershock/upgrades/preflight/version"
)

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "is empty"},
		{"hosts: [a]\nhost: b\n", "line 2: host: unknown field"},
		{"packages:\n  - name: a\n    verison: 1\n", "line 3: packages[0].verison: unknown field"},
		{"packages:\n  - version: 1\n", "packages[0]: has no name"},
		{"files:\n  - path: bin/a\n", `files[0]: "bin/a" is no absolute path`},
		{"time_zone: Mars/Olympus\n", `time_zone: "Mars/Olympus" isn't known`},
		{"taken_at: yesterday\n", `line 1: taken_at: "yesterday" is no time, want one of RFC 3339`},
		{"hosts: a\nunits: 3\n", "line 1: hosts: is a text, want a list; line 2: units: is a number, want a list"},
		{"{\"hosts\": [\"a\"],\n\t\"kernel\": true}", "line 2: kernel: is a boolean, want a text"},
		{"{\"hosts\": [\"a\"],\n", "line 2: ends in the middle"},
		{"hosts: [a]\n---\nhosts: [b]\n", "line 2: a second document begins, want one a file"},
		{"hosts: [a]\nhosts: [b]\n", "line 2: hosts: comes twice"},
		{"hosts: [\n", "line 1: did not find expected node content"},
		{strings.Repeat("#", MaxSize+1), "is larger than 4194304 bytes"},
		{"a: \xff", "isn't UTF-8 text"},
	} {
		if _, err := Parse([]byte(tt.text)); err == nil || err.Error() != tt.want {
			t.Errorf("%.40q: %v, want %s", tt.text, err, tt.want)
		}
	}
}

// TestAliasBomb: what aliases name counts each time.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("databases:\n  - engine: a\n    tables: &t [" + strings.Repeat("{name: a},", 2000) + "]\n")
	for range 10_000 {
		b.WriteString("  - {engine: b, tables: *t}\n")
	}
	start := time.Now()
	_, err := Parse([]byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), "too deep or too much") {
		t.Errorf("a bomb of aliases: %v", err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("it took %s", d)
	}
}

var words1 = rapid.StringMatching(`[a-z][a-z0-9.:"'#\\ -]{0,11}[a-z]`)

// TestWriteRead: what is written is read again, in both forms.
func TestWriteRead(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 3, 6, 8, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		inv := Inventory{
			TakenAt: at, Hosts: rapid.SliceOfN(words1, 1, 3).Draw(t, "hosts"), TimeZone: "Europe/Berlin", Kernel: words1.Draw(t, "kernel"),
			OS:        OS{ID: words1.Draw(t, "id"), Version: rapid.StringMatching(`[0-9]{1,2}(\.[0-9]0)?`).Draw(t, "os")},
			Disks:     []Disk{{Path: "/", Free: rapid.Int64Range(0, 1<<50).Draw(t, "free")}},
			Packages:  []Package{{Name: words1.Draw(t, "package"), Version: rapid.SampledFrom([]string{"1.10", "true", "null", "0x10", "1e3", "~", "1_0"}).Draw(t, "version"), Source: "dpkg", Provides: []string{"p"}}},
			Services:  []Service{{Service: "checkout", Version: "4.1.3", Instances: []string{"a:1", "b:1"}}},
			Files:     []File{{Path: "/opt/" + words1.Draw(t, "file"), SHA256: "ab", Modified: at}},
			Processes: []Process{{PID: 3, Exe: "/opt/x", Started: at, Deleted: rapid.Bool().Draw(t, "deleted")}},
			Units:     []Unit{{Name: "a.service", State: UnitEnabled}}, RetiredHosts: []string{"sftp.old.example"},
			ConfigurationRoots: []string{"/etc/dten"}, Databases: []Database{{Engine: "postgresql", Version: "15.3", Tables: []Table{{"orders", new(int64(1 << 40)), nil}, {"none", new(int64(0)), new(int64(0))}}}},
			ThirdParties: []ThirdParty{{"acme-pay", "api.acme.example"}}, Notes: []string{words1.Draw(t, "note")},
		}
		for _, name := range []string{"inventory.yaml", "inventory.json"} {
			file := filepath.Join(dir, name)
			if err := inv.Write(file); err != nil {
				t.Fatal(err)
			}
			got, err := Read(file)
			if err != nil {
				t.Fatal(name, err)
			}
			if d := cmp.Diff(inv, got); d != "" {
				t.Fatalf("%s: %s", name, d)
			}
		}
	})
}

func TestReadRefusesOtherThanFiles(t *testing.T) {
	if _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Error(err)
	}
	if _, err := Read("/does/not/exist"); !os.IsNotExist(unwrapped(err)) {
		t.Error(err)
	}
}

func unwrapped(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

func TestServices(t *testing.T) {
	got := Services([]Build{
		{"dten_payments_build_info", map[string]string{"service": "payments", "version": "4.1.3", "revision": "abc", "instance": "b:9"}},
		{"dten_payments_build_info", map[string]string{"service": "payments", "version": "4.1.3", "revision": "abc", "instance": "a:9"}},
		{"dten_payments_build_info", map[string]string{"service": "payments", "version": "4.2.0", "revision": "def", "instance": "c:9"}},
		{"target_info", map[string]string{"service_name": "web", "service_version": "7", "host_name": "h"}},
		{"go_build_info", map[string]string{"job": "node", "version": "(devel)"}},
		{"build_info", map[string]string{"job": "node", "version": "1.8.0", "binary": "node_exporter"}},
		{"up", map[string]string{"job": "node", "version": "3"}},
	})
	want := []Service{
		{Service: "node", Version: "1.8.0", Binary: "node_exporter", Instances: []string{}},
		{Service: "payments", Version: "4.1.3", Revision: "abc", Binary: "dten_payments", Instances: []string{"a:9", "b:9"}},
		{Service: "payments", Version: "4.2.0", Revision: "def", Binary: "dten_payments", Instances: []string{"c:9"}},
		{Service: "web", Version: "7", Instances: []string{"h"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// installed is an inventory for what asks of it.
var installed = Inventory{
	Hosts: []string{"app1"}, OS: OS{ID: "debian", Version: "12"}, Kernel: "6.1.0-18-amd64",
	Disks: []Disk{{Path: "/", Free: 10 << 30}, {Path: "/var", Free: 1 << 30}},
	Packages: []Package{
		{Name: "libssl3", Version: "3.0.9-1", Source: "dpkg"},
		{Name: "exim4", Version: "4.96-15", Source: "dpkg", Provides: []string{"mail-transport-agent", "exim (= 4.90)"}},
		{Name: "linux-image", Version: "5.10-1", Source: "dpkg"},
		{Name: "linux-image", Version: "6.1-1", Source: "dpkg"},
		{Name: "openssl-libs", Version: "1:1.1.1k-12.el8", Source: "rpm"},
	},
	Services: []Service{
		{Service: "checkout", Binary: "dten_checkout", Version: "4.1.3"},
		{Service: "payments", Version: "4.1.3"},
		{Service: "payments", Version: "4.0.9"},
	},
	Files:     []File{{Path: "/opt/dten/bin/dten-web", Version: "7.2.0"}},
	Processes: []Process{{PID: 7, Exe: "/opt/dten/bin/dten-checkout", Version: "4.0.1", Deleted: true}, {PID: 9, Exe: "/usr/sbin/cron", Deleted: true}},
	Databases: []Database{{Name: "orders", Engine: "postgresql", Version: "15.3"}},
}

func TestSatisfied(t *testing.T) {
	for _, tt := range []struct {
		scheme version.Scheme
		field  string
		want   State
		has    string
	}{
		{version.Debian, "libssl3 (>= 3.0.9)", Satisfied, "libssl3 3.0.9-1"},
		{version.Debian, "libssl3 (>= 3.0.11)", Unsatisfied, "libssl3 3.0.9-1"},
		{version.Semver, "libssl3 (^3.0)", Satisfied, "libssl3 3.0.9-1"},
		{version.Debian, "mail-transport-agent", Satisfied, "mail-transport-agent"},
		{version.Debian, "mail-transport-agent (>= 3)", Unknown, ""},
		{version.Debian, "exim (>= 4.90)", Satisfied, "exim 4.90"},
		{version.Debian, "exim (>= 4.91)", Unsatisfied, "exim 4.90"},
		{version.Debian, "exi", Unknown, ""},
		{version.Debian, "nosuch | libssl3 (>= 3.0.9)", Satisfied, "libssl3 3.0.9-1"},
		{version.Debian, "nosuch", Unknown, ""},
		{version.Debian, "linux-image (>= 6)", Satisfied, "linux-image 6.1-1"},
		{version.RPM, "openssl-libs >= 1:1.1.1", Satisfied, "openssl-libs 1:1.1.1k-12.el8"},
		{version.RPM, "openssl-libs >= 1:3", Unsatisfied, "openssl-libs 1:1.1.1k-12.el8"},
		{version.Semver, "payments (>= 4.1)", Unsatisfied, "payments 4.1.3 and payments 4.0.9"}, // a roll-out isn't over
		{version.Semver, "payments (>= 4.0)", Satisfied, "payments 4.1.3"},
		{version.Semver, "postgresql (>= 14)", Satisfied, "postgresql 15.3"},
		{version.Semver, "linux (>= 6)", Satisfied, "linux 6.1.0"},
		{version.Semver, "debian (12)", Satisfied, "debian 12"},
		{version.Semver, "dten-web (8.x)", Unsatisfied, "dten-web 7.2.0"},
	} {
		relations, err := version.ParseRelations(tt.scheme, tt.field)
		if err != nil {
			t.Fatal(err)
		}
		state, has := installed.Satisfied(relations[0])
		if state != tt.want || has != tt.has && tt.field != "payments (>= 4.0)" {
			t.Errorf("%s: %d, %q; want %d, %q", tt.field, state, has, tt.want, tt.has)
		}
	}
}

// TestFindOneVersion: a build that Go calls v4.1.3 is that of the service's 4.1.3, and a commit
// without a tag is no version 0.0.0.
func TestFindOneVersion(t *testing.T) {
	inv := Inventory{
		Services:  []Service{{Service: "dten-checkout", Version: "4.1.3"}},
		Files:     []File{{Path: "/opt/dten-checkout", Version: "v4.1.3"}, {Path: "/opt/dten-web", Version: "v0.0.0-20260101120000-0123456789ab+dirty"}},
		Processes: []Process{{Exe: "/opt/dten-checkout", Version: "v4.1.3"}},
	}
	if got := (Change{Name: "dten-checkout"}).found(inv); len(got) != 1 || got[0].Version != "4.1.3" {
		t.Errorf("%+v", got)
	}
	if got := (Change{Name: "dten-web"}).found(inv); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestFindNoDatabaseByItsName: a database that is called as the product tells the version of its server.
func TestFindNoDatabaseByItsName(t *testing.T) {
	inv := Inventory{Databases: []Database{{Name: "shop", Engine: "pg", Version: "15.18"}}}
	if got := inv.Find("shop"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if got := inv.Find("postgres"); len(got) != 1 || got[0].Version != "15.18" {
		t.Errorf("%+v", got)
	}
}

func TestOldBuilds(t *testing.T) {
	findings := installed.Check([]Change{{Name: "dten-checkout", To: "4.2.0"}})
	var got []string
	for _, f := range findings {
		got = append(got, f.Severity+" "+f.Rule+" "+f.What)
	}
	want := []string{
		"risk inventory/old-build dten-checkout runs an old build, 4.0.1: its file was replaced or deleted since process 7 began",
		"note inventory/replaced-programs 1 other programs run builds that were replaced on disk: cron",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	h := []detector.Hypothesis{{Kind: detector.HypothesisOldBuild, Says: "app1 goes on running the old build of dten-checkout", Binaries: []string{"dten-checkout"}}}
	if d := cmp.Diff(h, findings[0].Hypotheses); d != "" {
		t.Error(d)
	}
	if f := (Inventory{}).Check([]Change{{Name: "a"}}); f != nil {
		t.Errorf("an empty inventory tells %v", f)
	}
}

// rules are severity, rule and line of findings.
func rules(findings []detector.Finding) []string {
	var all []string
	for _, f := range findings {
		s := f.Severity + " " + f.Rule
		if f.Place.Line > 0 {
			s += " " + f.Place.File + ":" + itoa(f.Place.Line)
		}
		if f.What == "" || f.Why == "" || f.Do == "" || strings.Contains(f.What, "\n") {
			s += " is incomplete"
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

func itoa(n int) string { return strconv.Itoa(n) }

func FuzzParse(f *testing.F) {
	f.Add([]byte("hosts: [a]\npackages:\n  - {name: a, version: 1.10}\n"))
	f.Add([]byte("{\"hosts\": [\"a\\ud83d\\ude00\"],\n\t\"os\": {\"id\": \"debian\"}}"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("databases:\n- engine: pg\n  tables: [{name: a, rows: -1}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		inv, err := Parse(data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		inv.Check([]Change{{Name: "a", Also: []string{"b"}, To: "1"}})
	})
}
