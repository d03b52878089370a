package watch

import (
	"time"

	"aftershock/detector"
)

// cover counts a step that there was telemetry of. The hours since the last commit are
// kept whole, so that a step that is repeated after a crash counts once.
func (l *Loop) cover(f detector.Frame) {
	hour := f.Time.Add(-1).UTC().Truncate(time.Hour)
	hours := l.memory.Hours
	if n := len(hours); n == 0 || !hours[n-1].Hour.Equal(hour) {
		hours = append(hours, detector.Coverage{Hour: hour, Step: l.o.Config.Step.Seconds()})
	}
	c := &hours[len(hours)-1]
	c.Steps++
	if f.Targets > 0 && f.Up*2 < f.Targets {
		c.Silent++
	}
	l.memory.Hours = hours
}

// covered forgets the hours that were put down, but for the one under way.
func (l *Loop) covered() {
	if n := len(l.memory.Hours); n > 1 {
		l.memory.Hours = l.memory.Hours[n-1:]
	}
}
