package upgrades

import (
	"cmp"
	"slices"
	"time"

	"aftershock/detector"
	"aftershock/upgrades/packages"
)

// maxRuns bounds the runs of package managers that are remembered, in case the
// telemetry comes to know one of their packages.
const maxRuns = 500

// installed turns the runs of package managers into reports.
type installed struct {
	config packages.Config
	logs   *packages.Watcher
	runs   map[string]packages.Run
	// told is how much of a run was reported: its packages that count, and
	// whether it was over.
	told     map[string]toldRun
	services int // known to the telemetry when the runs were last looked at
}

type toldRun struct {
	packages int
	over     bool
}

func newInstalled(c packages.Config) (*installed, error) {
	logs, err := packages.NewWatcher(c)
	if err != nil || logs == nil {
		return nil, err
	}
	return &installed{config: c, logs: logs, runs: map[string]packages.Run{}, told: map[string]toldRun{}}, nil
}

// observeInstalled reads on in the logs and reports the runs that began by the frame's
// time, with the packages that count.
func (l *Ledger) observeInstalled(at time.Time, changed map[string]bool) {
	in := l.installed
	runs, problems := in.logs.Poll(time.Now())
	for _, err := range problems {
		l.log.WithError(err).Warn("a log of packages can't be used")
	}
	for _, r := range runs {
		in.runs[r.ID()] = r
		delete(in.told, r.ID())
	}
	in.prune()
	services := len(l.found.services) + len(l.serving)
	if len(runs) == 0 && services == in.services && len(in.told) == len(in.runs) {
		return
	}
	in.services = services
	known := l.names()
	for _, r := range in.byStart() {
		id := r.ID()
		if r.Started.After(at) {
			continue // the frames haven't come to it yet
		}
		u := in.upgrade(r, known)
		now := toldRun{len(u.Binaries), !r.Finished.IsZero()}
		if was, ok := in.told[id]; ok && was == now {
			continue
		}
		in.told[id] = now
		if len(u.Binaries) == 0 {
			continue
		}
		if whole, ok := l.Report(u, false); ok {
			changed[whole.ID] = true
		}
	}
}

// upgrade is the run with the packages that count: most of what a system
// installs is no suspect.
func (in *installed) upgrade(r packages.Run, known names) detector.Upgrade {
	u := detector.Upgrade{ID: r.ID(), Source: r.Log, Package: r.Command, StartedAt: r.Started, FinishedAt: r.Finished}
	back := true
	for _, p := range r.Packages {
		if len(u.Binaries) == maxBinaries || !in.config.Counts(p.Name, func(name string) bool { _, ok := known[name]; return ok }) {
			continue
		}
		from, to := p.Versions()
		u.Binaries = append(u.Binaries, detector.Binary{Name: p.Name, From: from, To: to})
		back = back && p.Downgraded()
	}
	if back && len(u.Binaries) > 0 {
		u.Source += ", rollback"
	}
	return u
}

// prune forgets the oldest runs when too many are remembered.
func (in *installed) prune() {
	if len(in.runs) <= maxRuns {
		return
	}
	for _, r := range in.byStart()[:len(in.runs)-maxRuns] {
		delete(in.runs, r.ID())
		delete(in.told, r.ID())
	}
}

func (in *installed) byStart() []packages.Run {
	all := make([]packages.Run, 0, len(in.runs))
	for _, r := range in.runs {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b packages.Run) int { return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Log, b.Log)) })
	return all
}
