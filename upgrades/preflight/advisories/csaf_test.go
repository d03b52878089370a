package advisories

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProducts: the ways in which vendors' documents name their products: by CPE of both forms, Red Hat's builds without package URLs and
// with them, whose epoch stands apart.
func TestProducts(t *testing.T) {
	document := func(product, status string) []byte {
		return []byte(`{"document": {"csaf_version": "2.0", "title": "T", "tracking": {"id": "V-1"}}, "product_tree": {
			"branches": [{"category": "vendor", "name": "Red Hat", "branches": [{"category": "architecture", "name": "x86_64", "branches": [` + product + `]}]}],
			"relationships": [{"category": "default_component_of", "product_reference": "P", "relates_to_product_reference": "OS", "full_product_name": {"product_id": "OS:P", "name": "x"}}]},
			"vulnerabilities": [{"cve": "CVE-1", "title": "one", "product_status": {"` + status + `": ["OS:P"]}}]}`)
	}
	epochs := func(a, b string) int { // as RPM's: who has one comes later
		x, y := "0", "0"
		if e, rest, ok := strings.Cut(a, ":"); ok {
			x, a = e, rest
		}
		if e, rest, ok := strings.Cut(b, ":"); ok {
			y, b = e, rest
		}
		return strings.Compare(x+" "+a, y+" "+b)
	}
	const (
		nevra = `{"category": "product_version", "name": "telnet-server-1:0.17-65.el7_6.x86_64", "product": {"name": "t", "product_id": "P"}}`
		purl  = `{"category": "product_version", "name": "telnet-server", "product": {"name": "t", "product_id": "P", "product_identification_helper": {"purl": "pkg:rpm/redhat/telnet-server@0.17-65.el7_6?arch=x86_64&epoch=1"}}}`
		zero  = `{"category": "product_version", "name": "telnet-server-0:0.17-65.el7_6.noarch", "product": {"name": "t", "product_id": "P"}}`
		uri   = `{"category": "legacy", "name": "c", "product": {"name": "c", "product_id": "P", "product_identification_helper": {"cpe": "cpe:/a:csaf-tools:converter:1.0.0"}}}`
		long  = `{"category": "legacy", "name": "c", "product": {"name": "c", "product_id": "P", "product_identification_helper": {"cpe": "cpe:2.3:a:csaf-tools:converter:1.0.0:*:*:*:*:*:*:*"}}}`
	)
	server := func(version string) Package { return Package{Name: "telnet-server", New: version, Ecosystem: "rpm"} }
	for _, tt := range []struct {
		name, product, status string
		pkg                   Package
		affected              bool
	}{
		{"build before", nevra, "fixed", server("1:0.17-64.el7_6"), true},
		{"build that is fixed", nevra, "fixed", server("1:0.17-65.el7_6"), false},
		{"another package", nevra, "fixed", Package{Name: "telnet", New: "1:0.17-64.el7_6", Ecosystem: "rpm"}, false},
		{"without epoch", zero, "fixed", server("0.17-64.el7_6"), true},
		{"without epoch, fixed", zero, "fixed", server("0.17-65.el7_6"), false},
		{"package URL, build before", purl, "fixed", server("1:0.17-64.el7_6"), true},
		{"package URL, build that is fixed", purl, "fixed", server("1:0.17-65.el7_6"), false},
		{"package URL, affected", purl, "known_affected", server("1:0.17-65.el7_6"), true},
		{"CPE 2.2", uri, "known_affected", Package{Name: "Converter", New: "1.0.0"}, true},
		{"CPE 2.2, another version", uri, "known_affected", Package{Name: "Converter", New: "1.0.1"}, false},
		{"CPE 2.3", long, "known_affected", Package{Name: "Converter", New: "1.0.0"}, true},
	} {
		c := New(tt.pkg, map[string]Order{"rpm": epochs})
		c.AddDocument("d", document(tt.product, tt.status))
		var want []string
		if tt.affected {
			want = []string{"advisories/vulnerable risk : " + tt.pkg.Name + " " + tt.pkg.New + " has CVE-1: one"}
		}
		if diff := cmp.Diff(want, told(c)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}
