package upgrades

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/upgrades/inbox"
)

// Report takes in what a deployment tool told of a change, and gives the upgrade
// as it is known now. What is told of one change under one ID makes one window:
// its begin and its end, in whatever order and however often they come. An
// update ends a change that is known and makes none: known is false where there
// is no such change.
func (l *Ledger) Report(u detector.Upgrade, update bool) (whole detector.Upgrade, known bool) {
	u = l.names().named(clone(u))
	was, ok := l.occurrence(&u)
	if !ok && update {
		if was, ok = l.alike(u); !ok {
			return detector.Upgrade{}, false
		}
	}
	if ok {
		u = combine(was, u, update)
	}
	return l.whole(l.put(u, l.book.Reported, l.book.Found)), true
}

// named calls the binaries as the telemetry does, and says which series they
// emit. A deployment tool may know of a service alone.
func (n names) named(u detector.Upgrade) detector.Upgrade {
	for i, b := range u.Binaries {
		as, known := n[b.Name]
		if !known || len(b.Selector) > 0 {
			continue
		}
		taken := slices.ContainsFunc(u.Binaries, func(o detector.Binary) bool { return o.Name == as.Name })
		if as.Name == b.Name || !taken {
			u.Binaries[i].Name, u.Binaries[i].Selector = as.Name, as.Selector
		}
	}
	return u
}

// names are the binaries, with their names and selectors, by what they may be
// called: by their own names, else by their services'.
type names map[string]detector.Binary

// names gives the names that the telemetry knows: of builds, and where there are
// none of a service, of the series that carry its name. What several builds
// could be meant by has no selector, and is no name of a service.
func (l *Ledger) names() names {
	if l.known == nil {
		l.known = l.findNames()
	}
	return l.known
}

func (l *Ledger) findNames() names {
	out, served, many := names{}, names{}, map[string]bool{}
	// As Detector.selector does, for all services at once.
	type emitter struct{ binary, label, value string }
	of := func(s *service) emitter {
		label, value := primary(s.Labels)
		return emitter{s.Binary, label, value}
	}
	like := map[emitter]int{}
	for _, s := range l.found.services {
		like[of(s)]++
	}
	for _, s := range l.found.services {
		b := detector.Binary{Name: s.Binary, Selector: s.Labels}
		if e := of(s); e.label != "" && like[e] == 1 {
			b.Selector = map[string]string{e.label: e.value}
		}
		if _, several := out[s.Binary]; several {
			b.Selector = nil
		}
		out[s.Binary] = b
		if _, value := primary(s.Labels); value != "" {
			_, several := served[value]
			many[value] = many[value] || several
			served[value] = b
		}
	}
	for value, b := range served {
		if _, own := out[value]; !own && !many[value] {
			out[value] = b
		}
	}
	for value, label := range l.serving {
		if _, known := out[value]; !known && !many[value] {
			out[value] = detector.Binary{Name: value, Selector: map[string]string{label: value}}
		}
	}
	return out
}

// notePoints notes which services the series of a frame are of.
func (l *Ledger) notePoints(f detector.Frame) {
	var last *detector.Indicator
	for _, p := range f.Points {
		if p.Indicator == nil || p.Indicator == last {
			continue
		}
		last = p.Indicator
		label, value := primary(p.Indicator.Labels)
		if _, known := l.serving[value]; value != "" && !known && len(l.serving) < maxServices {
			l.serving[value] = label
		}
	}
}

// renew names anew what tools reported before the telemetry knew of it.
func (l *Ledger) renew(changed map[string]bool) {
	for _, u := range byStart(l.book.Reported) {
		if isRecord(u) || !slices.ContainsFunc(u.Binaries, func(b detector.Binary) bool { return len(b.Selector) == 0 }) {
			continue
		}
		if is := l.names().named(clone(u)); !equal(is, u) {
			changed[l.put(is, l.book.Reported, l.book.Found)] = true
		}
	}
}

// maxAgain bounds how often a sender may tell of changes under one ID.
const maxAgain = 100

