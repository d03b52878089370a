package upgrades

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"aftershock/detector"
)

// openRecord is how long after the start a record without an end still stands
// for a rollout to the very version that it names.
const openRecord = 24 * time.Hour

// Merge makes one upgrade of a record that a person or a pipeline gave and of
// one that was found in the telemetry, when both tell of one change: they share
// a binary, name no different target for it, and their windows lie within
// settle of each other. Otherwise it gives the record as it is, and false.
//
// The record's ID, package and fields win; what it leaves out is filled in; the
// window holds both windows; what was found besides is added. Merging the same
// upgrade again changes nothing.
func Merge(record, found detector.Upgrade, settle time.Duration) (detector.Upgrade, bool) {
	pairs := pairBinaries(record, found)
	if len(pairs) == 0 || !near(record, found, pairs, settle) {
		return record, false
	}
	out := clone(record)
	out.Package = cmp.Or(record.Package, found.Package)
	if !out.Begun() || found.Begun() && found.StartedAt.Before(out.StartedAt) {
		out.StartedAt = found.StartedAt
	}
	out.Plan = record.PlanOr(found.Plan)
	if out.FinishedAt.IsZero() || found.FinishedAt.After(out.FinishedAt) {
		out.FinishedAt = found.FinishedAt
	}
	if last := lastTime(found); !out.FinishedAt.IsZero() && last.After(out.FinishedAt) {
		out.FinishedAt = last
	}
	out.Source = joinSources(record.Source, found.Source)
	if len(out.Findings) == 0 {
		out.Findings = found.Findings
	}
	found = clone(found)
	for j, b := range found.Binaries {
		if i, ok := pairs[j]; ok {
			out.Binaries[i] = fill(out.Binaries[i], b)
		} else {
			out.Binaries = append(out.Binaries, b)
		}
	}
	return out, true
}

// pairBinaries gives, for the places of found's binaries, the places of the
// record's binaries that are the same.
func pairBinaries(record, found detector.Upgrade) map[int]int {
	pairs, taken := map[int]int{}, map[int]bool{}
	// What takes an upgrade back is another change than one that doesn't, unless
	// both name the very version.
	strict := slices.Contains(sourceWords(found), "rollback") != slices.Contains(sourceWords(record), "rollback")
	for _, same := range []func(a, b detector.Binary) bool{
		func(a, b detector.Binary) bool { return a.Name == b.Name && maps.Equal(a.Selector, b.Selector) },
		func(a, b detector.Binary) bool { return a.Name == b.Name && agree(a.Selector, b.Selector) },
		// A record may call the program by another name than its build info does.
		func(a, b detector.Binary) bool { return len(a.Selector) > 0 && maps.Equal(a.Selector, b.Selector) },
	} {
		for j, b := range found.Binaries {
			if _, ok := pairs[j]; ok {
				continue
			}
			for i, a := range record.Binaries {
				if !taken[i] && same(a, b) && sameTarget(a, b, strict) {
					pairs[j], taken[i] = i, true
					break
				}
			}
		}
	}
	return pairs
}

func agree(a, b map[string]string) bool {
	for n, v := range a {
		if w, ok := b[n]; ok && w != v {
			return false
		}
	}
	return true
}

// sameTarget says whether the two don't name different versions. A revision or
// a toolchain that only one of them knows is no difference. With strict, both
// must name one.
func sameTarget(a, b detector.Binary, strict bool) bool {
	x, y := bareVersion(a.To), bareVersion(b.To)
	return x == y && x != "" || !strict && (x == "" || y == "")
}

func bareVersion(v string) string {
	v, _, _ = strings.Cut(strings.TrimSpace(v), " ")
	return strings.TrimPrefix(v, "v")
}

