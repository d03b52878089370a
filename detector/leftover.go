package detector

import (
	"slices"
	"strings"
	"time"
)

// stragglers is how long after an upgrade is done, and after they were first counted,
// instances may still run the old build before that is called left behind: pods drain,
// and telemetry comes late. Assumed: it is the time after which a rollout is over.
const stragglers = 30 * time.Minute

// Leftover is a binary of which instances still run the old build though the upgrade is
// done.
type Leftover struct {
	Binary Binary
	// Foreseen is the finding of the package's inspection that has come true with it, in
	// words; "" where none spoke of it.
	Foreseen string
	// Since is when that can be said of it.
	Since time.Time
}

// Leftovers are the binaries of which instances were left behind on the old build, as
// their fleets tell, at an instant. others are upgrades that may have come since: what a
// later one replaces, or takes back, isn't left behind.
func (u Upgrade) Leftovers(others []Upgrade, now time.Time) (all []Leftover) {
	if !u.Begun() || u.FinishedAt.IsZero() || strings.Contains(u.Source, "rolled back") {
		return nil
	}
	for _, b := range u.Binaries {
		if b.Fleet == nil || b.Fleet.Old == 0 || b.To == "" {
			continue
		}
		since := u.FinishedAt
		if b.Fleet.Since.After(since) {
			since = b.Fleet.Since
		}
		if since = since.Add(stragglers); since.After(now) || slices.ContainsFunc(others, func(o Upgrade) bool { return o.Replaces(u, b) }) {
			continue
		}
		all = append(all, Leftover{Binary: b, Foreseen: u.oldBuild(b), Since: since})
	}
	return all
}

// Declared says whether somebody told of the upgrade, and it wasn't found in the telemetry
// alone.
func (u Upgrade) Declared() bool {
	for word := range strings.SplitSeq(u.Source, ", ") {
		switch word {
		case "build-info", "toolchain", "rollback", "rolled back", "flapping", "":
		default:
			return true
		}
	}
	return false
}

// Replaces says whether the upgrade brings another build of a binary of an earlier one.
func (u Upgrade) Replaces(earlier Upgrade, b Binary) bool {
	return u.ID != earlier.ID && u.Begun() && u.StartedAt.After(earlier.StartedAt) && slices.ContainsFunc(u.Binaries, func(o Binary) bool {
		return SameBinary(o.Name, b.Name) && o.To != b.To
	})
}

// oldBuild is the first finding that foresaw that the binary's old build would go on
// running. A unit that isn't one of the upgrade's binaries may be that of any.
func (u Upgrade) oldBuild(b Binary) string {
	for _, f := range u.Findings {
		for _, h := range f.Hypotheses {
			if h.Kind != HypothesisOldBuild {
				continue
			}
			unit := strings.TrimSuffix(h.Unit, ".service")
			service := func(labels map[string]string) bool {
				for _, v := range labels {
					if slices.Contains(h.Services, v) {
						return true
					}
				}
				return false
			}
			switch {
			case len(h.Binaries) > 0:
				if hasBinary(h.Binaries, b.Name) {
					return f.cite(h)
				}
			case len(h.Services) > 0:
				if service(b.Selector) {
					return f.cite(h)
				}
			case unit == "" || SameBinary(unit, b.Name) || !slices.ContainsFunc(u.Binaries, func(o Binary) bool { return SameBinary(unit, o.Name) }):
				return f.cite(h)
			}
		}
	}
	return ""
}