// occurrence gives what is known of the change that the report tells of, under
// its ID. A tool may go back to a revision later and forth again: that is another
// change, whose ID gets a number.
func (l *Ledger) occurrence(u *detector.Upgrade) (was detector.Upgrade, known bool) {
	base := u.ID
	for n := 1; n <= maxAgain; n++ {
		if n > 1 {
			u.ID = fmt.Sprintf("%s-%d", base, n)
		}
		o, ok := l.book.Reported[u.ID]
		if !ok {
			break
		}
		if together(o, *u, l.settle) && (!known || o.Begins().Sub(u.Begins()).Abs() < was.Begins().Sub(u.Begins()).Abs()) {
			was, known = o, true
		}
	}
	if known {
		u.ID = was.ID
	}
	return was, known
}

// together says whether two reports under one ID tell of one window.
func together(a, b detector.Upgrade, settle time.Duration) bool {
	end := func(u detector.Upgrade, o detector.Upgrade) time.Time {
		// A begin waits for its end; two begins are two changes.
		if u.FinishedAt.IsZero() && !o.FinishedAt.IsZero() {
			return u.Begins().Add(openRecord)
		}
		return latest(u).Add(settle)
	}
	return !b.Begins().After(end(a, b)) && !a.Begins().After(end(b, a))
}

// alike gives the report of a change that an update without its ID speaks of.
func (l *Ledger) alike(u detector.Upgrade) (detector.Upgrade, bool) {
	for _, o := range slices.Backward(byStart(l.book.Reported)) {
		if !isRecord(o) && l.sameReport(o, u) {
			return o, true
		}
	}
	return detector.Upgrade{}, false
}

// sameReport says whether two people or tools tell of one change. Two records
// with different IDs are kept apart: whoever wrote them meant it.
func (l *Ledger) sameReport(a, b detector.Upgrade) bool {
	if isRecord(a) && isRecord(b) || apart(environments(a), environments(b)) {
		return false
	}
	_, ok := Merge(a, b, l.settle)
	return ok
}

// isRecord says whether a person or a pipeline wrote it, rather than a tool that
// knows nothing of records.
func isRecord(u detector.Upgrade) bool {
	tool, _, _ := strings.Cut(sourceWords(u)[0], "/")
	return tool != "apt" && tool != "dpkg" && !inbox.Known(tool)
}

// Watchable says whether there is anything of the upgrade to watch: of what
// tools alone told, the telemetry knows a part. A cluster deploys much that isn't
// measured, and the watches are few.
func Watchable(u detector.Upgrade) bool {
	return isRecord(u) || slices.ContainsFunc(u.Binaries, func(b detector.Binary) bool { return len(b.Selector) > 0 })
}

// environments are those of the words of a source: "argocd/production, rollback".
func environments(u detector.Upgrade) (out []string) {
	for _, word := range sourceWords(u) {
		if _, env, ok := strings.Cut(word, "/"); ok {
			out = append(out, env)
		}
	}
	return out
}

func sourceWords(u detector.Upgrade) []string { return strings.Split(u.Source, ", ") }

// apart says whether both name environments, and none that is the same.
func apart(a, b []string) bool {
	return len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(e string) bool { return slices.Contains(b, e) })
}

// combine makes one of two reports of one change under one ID. It doesn't matter
// how often or in which order they come.
func combine(was, u detector.Upgrade, update bool) detector.Upgrade {
	out := clone(was)
	out.Package = cmp.Or(was.Package, u.Package)
	if s := joinSources(was.Source, u.Source); len(s) <= maxText {
		out.Source = s
	}
	if out.FinishedAt.IsZero() || !u.FinishedAt.IsZero() && u.FinishedAt.Before(out.FinishedAt) && !update {
		out.FinishedAt = u.FinishedAt
	}
	if !out.Begun() || u.Begun() && u.StartedAt.Before(out.StartedAt) {
		out.StartedAt = u.StartedAt
	}
	if !out.FinishedAt.IsZero() && out.FinishedAt.Before(out.StartedAt) {
		out.FinishedAt = out.StartedAt
	}
	if update {
		return out
	}
	for _, b := range clone(u).Binaries {
		i := slices.IndexFunc(out.Binaries, func(o detector.Binary) bool { return o.Name == b.Name && agree(o.Selector, b.Selector) })
		switch {
		case i >= 0:
			out.Binaries[i] = fill(out.Binaries[i], b)
		case len(out.Binaries) < maxBinaries:
			out.Binaries = append(out.Binaries, b)
		}
	}
	return out
}
