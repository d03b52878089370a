package mirror

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Weights of differences.
const (
	Major = "major" // figures measured on the copy may not be those of production
	Minor = "minor"
)

// Kinds of facts.
const (
	KindOS            = "os"
	KindKernel        = "kernel"
	KindPackage       = "package"
	KindService       = "service"
	KindConfiguration = "configuration"
	KindDatabase      = "database"
	KindTable         = "table"
	KindThirdParty    = "third-party"
)

// Difference is one thing in which the copy isn't like production.
type Difference struct {
	Kind   string `json:"kind"`
	Name   string `json:"name,omitempty"`
	Weight string `json:"weight"`
	// Says is the sentence for people: "the copy has 1/100 of the rows of orders". It
	// holds no value of a setting.
	Says string `json:"says"`
}

// maxDifferences bounds what is told.
const maxDifferences = 10_000

// Compare lists where the copy isn't like production, major differences first.
func Compare(production, copied Mirror) []Difference {
	var c comparison
	c.text(KindOS, "", Major, "the operating system", string(production.OS), string(copied.OS))
	if weight := Minor; production.Kernel != "" && copied.Kernel != "" {
		if release(production.Kernel) != release(copied.Kernel) {
			weight = Major
		}
		c.text(KindKernel, "", weight, "the kernel", production.Kernel, copied.Kernel)
	}
	c.versions(KindPackage, Minor, packagesOf(production), packagesOf(copied))
	c.versions(KindService, Major, servicesOf(production), servicesOf(copied))
	c.configuration(production.Configuration, copied.Configuration)
	c.databases(production, copied)
	c.thirdParties(production, copied)
	sort.SliceStable(c.all, func(i, j int) bool { return c.all[i].Weight == Major && c.all[j].Weight != Major })
	return c.all
}

type comparison struct{ all []Difference }

func (c *comparison) add(kind, name, weight, format string, args ...any) {
	if len(c.all) < maxDifferences {
		c.all = append(c.all, Difference{kind, name, weight, fmt.Sprintf(format, args...)})
	}
}

// text compares two texts, unknown where empty.
func (c *comparison) text(kind, name, weight, what, production, copied string) {
	if production != "" && copied != "" && production != copied {
		c.add(kind, name, weight, "%s is %s on the copy, %s in production", what, copied, production)
	}
}

// release is the part of a kernel's version that tells releases apart: 6.1 of
// 6.1.0-13-amd64.
func release(kernel string) string {
	parts := strings.SplitN(kernel, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

func packagesOf(m Mirror) map[string]string {
	if m.Packages == nil {
		return nil
	}
	out := map[string]string{}
	for _, p := range m.Packages {
		out[p.Name] = join(out[p.Name], p.Version)
	}
	return out
}

func servicesOf(m Mirror) map[string]string {
	if m.Services == nil {
		return nil
	}
	out := map[string]string{}
	for _, s := range m.Services {
		out[s.Service] = join(out[s.Service], s.Version)
	}
	return out
}

// join puts versions of one thing together, in order, each once.
func join(list, version string) string {
	if list == "" {
		return version
	}
	all := strings.Split(list, ", ")
	if slices.Contains(all, version) {
		return list
	}
	all = append(all, version)
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (c *comparison) versions(kind, weight string, production, copied map[string]string) {
	if production == nil || copied == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(production)) {
		if v, ok := copied[name]; ok {
			c.text(kind, name, weight, kind+" "+name, production[name], v)
		} else {
			c.add(kind, name, weight, "the copy has no %s %s", kind, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(copied)) {
		if _, ok := production[name]; !ok {
			c.add(kind, name, Minor, "production has no %s %s", kind, name)
		}
	}
}

// configuration compares settings without telling their values, which may be secrets.
func (c *comparison) configuration(production, copied map[string]string) {
	if production == nil || copied == nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(production)) {
		switch v, ok := copied[key]; {
		case !ok:
			c.add(KindConfiguration, key, Minor, "%s isn't set on the copy", key)
		case v != production[key]:
			c.add(KindConfiguration, key, Minor, "%s is set otherwise on the copy", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(copied)) {
		if _, ok := production[key]; !ok {
			c.add(KindConfiguration, key, Minor, "%s is set on the copy alone", key)
		}
	}
}

func (c *comparison) databases(production, copied Mirror) {
	if production.Databases == nil || copied.Databases == nil {
		return
	}
	key := func(d *Database) string { return strings.TrimSpace(d.Engine + " " + d.Name) }
	others := map[string]*Database{}
	for i := range copied.Databases {
		others[key(&copied.Databases[i])] = &copied.Databases[i]
	}
	for i := range production.Databases {
		d := &production.Databases[i]
		o := others[key(d)]
		if o == nil {
			c.add(KindDatabase, key(d), Major, "the copy has no database %s", key(d))
			continue
		}
		weight := Minor
		if was, _, _ := strings.Cut(d.Version, "."); !strings.HasPrefix(o.Version+".", was+".") {
			weight = Major
		}
		c.text(KindDatabase, key(d), weight, key(d), d.Version, o.Version)
		c.tables(d, o)
	}
}

func (c *comparison) tables(production, copied *Database) {
	if production.Tables == nil || copied.Tables == nil {
		return
	}
	others := map[string]*Table{}
	for i := range copied.Tables {
		others[copied.Tables[i].Name] = &copied.Tables[i]
	}
	for i := range production.Tables {
		t := &production.Tables[i]
		o := others[t.Name]
		if o == nil {
			c.add(KindTable, t.Name, Major, "the copy has no table %s", t.Name)
			continue
		}
		// One sentence a table: rows say more than bytes.
		if !c.size(t.Name, "rows", t.Rows, o.Rows, 100) {
			c.size(t.Name, "bytes", t.Bytes, o.Bytes, 1<<20)
		}
	}
}

// size compares two sizes; what is small on both sides is alike.
func (c *comparison) size(table, unit string, production, copied *float64, small float64) bool {
	if production == nil || copied == nil || *production < small && *copied < small {
		return false
	}
	ratio := (*copied + 1) / (*production + 1)
	weight := Minor
	switch off := math.Abs(math.Log(ratio)); {
	case off >= math.Log(10)*0.995:
		weight = Major
	case off < math.Log(2)*0.995:
		return false
	}
	switch {
	case *copied == 0:
		c.add(KindTable, table, weight, "the copy has no %s in %s", unit, table)
	case ratio < 1:
		c.add(KindTable, table, weight, "the copy has 1/%s of the %s of %s", digits(1/ratio), unit, table)
	default:
		c.add(KindTable, table, weight, "the copy has %s times the %s of %s", digits(ratio), unit, table)
	}
	return true
}

// digits keeps two digits, without a point where there is nothing behind it.
func digits(x float64) string {
	if x < 9.95 {
		return strings.TrimSuffix(strconv.FormatFloat(x, 'f', 1, 64), ".0")
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-1)
	return strconv.FormatFloat(math.Round(x/unit)*unit, 'f', 0, 64)
}

func (c *comparison) thirdParties(production, copied Mirror) {
	if production.ThirdParties == nil || copied.ThirdParties == nil {
		return
	}
	others := map[string]string{}
	for _, t := range copied.ThirdParties {
		others[t.Name] = t.Endpoint
	}
	for _, t := range production.ThirdParties {
		if at, ok := others[t.Name]; ok {
			c.text(KindThirdParty, t.Name, Major, "third party "+t.Name, t.Endpoint, at)
		} else {
			c.add(KindThirdParty, t.Name, Major, "the copy doesn't call third party %s", t.Name)
		}
	}
}