// near says whether the windows overlap, give or take settle.
func near(record, found detector.Upgrade, pairs map[int]int, settle time.Duration) bool {
	from := record.Begins().Add(-settle)
	to := latest(record).Add(settle)
	if record.FinishedAt.IsZero() {
		for j, i := range pairs {
			if record.Binaries[i].To != "" && found.Binaries[j].To != "" {
				if open := record.Begins().Add(openRecord); open.After(to) {
					to = open
				}
			}
		}
	}
	return !latest(found).Before(from) && !found.Begins().After(to)
}

// latest is the last instant that the upgrade is known to have lasted to, or, where it is
// only planned, may last to.
func latest(u detector.Upgrade) time.Time {
	end := u.Begins()
	due := time.Time{}
	if !u.Begun() {
		_, due = u.DueBy()
	}
	for _, t := range []time.Time{u.FinishedAt, lastTime(u), due} {
		if t.After(end) {
			end = t
		}
	}
	return end
}

// fill completes the record's binary with what was found.
func fill(b, found detector.Binary) detector.Binary {
	b.From = cmp.Or(b.From, found.From)
	b.To = cmp.Or(b.To, found.To)
	b.SHA256 = cmp.Or(b.SHA256, found.SHA256)
	b.Inside = cmp.Or(b.Inside, found.Inside)
	b.Fleet = b.Fleet.Later(found.Fleet)
	if len(b.Selector) == 0 {
		b.Selector = found.Selector
	}
	if b.DeployedAt.IsZero() {
		b.DeployedAt = found.DeployedAt
	}
	known := map[string]bool{}
	for _, d := range b.Instances {
		known[d.Instance] = true
	}
	for _, d := range found.Instances {
		if !known[d.Instance] && len(b.Instances) < maxInstances {
			b.Instances = append(b.Instances, d)
		}
	}
	sortDeployments(b.Instances)
	for _, f := range found.Flags {
		if !slices.Contains(b.Flags, f) {
			b.Flags = append(b.Flags, f)
		}
	}
	return b
}

func sortDeployments(d []detector.Deployment) {
	sort.Slice(d, func(i, j int) bool {
		if !d[i].At.Equal(d[j].At) {
			return d[i].At.Before(d[j].At)
		}
		return d[i].Instance < d[j].Instance
	})
}

func joinSources(a, b string) string {
	parts := strings.Split(a, ", ")
	for s := range strings.SplitSeq(b, ", ") {
		if !slices.Contains(parts, s) {
			parts = append(parts, s)
		}
	}
	return strings.Trim(strings.Join(parts, ", "), ", ")
}

// clone is a copy that shares nothing with the upgrade.
func clone(u detector.Upgrade) detector.Upgrade {
	u.Binaries = slices.Clone(u.Binaries)
	for i, b := range u.Binaries {
		u.Binaries[i].Selector = maps.Clone(b.Selector)
		u.Binaries[i].Instances = slices.Clone(b.Instances)
		u.Binaries[i].Flags = slices.Clone(b.Flags)
	}
	return u
}

// equal says whether two upgrades say the same.
func equal(a, b detector.Upgrade) bool {
	return a.ID == b.ID && a.Package == b.Package && a.Source == b.Source &&
		a.StartedAt.Equal(b.StartedAt) && a.FinishedAt.Equal(b.FinishedAt) && a.ClosedAt.Equal(b.ClosedAt) && a.SamePlan(b.Plan) &&
		detector.SameFindings(a.Findings, b.Findings) &&
		slices.EqualFunc(a.Binaries, b.Binaries, equalBinary)
}

func equalBinary(a, b detector.Binary) bool {
	return a.Name == b.Name && a.From == b.From && a.To == b.To && a.SHA256 == b.SHA256 && a.Inside.Equal(b.Inside) && a.Fleet.Same(b.Fleet) &&
		a.DeployedAt.Equal(b.DeployedAt) && maps.Equal(a.Selector, b.Selector) && slices.Equal(a.Flags, b.Flags) &&
		slices.EqualFunc(a.Instances, b.Instances, func(x, y detector.Deployment) bool {
			return x.Instance == y.Instance && x.At.Equal(y.At)
		})
}
