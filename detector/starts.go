package detector

// mostWindows bounds how many deployments are looked at as windows of an onset,
// and mostWarm how many restarts as warm-ups.
const (
	mostWindows = 8
	mostWarm    = 64
)

// starts are the windows in which the upgrade may have shifted the indicator: the
// deployment of each binary on its path, or, after a flip, the flip. It sets the
// cuts and warm-ups of the trial on the way. An instance is seen to have switched at
// the end of the step in which it did, so its warm-up begins a step before.
func (j *Judge) starts(s *scene, tr *Trial) starts {
	var out starts
	slack := j.cfg.Warmup + 2*j.cfg.Step
	tr.cuts = append(tr.cuts[:0], s.upgrade.StartedAt.UnixNano())
	tr.warm = warmth{restarts: tr.warm.restarts[:0]}
	for m, x := range warmMemories {
		switch kind := tr.Verdict.Indicator.Kind; {
		case kind == Retry: // they follow from what the third party answers, not from caches
		case kind == Error && x > warmMemories[ownWarmUps]: // what fails in a restart fails at once
		default:
			tr.warm.memories[m] = x * float64(j.cfg.Warmup)
		}
	}
	tr.To = tr.To[:0]
	for k, b := range s.upgrade.Binaries {
		if !s.reaches(b, tr.Verdict.Indicator) {
			continue
		}
		if s.owns(b, tr.Verdict.Indicator) && b.To != b.From {
			tr.To = append(tr.To, b.To)
		}
		from, to := s.deployed(b)
		if len(out.windows) < mostWindows {
			out.windows = append(out.windows, span{from.UnixNano(), to.Add(slack).UnixNano()})
			if j.last.Sub(from) > fewSteps*j.cfg.Step {
				out.binaries = append(out.binaries, k)
			}
			tr.cuts = append(tr.cuts, from.UnixNano())
		}
		at := b.Instances
		if len(at) == 0 {
			at = []Deployment{{At: from}}
		}
		for i, d := range at {
			if len(tr.warm.restarts) < mostWarm {
				tr.warm.restarts = append(tr.warm.restarts, restart{
					at: d.At.Add(-j.cfg.Step).UnixNano(), share: 1 / float64(len(at)),
					own: s.owns(b, tr.Verdict.Indicator), first: i == 0,
				})
			}
		}
	}
	if !tr.Treated.IsZero() {
		at := tr.Treated.UnixNano()
		out.windows, out.binaries = []span{{at, at + int64(2*j.cfg.Step)}}, nil
		tr.cuts = append(tr.cuts, at)
	}
	if len(out.windows) == 0 {
		at := s.upgrade.StartedAt
		out.windows = []span{{at.UnixNano(), at.Add(slack).UnixNano()}}
	}
	return out
}
