package upgrades

import (
	"strconv"
	"time"

	"aftershock/detector"

	"go.yaml.in/yaml/v3"
)

// maxMinutes bounds what a plan may take.
const maxMinutes = 31 * 24 * 60

// minutes is a whole number of minutes, at least least and at most a month.
func (p *parser) minutes(path string, n *yaml.Node, least int) int {
	s := p.text(path, n)
	m, err := strconv.Atoi(s)
	if err != nil || m < least || m > maxMinutes {
		p.fail(path, n, "want a whole number of minutes from %d to %d, got %q", least, maxMinutes, s)
		return 0
	}
	return m
}

// times looks whether there is a time, and whether the end comes after the start.
func (p *parser) times(u detector.Upgrade, n, finished *yaml.Node) {
	start := u.StartedAt
	if start.IsZero() {
		start = firstTime(u)
	}
	switch {
	case start.IsZero() && u.PlannedStart.IsZero():
		p.fail("started_at", n, "no time at all: want started_at, or deployed_at of a binary, or planned_start of what hasn't begun")
	case start.IsZero() && finished != nil && !u.FinishedAt.IsZero():
		p.fail("finished_at", finished, "what only has a planned_start hasn't begun: want started_at")
	case finished != nil && !u.FinishedAt.IsZero() && u.FinishedAt.Before(start):
		p.fail("finished_at", finished, "%s is before the start, %s", u.FinishedAt.Format(time.RFC3339), start.Format(time.RFC3339))
	}
}
