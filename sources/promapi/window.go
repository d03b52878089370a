package promapi

import (
	"context"
	"errors"
	"regexp"
	"time"
)

const (
	// maxPoints keeps windows of steps below the 11,000 points a series that
	// servers answer.
	maxPoints = 10_000
	// leastWindow is as short as windows get because of a refusal.
	leastWindow = time.Minute
	// firstJSON is what is asked for as JSON before it is known how dense the
	// series are, and targetJSON how many samples an answer should have then:
	// servers hold a whole answer in memory, and windows of steps are held here.
	firstJSON  = 30 * time.Minute
	firstSteps = 6 * time.Hour
	targetJSON = 2_000_000
	// calmFor is after how many good answers a longer window is tried again.
	calmFor = 20
)

// pacer decides how long the windows are in which a server is asked.
type pacer struct {
	// most is what the configuration allows, ceiling what the server has shown
	// to answer, and size the next window.
	most, ceiling, size time.Duration
	// target is the number of samples that a window should have, 0 for any.
	target int
	calm   int
}

func newPacer(way Way, most time.Duration) *pacer {
	p := &pacer{most: most, ceiling: most, size: most}
	switch way {
	case JSON:
		p.size, p.target = min(firstJSON, most), targetJSON
	case Steps:
		p.size, p.target = min(firstSteps, most), targetJSON
	}
	return p
}

// good learns from a window that was answered with n samples.
func (p *pacer) good(length time.Duration, n int) {
	if p.calm++; p.calm >= calmFor && p.ceiling < p.most {
		p.ceiling, p.calm = min(2*p.ceiling, p.most), 0
	}
	switch {
	case p.target == 0:
		p.size = p.ceiling
	case n > p.target:
		p.size = max(length/2, min(leastWindow, p.most))
	case n < p.target/4 && length >= p.size:
		p.size = min(2*p.size, p.ceiling)
	}
}

// refused learns from a window that was too long, and says whether a shorter
// one can be tried.
func (p *pacer) refused(length, step time.Duration) bool {
	least := max(step, leastWindow)
	if length <= least {
		return false
	}
	p.ceiling, p.calm = max(length/2, least), 0
	p.size = min(p.size, p.ceiling)
	return true
}

// windows reads a span window by window.
func (s *Source) windows(ctx context.Context, way Way, all span, read func(span) (int, error)) error {
	step := time.Duration(all.step) * time.Millisecond
	for from := all.from; ; {
		w := s.window(way, from, all)
		n, err := read(w)
		length := time.Duration(w.to-w.from) * time.Millisecond
		s.mu.Lock()
		again := false
		if err == nil {
			s.pacers[way].good(length, n)
		} else {
			again = tooLong(err) && s.pacers[way].refused(length, step)
		}
		size := s.pacers[way].size
		s.mu.Unlock()
		switch {
		case again && ctx.Err() == nil:
			s.log.WithFields(map[string]any{"problem": err.Error(), "window": size.String()}).Info("asking the telemetry server for less at once")
			continue
		case err != nil:
			return err
		case w.to >= all.to:
			return nil
		}
		if from = w.to + 1; all.step > 0 {
			// Windows of steps have the end of a step in common, and its
			// samples belong to the earlier one.
			from = w.to
		}
	}
}

func (s *Source) window(way Way, from int64, all span) span {
	s.mu.Lock()
	size := s.pacers[way].size.Milliseconds()
	s.mu.Unlock()
	if all.step > 0 {
		size = max(1, min(size/all.step, maxPoints)) * all.step
	}
	return span{from: from, to: min(from+size, all.to), step: all.step}
}

// errPartial marks the failure of a window that was delivered in part: it can't
// be read again in smaller ones.
var errPartial = errors.New("the window was read in part")

func partial(err error) error {
	var fail *failure
	if !errors.As(err, &fail) {
		return err
	}
	marked := *fail
	marked.err = errors.Join(errPartial, fail.err)
	return &marked
}

var limitWords = regexp.MustCompile(`(?i)limit|exceed|too many|too long|too large|maximum`)

// tooLong says whether a shorter window may work: the server has a limit, or
// doesn't answer in time.
func tooLong(err error) bool {
	var fail *failure
	if !errors.As(err, &fail) || errors.Is(err, errPartial) {
		return false
	}
	switch fail.outcome {
	case outcomeTimeout, outcomeTooMuch:
		return true
	case outcomeRefused, outcomeFailed:
		return limitWords.MatchString(fail.text)
	}
	return false
}
