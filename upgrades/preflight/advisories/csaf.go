package advisories

import (
	"regexp"
	"strings"

	"github.com/package-url/packageurl-go"
)

// Bounds of a product tree: how deep it may be, what a product may be called, and how many
// products of one status are looked at.
const (
	maxBranches   = 32
	maxIdentities = 64
	maxStatus     = 20_000
)

// csafDocument is a CSAF 2.0 document, as far as it is read.
type csafDocument struct {
	Document struct {
		CSAFVersion string `json:"csaf_version"`
		Title       string `json:"title"`
		Aggregate   struct {
			Text string `json:"text"`
		} `json:"aggregate_severity"`
		Tracking struct {
			ID     string `json:"id"`
			Status string `json:"status"`
		} `json:"tracking"`
	} `json:"document"`
	ProductTree struct {
		Branches      []csafBranch  `json:"branches"`
		Names         []csafProduct `json:"full_product_names"`
		Relationships []struct {
			Product csafProduct `json:"full_product_name"`
			Of      string      `json:"product_reference"`
		} `json:"relationships"`
	} `json:"product_tree"`
	Vulnerabilities []csafVulnerability `json:"vulnerabilities"`
}

type csafBranch struct {
	Category string       `json:"category"`
	Name     string       `json:"name"`
	Product  *csafProduct `json:"product"`
	Branches []csafBranch `json:"branches"`
}

type csafProduct struct {
	Name   string `json:"name"`
	ID     string `json:"product_id"`
	Helper struct {
		CPE  string `json:"cpe"`
		Purl string `json:"purl"`
	} `json:"product_identification_helper"`
}

type csafVulnerability struct {
	CVE   string `json:"cve"`
	Title string `json:"title"`
	IDs   []struct {
		Text string `json:"text"`
	} `json:"ids"`
	Status struct {
		FirstAffected []string `json:"first_affected"`
		Affected      []string `json:"known_affected"`
		LastAffected  []string `json:"last_affected"`
		FirstFixed    []string `json:"first_fixed"`
		Fixed         []string `json:"fixed"`
		NotAffected   []string `json:"known_not_affected"`
		Asked         []string `json:"under_investigation"`
	} `json:"product_status"`
	Scores []struct {
		V2 csafScore `json:"cvss_v2"`
		V3 csafScore `json:"cvss_v3"`
		V4 csafScore `json:"cvss_v4"`
	} `json:"scores"`
	Threats []struct {
		Category string `json:"category"`
		Details  string `json:"details"`
	} `json:"threats"`
}

type csafScore struct {
	Vector string  `json:"vectorString"`
	Base   float64 `json:"baseScore"`
}

// csaf keeps what a CSAF document says of the package.
func (c *Checker) csaf(d *csafDocument) {
	products := map[string][]affect{}
	for _, p := range d.ProductTree.Names {
		products[p.ID] = append(products[p.ID], identities(p, "", "", "")...)
	}
	for i := range d.ProductTree.Branches {
		d.ProductTree.Branches[i].walk("", "", "", 0, products)
	}
	for _, r := range d.ProductTree.Relationships {
		of := append(identities(r.Product, "", "", ""), products[r.Of]...)
		if len(products[r.Product.ID])+len(of) <= maxIdentities { // a product may name itself again and again
			products[r.Product.ID] = append(products[r.Product.ID], of...)
		}
	}
	for i := range d.Vulnerabilities {
		c.vulnerability(d, &d.Vulnerabilities[i], products)
	}
}

func (b *csafBranch) walk(name, version, ranged string, depth int, products map[string][]affect) {
	if depth > maxBranches {
		return
	}
	switch b.Category {
	case "product_name":
		name = b.Name
	case "product_version":
		version = b.Name
	case "product_version_range":
		ranged = b.Name
	}
	if b.Product != nil {
		products[b.Product.ID] = append(products[b.Product.ID], identities(*b.Product, name, version, ranged)...)
	}
	for i := range b.Branches {
		b.Branches[i].walk(name, version, ranged, depth+1, products)
	}
}

// purlEcosystems are OSV's names of types of package URLs.
var purlEcosystems = map[string]string{
	"golang": "Go", "maven": "Maven", "npm": "npm", "pypi": "PyPI", "cargo": "crates.io", "nuget": "NuGet", "gem": "RubyGems", "composer": "Packagist",
	"deb": "Debian", "rpm": "rpm", "apk": "Alpine",
}

// parsePurl gives the component that a package URL names.
func parsePurl(text string) (Component, bool) {
	if len(text) > 2000 {
		return Component{}, false
	}
	p, err := packageurl.FromString(text)
	ecosystem, known := purlEcosystems[p.Type]
	if err != nil || !known {
		return Component{}, false
	}
	name := p.Name
	switch p.Type {
	case "deb", "rpm", "apk":
		if p.Type == "deb" && p.Namespace == "ubuntu" {
			ecosystem = "Ubuntu"
		}
		if e := p.Qualifiers.Map()["epoch"]; e != "" && e != "0" && p.Version != "" && !strings.Contains(p.Version, ":") {
			p.Version = e + ":" + p.Version
		}
	case "maven":
		name = p.Namespace + ":" + p.Name
	default:
		if p.Namespace != "" {
			name = p.Namespace + "/" + p.Name
		}
	}
	return Component{Ecosystem: ecosystem, Name: name, Version: p.Version}, true
}

