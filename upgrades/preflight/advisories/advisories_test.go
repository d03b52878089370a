package advisories

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"aftershock/upgrades/inside"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// told are findings as lines.
func told(c *Checker) (list []string) {
	for _, f := range c.Findings() {
		list = append(list, fmt.Sprintf("%s %s %s: %s", f.Rule, f.Severity, f.Place.File, f.What))
	}
	return list
}

func golang(file, name, version string, functions ...string) Component {
	k := Component{Ecosystem: "Go", Name: name, Version: version, File: file}
	if len(functions) > 0 {
		k.linked = &linked{packages: map[string]bool{}, functions: map[string]bool{}}
	}
	for _, f := range functions {
		k.linked.add(f)
	}
	return k
}

func maven(name, version string) Component {
	return Component{Ecosystem: "Maven", Name: name, Version: version, File: "lib/a.jar"}
}

const (
	gin   = "github.com/gin-gonic/gin"
	log4j = "org.apache.logging.log4j:log4j-core"
)

const kev = `{"title": "CISA Catalog of Known Exploited Vulnerabilities", "catalogVersion": "2026.1.1", "vulnerabilities": [{"cveID": "CVE-2021-45046", "notes": "x"}]}`

func TestOSV(t *testing.T) {
	ginText := "CVE-2020-36567 (GHSA-6vm3-jj99-7229, GO-2020-0001): The default Formatter for the Logger middleware (LoggerConfig.Formatter), " +
		"which is included in the Default engine, allows attackers to inject arbitrary log entr…"
	logText := "CVE-2021-45046 (GHSA-7rjr-3q55-vv33): Incomplete fix for Apache Log4j vulnerability"
	for _, tt := range []struct {
		name          string
		before, after []Component
		kev           bool
		want          []string
	}{
		{"affected", nil, []Component{golang("bin/a", gin, "v1.5.0"), golang("bin/b", gin, "v1.5.0")}, false, []string{
			"advisories/vulnerable risk bin/a: " + gin + " v1.5.0 has " + ginText + " (in 2 binaries)",
		}},
		{"linked", nil, []Component{golang("bin/a", gin, "v1.5.0", gin+".Default")}, false, []string{"advisories/vulnerable risk bin/a: " + gin + " v1.5.0 has " + ginText}},
		{"not linked", nil, []Component{golang("bin/a", gin, "v1.5.0", "other.Default")}, false, []string{"advisories/vulnerable note bin/a: " + gin + " v1.5.0 has " + ginText}},
		{"functions not linked", nil, []Component{golang("bin/a", gin, "v1.5.0", gin+".New")}, false, []string{"advisories/vulnerable note bin/a: " + gin + " v1.5.0 has " + ginText}},
		{"newly linked", []Component{golang("bin/a", gin, "v1.5.0", gin+".New")}, []Component{golang("bin/a", gin, "v1.5.0", gin+".Default")}, false, []string{
			"advisories/vulnerable risk bin/a: " + gin + " v1.5.0 has " + ginText,
		}},
		{"fixed version", nil, []Component{golang("bin/a", gin, "v1.6.0")}, false, nil},
		{"before the fix", nil, []Component{golang("bin/a", gin, "v1.6.0-rc.1")}, false, []string{"advisories/vulnerable risk bin/a: " + gin + " v1.6.0-rc.1 has " + ginText}},
		{"fixes", []Component{golang("bin/a", gin, "v1.5.0")}, []Component{golang("bin/a", gin, "v1.7.0")}, false, []string{
			"advisories/fixed-by-upgrade note bin/a: this upgrade fixes " + strings.Replace(ginText, "CVE-2020-36567 (GHSA-6vm3-jj99-7229, GO-2020-0001)",
				"CVE-2020-36567 (GHSA-6vm3-jj99-7229, GO-2020-0001) in "+gin+" v1.5.0", 1),
		}},
		{"other version", nil, []Component{golang("bin/a", gin, "(devel)")}, false, []string{
			"advisories/undecided note : whether these concern the package can't be told: CVE-2020-36567 for " + gin + " (devel)",
		}},
		{"other name", nil, []Component{golang("bin/a", gin+"/v2", "v1.5.0")}, false, nil},
		{"critical", nil, []Component{maven(log4j, "2.15.0")}, false, []string{"advisories/vulnerable risk lib/a.jar: " + log4j + " 2.15.0 has " + logText}},
		{"exploited", nil, []Component{maven(log4j, "2.15.0")}, true, []string{"advisories/vulnerable blocker lib/a.jar: " + log4j + " 2.15.0 has " + logText}},
		{"as before", []Component{maven(log4j, "2.14.0")}, []Component{maven(log4j, "2.15.0")}, true, []string{"advisories/vulnerable risk lib/a.jar: " + log4j + " 2.15.0 has " + logText}},
		{"by its file's name", nil, []Component{maven("log4j-core", "2.15.0")}, true, []string{"advisories/vulnerable risk lib/a.jar: log4j-core 2.15.0 has " + logText}},
		{"between", nil, []Component{maven(log4j, "2.12.2")}, true, nil},
		{"first range", nil, []Component{maven(log4j, "2.0-beta9")}, true, []string{"advisories/vulnerable blocker lib/a.jar: " + log4j + " 2.0-beta9 has " + logText}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := New(Package{Name: "dten", Old: "4.1.3", New: "4.2.0", Before: tt.before, After: tt.after}, nil)
			c.AddDocument("go", sample(t, "GO-2020-0001.json"))
			c.AddDocument("ghsa", sample(t, "GHSA-7rjr-3q55-vv33.json"))
			if tt.kev {
				c.AddDocument("kev", []byte(kev))
			}
			if diff := cmp.Diff(tt.want, told(c)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestAdvice(t *testing.T) {
	c := New(Package{Name: "dten", New: "4.2.0", After: []Component{maven(log4j, "2.15.0")}}, nil)
	c.AddDocument("ghsa", sample(t, "GHSA-7rjr-3q55-vv33.json"))
	f := c.Findings()[0]
	if want := "its CVSS base score is 9.0 (CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H)"; f.Why != want {
		t.Errorf("why: %q, want %q", f.Why, want)
	}
	if want := "ask the vendor for a build with " + log4j + " 2.16.0 or later"; f.Do != want {
		t.Errorf("do: %q, want %q", f.Do, want)
	}
}

// Aliases are one finding; what was withdrawn is none; versions listed and last_affected count.
func TestOSVForms(t *testing.T) {
	osv := func(id, aliases, more string) string {
		return fmt.Sprintf(`{"id": %q, "aliases": [%s], "affected": [{"package": {"ecosystem": "npm", "name": "x"}, %s}]}`, id, aliases, more)
	}
	listed := `"versions": ["1.2.3"]`
	for _, tt := range []struct {
		name, version string
		documents     []string
		want          []string
	}{
		{"aliases", "1.2.3", []string{osv("A-1", `"CVE-1"`, listed), osv("B-1", `"CVE-1"`, listed), osv("C-1", `"B-1"`, listed)}, []string{
			"advisories/vulnerable risk f: x 1.2.3 has CVE-1 (A-1, B-1, C-1): no title",
		}},
		{"listed", "1.2.4", []string{osv("A-1", "", listed)}, nil},
		{"withdrawn", "1.2.3", []string{strings.Replace(osv("A-1", "", listed), `"id"`, `"withdrawn": "2024-01-01T00:00:00Z", "id"`, 1)}, nil},
		{"last", "1.9.0", []string{osv("A-1", "", `"ranges": [{"type": "SEMVER", "events": [{"introduced": "1.0.0"}, {"last_affected": "1.9.0"}]}]`)}, []string{
			"advisories/vulnerable risk f: x 1.9.0 has A-1: no title",
		}},
		{"after last", "1.9.1", []string{osv("A-1", "", `"ranges": [{"type": "SEMVER", "events": [{"introduced": "1.0.0"}, {"last_affected": "1.9.0"}]}]`)}, nil},
		{"limit", "2.0.0", []string{osv("A-1", "", `"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"limit": "2.0.0"}]}]`)}, nil},
		{"events out of order", "1.5.0", []string{osv("A-1", "", `"ranges": [{"type": "SEMVER", "events": [{"fixed": "1.4.0"}, {"introduced": "1.5.0"}, {"introduced": "0"}]}]`)}, []string{
			"advisories/vulnerable risk f: x 1.5.0 has A-1: no title",
		}},
		{"commits", "1.2.3", []string{osv("A-1", "", `"ranges": [{"type": "GIT", "repo": "r", "events": [{"introduced": "0"}]}]`)}, []string{
			"advisories/undecided note : whether these concern the package can't be told: A-1 for x 1.2.3",
		}},
		{"array", "1.2.3", []string{"[" + osv("A-1", "", listed) + "]"}, []string{"advisories/vulnerable risk f: x 1.2.3 has A-1: no title"}},
		{"answer", "1.2.3", []string{`{"vulns": [` + osv("A-1", "", listed) + "]}"}, []string{"advisories/vulnerable risk f: x 1.2.3 has A-1: no title"}},
		{"low", "1.2.3", []string{strings.Replace(osv("A-1", "", listed), `"id"`, `"database_specific": {"severity": "LOW"}, "id"`, 1)}, []string{
			"advisories/vulnerable note f: x 1.2.3 has A-1: no title",
		}},
		{"broken", "1.2.3", []string{`{"id": `}, []string{"advisories/unreadable risk : advisories at d0 can't be read: it is no valid JSON at byte 6"}},
		{"other", "1.2.3", []string{`{}`}, []string{"advisories/unreadable risk : advisories at d0 can't be read: it is neither CSAF 2.x nor OSV"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := New(Package{Name: "dten", New: "1.0.0", After: []Component{{Ecosystem: "npm", Name: "x", Version: tt.version, File: "f"}}}, nil)
			for i, d := range tt.documents {
				c.AddDocument(fmt.Sprintf("d%d", i), []byte(d))
			}
			if diff := cmp.Diff(tt.want, told(c)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// The release of a distribution has to be known, and its order given.
func TestDistribution(t *testing.T) {
	document := []byte(`{"id": "DSA-1", "affected": [{"package": {"ecosystem": "Debian:12", "name": "dten"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9"}]}]}]}`)
	orders := map[string]Order{"Debian": strings.Compare}
	for _, tt := range []struct {
		ecosystem, version string
		orders             map[string]Order
		want               string
	}{
		{"Debian:12", "8", orders, "advisories/vulnerable risk"},
		{"Debian:12", "9", orders, ""},
		{"Debian:11", "8", orders, ""},
		{"Debian", "8", orders, "advisories/undecided note"},
		{"Debian:12", "8", nil, "advisories/undecided note"},
	} {
		c := New(Package{Name: "dten", New: tt.version, Ecosystem: tt.ecosystem}, tt.orders)
		c.AddDocument("d", document)
		if got := strings.Join(told(c), "\n"); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s %s: got %q, want %q", tt.ecosystem, tt.version, got, tt.want)
		}
	}
}

func TestVEX(t *testing.T) {
	log := []byte(`{"id": "GHSA-jfh8-c2jp-5v3q", "aliases": ["CVE-2021-44228"], "affected": [{"package": {"ecosystem": "Maven", "name": "` + log4j + `"}, "versions": ["2.14.1"]}]}`)
	for _, tt := range []struct {
		name, version string
		want          []string
	}{
		{"ABC", "4.2", []string{"advisories/not-affected note lib/a.jar: ABC 4.2 has CVE-2021-44228 (GHSA-jfh8-c2jp-5v3q) in " + log4j + " 2.14.1, and its publisher says that it isn't affected, or is fixed"}},
		{"abc", "4.1", []string{"advisories/vulnerable risk lib/a.jar: " + log4j + " 2.14.1 has CVE-2021-44228 (GHSA-jfh8-c2jp-5v3q): Example VEX Document Use Case 1 - Not Affected"}},
		{"ABD", "4.2", []string{"advisories/vulnerable risk lib/a.jar: " + log4j + " 2.14.1 has CVE-2021-44228 (GHSA-jfh8-c2jp-5v3q): no title"}},
	} {
		c := New(Package{Name: tt.name, New: tt.version, After: []Component{maven(log4j, "2.14.1")}}, nil)
		c.AddDocument("vex", sample(t, "2022-evd-uc-01-na-001.json"))
		c.AddDocument("osv", log)
		if diff := cmp.Diff(tt.want, told(c)); diff != "" {
			t.Errorf("%s %s (-want +got)\n%s", tt.name, tt.version, diff)
		}
	}
}

// vendor is a CSAF document of a product with a range, its fix, and a package of rpm.
const vendor = `{"document": {"csaf_version": "2.0", "title": "T", "tracking": {"id": "V-1"}},
 "product_tree": {
  "branches": [{"category": "vendor", "name": "V", "branches": [{"category": "product_name", "name": "dten", "branches": [
   {"category": "product_version_range", "name": "vers:generic/>=4.0.0|<4.2.0", "product": {"name": "a", "product_id": "A"}},
   {"category": "product_version_range", "name": "4.x and earlier", "product": {"name": "v", "product_id": "V"}},
   {"category": "product_version", "name": "4.2.0", "product": {"name": "f", "product_id": "F"}}]}]}],
  "full_product_names": [
   {"product_id": "R", "name": "r", "product_identification_helper": {"purl": "pkg:rpm/redhat/libx@1.2-3.el9?arch=x86_64"}},
   {"product_id": "C", "name": "c", "product_identification_helper": {"cpe": "cpe:2.3:a:v:other:1.0:*:*:*:*:*:*:*"}}],
  "relationships": [{"category": "default_component_of", "product_reference": "R", "relates_to_product_reference": "OS", "full_product_name": {"product_id": "OS:R", "name": "x"}}]},
 "vulnerabilities": [
  {"cve": "CVE-1", "title": "one", "product_status": {"known_affected": ["A"], "fixed": ["F", "OS:R"]}, "scores": [{"cvss_v3": {"vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "baseScore": 9.8}}],
   "threats": [{"category": "exploit_status", "details": "Exploited:Yes"}]},
  {"cve": "CVE-2", "title": "two", "product_status": {"known_affected": ["C"], "under_investigation": ["F"]}, "threats": [{"category": "exploit_status", "details": "not exploited"}]},
  {"cve": "CVE-3", "title": "three", "product_status": {"known_affected": ["V"]}}]}`

func TestCSAF(t *testing.T) {
	rpm := map[string]Order{"rpm": strings.Compare}
	for _, tt := range []struct {
		name string
		pkg  Package
		want []string
	}{
		{"range", Package{Name: "dten", New: "4.1.3"}, []string{
			"advisories/vulnerable blocker : dten 4.1.3 has CVE-1: one",
			"advisories/undecided note : whether these concern the package can't be told: CVE-3 for dten 4.1.3",
		}},
		{"fixes", Package{Name: "DTEN", Old: "4.1.3", New: "4.2.0"}, []string{
			"advisories/under-investigation note : whether DTEN 4.2.0 has CVE-2 is under investigation: two",
			"advisories/undecided note : whether these concern the package can't be told: CVE-3 for DTEN 4.2.0",
		}},
		{"fixes beyond", Package{Name: "dten", Old: "4.1.3", New: "4.3.0"}, []string{
			"advisories/fixed-by-upgrade note : this upgrade fixes CVE-1 in dten 4.1.3: one",
			"advisories/undecided note : whether these concern the package can't be told: CVE-3 for dten 4.3.0",
		}},
		{"cpe", Package{Name: "other", New: "1.0"}, []string{"advisories/vulnerable risk : other 1.0 has CVE-2: two"}},
		{"rpm before", Package{Name: "libx", New: "1.2-2.el9", Ecosystem: "rpm"}, []string{"advisories/vulnerable blocker : libx 1.2-2.el9 has CVE-1: one"}},
		{"rpm fixed", Package{Name: "libx", New: "1.2-3.el9", Ecosystem: "rpm"}, nil},
		{"rpm of another build", Package{Name: "libx", New: "1.2-2.el8", Ecosystem: "rpm"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := New(tt.pkg, rpm)
			c.AddDocument("d", []byte(vendor))
			if diff := cmp.Diff(tt.want, told(c)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Products that name themselves again and again stay few.
func TestRelationships(t *testing.T) {
	relation := `{"category": "default_component_of", "product_reference": "A", "relates_to_product_reference": "A", "full_product_name": {"product_id": "A", "name": "x"}}`
	c := New(Package{Name: "dten", New: "4.1.3"}, nil)
	c.AddDocument("d", []byte(`{"document": {"csaf_version": "2.0", "tracking": {"id": "V-1"}}, "product_tree": {
		"full_product_names": [{"product_id": "A", "name": "a", "product_identification_helper": {"cpe": "cpe:2.3:a:v:dten:4.1.3:*:*:*:*:*:*:*"}}],
		"relationships": [`+strings.Repeat(relation+",", 99)+relation+`]}, "vulnerabilities": [{"cve": "CVE-1", "product_status": {"known_affected": ["A"]}}]}`))
	if diff := cmp.Diff([]string{"advisories/vulnerable risk : dten 4.1.3 has CVE-1: no title"}, told(c)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The order of Maven's own specification (maven.apache.org/pom.html#version-order-specification)
// and of ComparableVersionTest.
func TestMavenOrder(t *testing.T) {
	ascending := []string{
		"1-alpha2snapshot", "1-alpha2", "1-alpha-123", "1-beta-2", "1-beta123", "1-m2", "1-m11", "1-rc", "1-cr2", "1-rc123", "1-SNAPSHOT", "1", "1-sp", "1-sp2", "1-sp123",
		"1-abc", "1-def", "1-pom-1", "1-1-snapshot", "1-1", "1-2", "1-123",
	}
	for i := range ascending {
		for j := range ascending {
			got := compareMaven(ascending[i], ascending[j])
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compare(%s, %s) = %d", ascending[i], ascending[j], got)
			}
		}
	}
	for _, same := range [][2]string{{"1", "1.0"}, {"1", "1.0.0"}, {"1.0-ga", "1"}, {"1-0", "1"}, {"1.0.Final", "1"}, {"1a1", "1-alpha-1"}, {"1-CR1", "1-rc1"}, {"01", "1"}} {
		if got := compareMaven(same[0], same[1]); got != 0 {
			t.Errorf("compare(%s, %s) = %d, want 0", same[0], same[1], got)
		}
	}
}

func TestMavenOrderIsOne(t *testing.T) {
	version := rapid.StringMatching(`[0-9]{1,3}([.-]([0-9]{1,3}|alpha|beta|rc|sp|x|final)){0,4}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := version.Draw(t, "a"), version.Draw(t, "b")
		x, y := compareMaven(a, b), compareMaven(b, a)
		if (x < 0) != (y > 0) || (x == 0) != (y == 0) {
			t.Fatalf("%s, %s: %d and %d", a, b, x, y)
		}
	})
}

// Scores of the examples in FIRST's documents.
func TestScore(t *testing.T) {
	for _, tt := range []struct {
		vector string
		want   float64
	}{
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10},
		{"CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1},
		{"AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8},
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 10},
	} {
		if got, ok := score(tt.vector); !ok || got != tt.want {
			t.Errorf("%s: %v, %t, want %v", tt.vector, got, ok, tt.want)
		}
	}
	if _, ok := score("CVSS:3.1/AV:X"); ok {
		t.Error("a broken vector has a score")
	}
}

func TestComponents(t *testing.T) {
	p := inside.Fingerprint{
		Form: inside.FormGo, Main: "example.com/dten", Version: "v4.2.0", Toolchain: "go1.22.1",
		Modules:   map[string]string{"example.com/a": "v1.0.0", "example.com/b": "v1.0.0 => example.com/c v2.0.0", "example.com/d": "v1 => ./d"},
		Functions: []inside.Function{{Name: "example.com/a/sub.(*T).M"}, {Name: "net/http.Get[...]"}, {Name: "gopkg.in/yaml%2ev3.F"}, {Name: "main.main"}, {Name: "runtime.main"}},
		Inlined:   []string{"example.com/a/sub.small"},
	}
	var got []string
	list := Components("bin/x", p)
	for _, k := range list {
		got = append(got, k.Ecosystem+" "+k.Name+" "+k.Version+" "+k.File)
	}
	want := []string{"Go example.com/a v1.0.0 bin/x", "Go example.com/c v2.0.0 bin/x", "Go example.com/dten v4.2.0 bin/x", "Go stdlib 1.22.1 bin/x", "Go toolchain 1.22.1 bin/x"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{"example.com/a/sub": true, "net/http": true, "gopkg.in/yaml.v3": true, "main": true, "runtime": true}, list[0].linked.packages); diff != "" {
		t.Errorf("packages (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{
		"example.com/a/sub T": true, "example.com/a/sub T.M": true, "example.com/a/sub small": true, "net/http Get": true, "gopkg.in/yaml.v3 F": true,
		"main main": true, "runtime main": true,
	}, list[0].linked.functions); diff != "" {
		t.Errorf("functions (-want +got)\n%s", diff)
	}
	jar := Components("a.jar", inside.Fingerprint{Form: inside.FormJAR, Modules: map[string]string{log4j: "2.15.0", "log4j-api": "2.15.0", "other": "crc32 00000000"}})
	if diff := cmp.Diff([]Component{{Ecosystem: "Maven", Name: "log4j-api", Version: "2.15.0", File: "a.jar"}, {Ecosystem: "Maven", Name: log4j, Version: "2.15.0", File: "a.jar"}}, jar, cmp.AllowUnexported(Component{}, linked{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSBOM(t *testing.T) {
	for _, text := range []string{
		`{"bomFormat": "CycloneDX", "components": [{"purl": "pkg:maven/org.a/b@1.0", "components": [{"purl": "pkg:npm/%40s/n@2.0"}]}, {"purl": "pkg:golang/x.y/z"}]}`,
		`{"spdxVersion": "SPDX-2.3", "packages": [{"externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:maven/org.a/b@1.0"}, {"referenceType": "purl", "referenceLocator": "pkg:npm/%40s/n@2.0"}]}]}`,
	} {
		got, err := ReadSBOM("s", strings.NewReader(text))
		want := []Component{{Ecosystem: "Maven", Name: "org.a:b", Version: "1.0", File: "s"}, {Ecosystem: "npm", Name: "@s/n", Version: "2.0", File: "s"}}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Component{}, linked{})); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
	if _, err := ReadSBOM("s", strings.NewReader("{}")); err == nil {
		t.Error("what is no list of components was read")
	}
}

func FuzzDocument(f *testing.F) {
	for _, name := range []string{"GO-2020-0001.json", "GHSA-7rjr-3q55-vv33.json", "2022-evd-uc-01-na-001.json"} {
		f.Add(sample(f, name))
	}
	f.Add([]byte(vendor))
	f.Add([]byte(kev))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := New(Package{Name: "ABC", Old: "4.1", New: "4.2", After: []Component{maven(log4j, "2.15.0"), golang("b", gin, "v1.5.0")}}, nil)
		c.AddDocument("d", data)
		for _, f := range c.Findings() {
			if f.What == "" || f.Why == "" || f.Do == "" || strings.Contains(f.What, "\n") {
				t.Errorf("a finding without words, or with two lines: %+v", f)
			}
		}
		_ = json.Valid(data)
		_, _ = ReadSBOM("s", strings.NewReader(string(data)))
	})
}
