package advisories

import "strings"

// osvDocument is a document of the Open Source Vulnerability schema, 1.x, as far as it is read.
type osvDocument struct {
	ID         string        `json:"id"`
	Aliases    []string      `json:"aliases"`
	Withdrawn  string        `json:"withdrawn"`
	Summary    string        `json:"summary"`
	Details    string        `json:"details"`
	Severity   []osvSeverity `json:"severity"`
	Affected   []osvAffected `json:"affected"`
	OfDatabase struct {
		Severity any `json:"severity"`
	} `json:"database_specific"`
}

type osvSeverity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type osvAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
		Purl      string `json:"purl"`
	} `json:"package"`
	Ranges []struct {
		Type   string `json:"type"`
		Events []struct {
			Introduced   string `json:"introduced"`
			Fixed        string `json:"fixed"`
			LastAffected string `json:"last_affected"`
			Limit        string `json:"limit"`
		} `json:"events"`
	} `json:"ranges"`
	Versions    []string      `json:"versions"`
	Severity    []osvSeverity `json:"severity"`
	OfEcosystem struct {
		Imports []imported `json:"imports"`
	} `json:"ecosystem_specific"`
}

// maxEvents is how many ends a range may have.
const maxEvents = 10_000

// osv keeps what an OSV document says of the package.
func (c *Checker) osv(d *osvDocument) {
	if d.Withdrawn != "" {
		return
	}
	a := &advisory{ids: append([]string{d.ID}, d.Aliases...), title: d.Summary, score: -1}
	if a.title == "" {
		a.title, _, _ = strings.Cut(d.Details, "\n")
	}
	for i := range d.Affected {
		f := &d.Affected[i]
		for _, id := range called(identify(f.Package.Ecosystem, f.Package.Name)) {
			if !c.wanted[id] || id.ecosystem == Product {
				continue
			}
			a.affects = append(a.affects, f.affect(id))
			for _, s := range f.Severity {
				a.rate(s.Score, 0)
			}
		}
	}
	if len(a.affects) == 0 {
		return
	}
	for _, s := range d.Severity {
		a.rate(s.Score, 0)
	}
	if word, ok := d.OfDatabase.Severity.(string); ok && a.score < 0 {
		a.rate("", words[strings.ToUpper(word)])
	}
	c.keep(a)
}

func (f *osvAffected) affect(id identity) affect {
	_, release := splitEcosystem(f.Package.Ecosystem)
	out := affect{identity: id, release: release, versions: f.Versions, imports: f.OfEcosystem.Imports}
	for _, r := range f.Ranges {
		if len(r.Events) > maxEvents {
			out.vague = true
			continue
		}
		s := span{order: id.ecosystem}
		switch r.Type {
		case "SEMVER":
			s.order = "SemVer"
		case "ECOSYSTEM":
		default:
			// Commits (GIT) say nothing of a version.
			out.vague = out.vague || len(f.Versions) == 0 && len(f.Ranges) == 1
			continue
		}
		for _, e := range r.Events {
			for _, end := range []event{{"introduced", e.Introduced}, {"fixed", e.Fixed}, {"last", e.LastAffected}, {"limit", e.Limit}} {
				if end.version != "" {
					s.events = append(s.events, end)
				}
			}
		}
		out.ranges = append(out.ranges, s)
	}
	return out
}