// identities are what a product is: by its purl, its place in the tree and its CPE.
func identities(p csafProduct, name, version, ranged string) (list []affect) {
	if k, ok := parsePurl(p.Helper.Purl); ok {
		a := affect{identity: k.identity(), vague: true}
		switch {
		case k.Version != "":
			a.versions, a.vague = []string{k.Version}, false
		case ranged != "":
			a.ranged(ranged, k.identity().ecosystem)
		case version != "":
			a.versions, a.vague = []string{version}, false
		}
		for _, id := range called(a.identity) {
			a.identity = id
			list = append(list, a)
		}
		return list
	}
	if m := nevra.FindStringSubmatch(version); name == "" && m != nil {
		return []affect{{identity: identify("rpm", m[1]), versions: []string{strings.TrimPrefix(m[2], "0:")}}}
	}
	if name == "" {
		name, version = parseCPE(p.Helper.CPE)
	}
	if name == "" {
		return nil
	}
	a := affect{identity: identify(Product, name), vague: true}
	switch {
	case ranged != "":
		a.ranged(ranged, Product)
	case version != "":
		a.versions, a.vague = []string{version, strings.TrimPrefix(version, "v")}, false
	}
	return []affect{a}
}

// nevra is how Red Hat's documents without package URLs name a build, as a version of no product: name-epoch:version-release.arch.
var nevra = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9_.+-]*)-(\d+:[^\s:-]+-[^\s:-]+)\.(?:src|noarch|x86_64|aarch64|ppc64le|ppc64|s390x|s390|i[3-6]86|armv7hl)$`)

// parseCPE gives product and version of a CPE, as a formatted string (2.3) or a URI (2.2).
func parseCPE(text string) (name, version string) {
	part := strings.Split(text, ":")
	if len(part) < 4 || part[0] != "cpe" {
		return "", ""
	}
	switch {
	case part[1] == "2.3" && len(part) > 5:
		name, version = part[4], part[5]
	case strings.HasPrefix(part[1], "/"):
		if name = part[3]; len(part) > 4 {
			version = part[4]
		}
	}
	if version == "*" || version == "-" {
		version = ""
	}
	return name, version
}

var constraint = regexp.MustCompile(`^(<=|>=|<|>|=|!=)?\s*([0-9A-Za-z][^\s<>=!|,]*)$`)

// ranged reads a range: vers:TYPE/>=1.0|<2.0, or the same without its type.
func (a *affect) ranged(text, ecosystem string) {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "vers:"); ok {
		_, text, _ = strings.Cut(rest, "/")
	}
	if text == "*" {
		a.all, a.vague = true, false
		return
	}
	var events []event
	open := false
	for part := range strings.SplitSeq(text, "|") {
		m := constraint.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil {
			return // "4.x and earlier": not understood, and so vague
		}
		switch m[1] {
		case "", "=":
			a.versions = append(a.versions, m[2])
		case ">=":
			events = append(events, event{"introduced", m[2]})
			open = true
		case "<", "<=":
			if !open {
				events = append(events, event{"introduced", "0"})
			}
			open = false
			kind := "fixed"
			if m[1] == "<=" {
				kind = "last"
			}
			events = append(events, event{kind, m[2]})
		default:
			return // an open lower end and holes are rare
		}
	}
	a.vague = false
	if len(events) > 0 {
		a.ranges = append(a.ranges, span{ecosystem, events})
	}
}

func (c *Checker) vulnerability(d *csafDocument, v *csafVulnerability, products map[string][]affect) {
	a := &advisory{title: v.Title, score: -1}
	for _, id := range []string{v.CVE, d.Document.Tracking.ID} {
		if id != "" {
			a.ids = append(a.ids, id)
			break // a document may tell of several vulnerabilities: its id is no alias of theirs
		}
	}
	if len(a.ids) == 0 {
		return
	}
	if a.title == "" {
		a.title = d.Document.Title
	}
	pick := func(lists ...[]string) (out []affect) {
		for _, list := range lists {
			for _, id := range list {
				for _, p := range products[id] {
					if c.wanted[p.identity] && len(out) < maxStatus {
						out = append(out, p)
					}
				}
			}
		}
		return out
	}
	s := &v.Status
	a.affects = pick(s.Affected, s.FirstAffected, s.LastAffected)
	a.exempts, a.asked = pick(s.Fixed, s.FirstFixed, s.NotAffected), pick(s.Asked)
	for _, f := range pick(s.Fixed, s.FirstFixed) {
		// A distribution's advisory names only what it fixed: builds before are affected.
		if (f.ecosystem == "rpm" || f.ecosystem == "Debian") && len(f.versions) == 1 && distribution(f.versions[0]) != "" {
			a.affects = append(a.affects, affect{
				identity: f.identity, dist: distribution(f.versions[0]),
				ranges: []span{{f.ecosystem, []event{{"introduced", "0"}, {"fixed", f.versions[0]}}}},
			})
		}
	}
	if len(a.affects)+len(a.exempts)+len(a.asked) == 0 {
		return
	}
	for _, n := range v.Scores {
		a.rate(n.V2.Vector, n.V2.Base)
		a.rate(n.V3.Vector, n.V3.Base)
		a.rate(n.V4.Vector, n.V4.Base)
	}
	if a.score < 0 {
		a.rate("", words[strings.ToUpper(d.Document.Aggregate.Text)])
	}
	for _, t := range v.Threats {
		switch t.Category {
		case "exploit_status":
			a.exploited = a.exploited || exploitedText.MatchString(t.Details)
		case "impact":
			a.reason = t.Details
		}
	}
	c.keep(a)
}

// exploitedText matches how publishers say that something is exploited: CISA's catalogue
// named, "Exploited:Yes".
var exploitedText = regexp.MustCompile(`(?i)known-exploited-vulnerabilities|\bexploited\s*:\s*yes\b|^\s*(?:actively )?exploited(?: in the wild)?\.?\s*$`)
