package detector

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Scope is whom a toggle is for. Its zero value is everyone; several limits hold
// together.
type Scope struct {
	// Percent of the callers, told apart by their targeting key: between 0 and
	// 100, both excluded; 0 is no limit.
	Percent float64 `json:"percent,omitempty"`
	// Instances of the caller's service, and a Region.
	Instances []string `json:"instances,omitempty"`
	Region    string   `json:"region,omitempty"`
}

// Everyone says whether nobody is left out.
func (s Scope) Everyone() bool { return s.Percent == 0 && len(s.Instances) == 0 && s.Region == "" }

// namedInstances is how many instances a scope's words name.
const namedInstances = 5

// String names the scope in words: 25% of the callers in region eu-1.
func (s Scope) String() string {
	if s.Everyone() {
		return "everyone"
	}
	var b strings.Builder
	if s.Percent > 0 {
		b.WriteString(strconv.FormatFloat(s.Percent, 'f', -1, 64) + "% of the ")
	}
	b.WriteString("callers")
	if s.Region != "" {
		b.WriteString(" in region " + s.Region)
	}
	if n := len(s.Instances); n > 0 {
		b.WriteString(" on instance")
		if n > 1 {
			b.WriteString("s")
		}
		b.WriteString(" " + strings.Join(s.Instances[:min(n, namedInstances)], ", "))
		if n > namedInstances {
			fmt.Fprintf(&b, " and %d more", n-namedInstances)
		}
	}
	return b.String()
}

// Covers says whether everybody in t is in s, as far as that can be told from
// the two alone.
func (s Scope) Covers(t Scope) bool {
	if s.Percent > 0 && (t.Percent == 0 || t.Percent > s.Percent) {
		return false
	}
	if s.Region != "" && t.Region != s.Region {
		return false
	}
	if len(s.Instances) == 0 {
		return true
	}
	return len(t.Instances) > 0 && !slices.ContainsFunc(t.Instances, func(i string) bool { return !slices.Contains(s.Instances, i) })
}
