package advisories

import (
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"
)

// score is the base score of a CVSS vector of versions 2.0 to 4.0.
func score(vector string) (float64, bool) {
	if len(vector) > 500 {
		return 0, false
	}
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		if v, err := gocvss40.ParseVector(vector); err == nil {
			return v.Score(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		if v, err := gocvss31.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		if v, err := gocvss30.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	default:
		if v, err := gocvss20.ParseVector(strings.Trim(vector, "()")); err == nil {
			return v.BaseScore(), true
		}
	}
	return 0, false
}

// words are the scores that severities in words are taken for: the least of each of CVSS.
var words = map[string]float64{"CRITICAL": 9, "HIGH": 7, "IMPORTANT": 7, "MODERATE": 4, "MEDIUM": 4, "LOW": 0.1}

// rate takes a score if it is higher than what is known.
func (a *advisory) rate(vector string, base float64) {
	if s, ok := score(vector); ok {
		base = s
	} else if base <= 0 || base > 10 {
		return
	}
	if base > a.score {
		a.score, a.vector = base, vector
	}
}
