package upgrades

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
)

// Report takes in what a deployment tool told of a change, and gives the upgrade
// as it is known now. What is told of one change under one ID makes one window:
// its begin and its end, in whatever order and however often they come. An
// update ends a change that is known and makes none: known is false where there
// is no such change.
func (l *Ledger) Report(u detector.Upgrade, update bool) (whole detector.Upgrade, known bool) {
	u = l.named(clone(u))
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
func (l *Ledger) named(u detector.Upgrade) detector.Upgrade {
	for i, b := range u.Binaries {
		if len(b.Selector) > 0 {
			continue
		}
		binary, selector := l.found.called(b.Name)
		taken := slices.ContainsFunc(u.Binaries, func(o detector.Binary) bool { return o.Name == binary })
		if binary == b.Name || binary != "" && !taken {
			u.Binaries[i].Name, u.Binaries[i].Selector = binary, selector
		}
	}
	return u
}

// called gives the binary that is known by the name, its own or that of its
// service, with the selector of its series where there is one service of it; ""
// where none is known, or several are.
func (d *Detector) called(name string) (binary string, selector map[string]string) {
	var own, served []*service
	for _, s := range d.services {
		if s.Binary == name {
			own = append(own, s)
		} else if _, value := primary(s.Labels); value == name {
			served = append(served, s)
		}
	}
	switch {
	case len(own) == 1:
		return name, d.selector(serviceKey(own[0].Binary, own[0].Labels), own[0])
	case len(own) > 1:
		return name, nil
	case len(served) == 1:
		return served[0].Binary, d.selector(serviceKey(served[0].Binary, served[0].Labels), served[0])
	}
	return "", nil
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
		if together(o, *u, l.settle) && (!known || o.StartedAt.Sub(u.StartedAt).Abs() < was.StartedAt.Sub(u.StartedAt).Abs()) {
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
			return u.StartedAt.Add(openRecord)
		}
		return latest(u).Add(settle)
	}
	return !b.StartedAt.After(end(a, b)) && !a.StartedAt.After(end(b, a))
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

func isRecord(u detector.Upgrade) bool {
	return u.Source == "" || strings.HasPrefix(u.Source, "record")
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
	if u.StartedAt.Before(out.StartedAt) {
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
