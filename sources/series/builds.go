package series

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
)

// build is one series of build information.
type build struct {
	col      *column
	frame    detector.Build
	rank     int   // how well it speaks for the process: more is better
	first    int64 // time of its first sample
	interval int64
}

// placeInfo takes a series that says something about processes.
func (f *Fold) placeInfo(col *column, metric string, n name) {
	if n.role == upness {
		f.ups = append(f.ups, col)
		return
	}
	in := f.instance(col.labels)
	col.inst = in
	if n.role == startTime {
		in.starts = append(in.starts, col)
		return
	}
	in.builds = append(in.builds, newBuild(col, metric, in.name))
}

func newBuild(col *column, metric, instance string) *build {
	ls := col.labels
	b := &build{col: col, frame: detector.Build{
		Instance:  instance,
		Labels:    identity(ls, func(n string) bool { return buildNames[n] }),
		Revision:  first(ls, []string{"revision", "vcs_revision", "git_commit", "commit", "sha"}),
		Toolchain: first(ls, []string{"goversion", "go_version", "toolchain", "process_runtime_version"}),
	}}
	prefix := strings.TrimSuffix(strings.TrimSuffix(metric, "build_info"), "_")
	switch metric {
	case "go_info":
		b.frame.Toolchain = ls.Get("version")
		b.rank = -1
	case "target_info":
		b.frame.Version = first(ls, []string{"service_version", "version"})
		b.frame.Binary = or(ls.Get("service_name"), ls.Get("job"))
		b.rank = 2
	default:
		b.frame.Version = first(ls, versionNames)
		b.rank = 3
		if prefix == "go" {
			b.rank = 1
		}
		if v := first(ls, []string{"binary", "program"}); v != "" {
			b.frame.Binary = v
			b.rank = 4
		}
	}
	if v := b.frame.Version; b.rank == 1 && (v == "(devel)" || v == "unknown") {
		b.frame.Version = ""
	}
	if b.frame.Binary == "" {
		switch prefix {
		case "", "go", "app", "application", "service", "target_info", "go_info":
			b.frame.Binary = or(first(ls, []string{"service", "service_name", "app", "job"}), prefix)
		default:
			b.frame.Binary = prefix
		}
	}
	return b
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// learn moves over what is told about the instance up to hi, and says whether
// anything was.
func (i *instance) learn(hi int64) bool {
	if n := len(i.changes); n > 0 {
		i.version, i.changes = i.changes[n-1].version, i.changes[:0]
	}
	if n := len(i.restarts); n > 0 {
		i.process, i.restarts = i.restarts[n-1].process, i.restarts[:0]
	}
	told := false
	// Two series that both claim to be the process start mean that several
	// processes share the instance's name: then none of them is believed.
	for _, c := range i.starts {
		for c.peek() <= hi {
			c.take()
			told = true
			if v := c.value; len(i.starts) == 1 && v > 0 && v < 1e12 {
				if p := int64(v * 1000); p != i.processAt(c.last) {
					i.restarts = append(i.restarts, restart{c.last, p})
				}
			}
		}
	}
	for {
		t := int64(never)
		for _, b := range i.builds {
			t = min(t, b.col.peek())
		}
		if t > hi {
			return told
		}
		told = true
		i.learnVersion(t)
	}
}

// learnVersion takes the build information at t: the best source speaks, and
// of two the one that appeared later, since OpenTelemetry's target_info of the
// old process stays for minutes.
func (i *instance) learnVersion(t int64) {
	var best *build
	for _, b := range i.builds {
		if b.col.peek() != t {
			continue
		}
		if b.col.last != 0 {
			b.interval = t - b.col.last
		}
		b.col.take()
		if v := b.col.value; math.IsNaN(v) || v == 0 {
			continue
		}
		if b.first == 0 {
			b.first = t
		}
		if b.frame.Version == "" || b.rank < 0 {
			continue
		}
		if best == nil || b.speaksOver(best) {
			best = b
		}
	}
	if best != nil && best.frame.Version != i.versionAt(t) {
		i.changes = append(i.changes, change{t, best.frame.Version})
	}
}

// speaksOver says whether b is better evidence of what runs than o.
func (b *build) speaksOver(o *build) bool {
	return cmp.Or(cmp.Compare(b.rank, o.rank), cmp.Compare(b.first, o.first), cmp.Compare(b.frame.Version, o.frame.Version)) > 0
}

// alive says whether the build still ran at hi, as far as can be told: it was
// there in the last three scrapes.
func (b *build) alive(hi, step, lookback int64) bool {
	c := b.col
	if c.last == 0 || math.IsNaN(c.value) || c.value == 0 {
		return false
	}
	reach := max(step, b.interval*7/2)
	if b.interval == 0 {
		reach = max(step, 60_000)
	}
	return hi-c.last < min(reach, lookback)
}

// builds lists the instance's builds at hi: for each binary the one that was
// seen last, of two the one that appeared later.
func (i *instance) buildsAt(hi, step, lookback int64, out []detector.Build) []detector.Build {
	var alive []*build
	toolchain := ""
	for _, b := range i.builds {
		if !b.alive(hi, step, lookback) {
			continue
		}
		if b.rank < 0 {
			toolchain = b.frame.Toolchain
			continue
		}
		if b.frame.Version != "" || b.frame.Revision != "" {
			alive = append(alive, b)
		}
	}
	slices.SortStableFunc(alive, func(a, b *build) int {
		return cmp.Or(
			cmp.Compare(a.frame.Binary, b.frame.Binary), cmp.Compare(b.col.last, a.col.last),
			cmp.Compare(b.first, a.first), cmp.Compare(b.frame.Version, a.frame.Version),
		)
	})
	for n, b := range alive {
		if n > 0 && alive[n-1].frame.Binary == b.frame.Binary {
			continue
		}
		fr := b.frame // its labels are shared by all frames, as an indicator's are
		if fr.Toolchain == "" {
			fr.Toolchain = toolchain
		}
		if p := i.processAt(hi); p != 0 {
			fr.Started = time.UnixMilli(p).UTC()
		}
		out = append(out, fr)
	}
	return out
}

// upsAt counts the targets that are known at hi and those that answered.
func (f *Fold) upsAt(hi int64) (up, targets int) {
	for _, c := range f.ups {
		if c.last == 0 || math.IsNaN(c.value) || hi-c.last >= f.lookback {
			continue
		}
		targets++
		fresh := f.step
		if c.before != 0 {
			fresh = max(fresh, (c.last-c.before)*3/2)
		}
		if c.value == 1 && hi-c.last < fresh {
			up++
		}
	}
	return up, targets
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
