package main

import (
	"cmp"
	"slices"

	"aftershock/bench/fleet"
	"aftershock/detector"
)

// rivals is how many simple ways of attribution there are beside the judge's. Each is
// asked about the shifts that the judge tells.
const rivals = 4

var rivalNames = [rivals]string{
	"latest change",  // on the path
	"votes",          // the binary that most onsets of the world's shifts follow (Gandalf's, simplified)
	"diff in diff",   // see did
	"the same, z>=2", // silent below
}

// rival asks each simple way whom it would name for what the judge told.
func (r *result) rival(p *paths, d *did) map[string][rivals]string {
	out := map[string][rivals]string{}
	said := r.sort(0)
	winner := vote(r, said)
	for key, o := range said {
		if in := d.known[key]; o.last != nil && in != nil {
			name, z := d.name(in, o.last.at)
			names := [rivals]string{p.latest(in.Service(), o.last.at), winner, name, name}
			if z < 2 {
				names[rivals-1] = ""
			}
			out[key] = names
		}
	}
	return out
}

// vote lets each shift of a world vote for the binary that was deployed last before
// its likeliest onset.
func vote(r *result, out map[string]*outcome) string {
	votes := map[string]int{}
	for _, o := range out {
		if o.last == nil || o.last.onset == nil {
			continue
		}
		name, found := "", false
		for _, b := range r.record.Binaries {
			if !b.DeployedAt.After(o.last.onset.At) {
				name, found = b.Name, true
			}
		}
		if found {
			votes[name]++
		}
	}
	best := ""
	for _, b := range r.record.Binaries {
		if votes[b.Name] > votes[best] {
			best = b.Name
		}
	}
	return best
}

// blame is how well the causes of found, moved indicators of guilty worlds are put
// down.
type blame struct {
	top1   part // the leading cause is the culprit
	first  part // the culprit is the first of the binaries, named or suspected
	top3   part // it is among the first three causes
	names  part // a binary leads
	right  part // of those, it is the culprit
	rivals [rivals]part
}

// add scores the last word on each found indicator that a culprit moved. Where two
// did, either is right.
func (b *blame) add(r *result, has func(*result, *fleet.Shifted) bool) {
	for key, o := range r.sort(0) {
		if o.shifted == nil || !o.shifted.Material || o.last == nil || !has(r, o.shifted) {
			continue
		}
		culprit := func(name string) bool { return slices.Contains(o.shifted.Culprits, name) }
		b.top1.count(culprit(o.last.binary))
		b.names.count(o.last.binary != "")
		if o.last.binary != "" {
			b.right.count(culprit(o.last.binary))
		}
		causes := slices.Clone(o.last.causes)
		slices.SortStableFunc(causes, func(x, y detector.Cause) int { return cmp.Compare(y.Probability, x.Probability) })
		binary := slices.IndexFunc(causes, func(c detector.Cause) bool { return c.Kind == detector.CauseBinary })
		at := slices.IndexFunc(causes, func(c detector.Cause) bool { return c.Kind == detector.CauseBinary && culprit(c.Name) })
		b.first.count(at >= 0 && at == binary)
		b.top3.count(at >= 0 && at < 3)
		for i, name := range r.rivals[key] {
			b.rivals[i].count(culprit(name))
		}
	}
}

// wrong is in how many innocent worlds somebody blames a binary: the judge, then each
// of its rivals.
type wrong [1 + rivals]part

func (w *wrong) add(r *result) {
	var blamed [1 + rivals]bool
	for key, o := range r.sort(0) {
		blamed[0] = blamed[0] || o.wrongly
		for i, name := range r.rivals[key] {
			blamed[i+1] = blamed[i+1] || name != ""
		}
	}
	for i, b := range blamed {
		w[i].count(b)
	}
}
