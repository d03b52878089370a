package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// Bounds of the picture of lanes.
const (
	maxLanes    = 12
	maxSwitches = 100 // steps drawn in a lane; those of more instances come together
	laneHeight  = 22.0
	laneRow     = 64.0
	// laneLetters fit on a phone; a pointer on them, and the list below, tell the whole.
	laneLetters = 46
	maxNamed    = 8  // instances of one kind in the list, the rest as a count
	nameLetters = 60 // of an instance there
)

// rollout is how an upgrade's instances switched, binary by binary.
type rollout struct {
	Chart template.HTML
	Lanes []lane
	// More is how many binaries have no lane.
	More int
}

// lane is one binary with the switches of its instances in order of time.
type lane struct {
	detector.Binary
	Switches []time.Time
	// Known is whether the instances are known, and not the binary's own time alone.
	Known bool
}

// First and Last bound the switches.
func (l lane) First() time.Time { return l.Switches[0] }

// Last is the last instance's switch.
func (l lane) Last() time.Time { return l.Switches[len(l.Switches)-1] }

// share is how full of the new build the lane is at last.
func (l lane) share() float64 {
	if l.Fleet == nil {
		return 1
	}
	return float64(l.Fleet.New) / float64(max(l.Fleet.New+l.Fleet.Old, 1))
}

// Counted says how many run the new build, "" where nobody knows.
func (l lane) Counted() string {
	if l.Fleet == nil {
		return ""
	}
	return fmt.Sprintf("%s of %s on the new build", words.Count(float64(l.Fleet.New)), words.Count(float64(l.Fleet.New+l.Fleet.Old)))
}

// Kinds are the instances that the picture doesn't show, kind by kind.
func (l lane) Kinds() (all []string) {
	f := l.Fleet
	if f == nil {
		return nil
	}
	for _, k := range []struct {
		what  string
		names []string
		count int
	}{{"Not on the new build", f.OldNames, f.Old}, {"Vanished", f.GoneNames, f.Gone}, {"New instances", f.BornNames, f.Born}} {
		if k.count == 0 {
			continue
		}
		var named []string
		for _, name := range k.names[:min(len(k.names), maxNamed)] {
			named = append(named, words.Clean(name, nameLetters))
		}
		text := k.what + ": " + strings.Join(named, ", ")
		if more := k.count - len(named); more > 0 {
			text += " and " + words.Count(float64(more)) + " more"
		}
		all = append(all, text)
	}
	return all
}

// facts say in words what the lane shows: how many run the new build, and when they
// switched.
func (l lane) facts() string {
	text := l.Counted()
	if text == "" && l.Known {
		many := "s"
		if len(l.Switches) == 1 {
			many = ""
		}
		text = fmt.Sprintf("%s instance%s", words.Count(float64(len(l.Switches))), many)
	}
	if text != "" {
		text += ", "
	}
	text += words.Clock(l.First())
	if l.Last().After(l.First()) {
		text += "–" + words.Clock(l.Last())
	}
	return text
}

// lanes draws which share of each binary's instances ran the new build over the
// upgrade's window, those that haven't switched among them. until is as far as is known where the window is open; onset is when
// the worst shift began, nil for none.
func lanes(u detector.Upgrade, until time.Time, onset *detector.Onset) rollout {
	out := rollout{More: max(len(u.Binaries)-maxLanes, 0)}
	from, to := u.StartedAt, u.FinishedAt
	if to.IsZero() {
		to = until
	}
	for _, b := range words.Binaries(u) {
		l := lane{Binary: b, Known: len(b.Instances) > 0}
		for _, d := range b.Instances {
			l.Switches = append(l.Switches, d.At)
		}
		if !l.Known {
			l.Switches = append(l.Switches, u.Time(b))
		}
		slices.SortFunc(l.Switches, time.Time.Compare)
		if l.First().Before(from) {
			from = l.First()
		}
		if l.Last().After(to) {
			to = l.Last()
		}
		out.Lanes = append(out.Lanes, l)
	}
	if len(out.Lanes) == 0 {
		return out
	}
	pad := max(to.Sub(from)/12, time.Minute)
	c := &chart{from: from.Add(-pad), to: to.Add(pad)}
	drawn := out.Lanes[:min(len(out.Lanes), maxLanes)]
	told := make([]string, 0, len(drawn))
	for _, l := range drawn {
		told = append(told, words.Versions(l.Binary)+": "+l.facts())
	}
	height := laneRow * float64(len(drawn))
	c.put(`<svg class="chart lanes" width="100%%" height="%.0f" role="img" aria-label="%s">`, height+22, esc("Instances on the new build: "+strings.Join(told, "; ")))
	for n, l := range drawn {
		c.lane(l, laneRow*float64(n))
	}
	if onset != nil && c.holds(onset.At) {
		c.put(`<line class="onset" x1="%s" x2="%[1]s" y1="0" y2="%.0f"><title>the worst shift began %s</title></line>`, c.x(onset.At), height, esc(words.Onset(*onset)))
	}
	c.times(height + 16)
	c.put(`</svg>`)
	out.Chart = template.HTML(c.b.String()) //nolint:gosec // every text in it went through esc
	return out
}

// lane draws one lane from y on: a bar of the old build that the new one fills from
// below, instance by instance. Its name and its facts stand above it, a line each.
func (c *chart) lane(l lane, y float64) {
	for n, text := range []string{words.Versions(l.Binary), l.facts()} {
		c.put(`<text class="label%s" x="2" y="%.0f"><title>%s</title>%s</text>`, []string{" strong", ""}[n], y+14+16*float64(n), esc(text), esc(words.Middle(text, laneLetters)))
	}
	top := y + 36
	c.put(`<rect class="old" x="0" y="%.0f" width="100%%" height="%.0f"/><svg y="%.0f" width="100%%" height="%.0f" viewBox="0 0 %.0f %.0f" preserveAspectRatio="none"><path class="new" d="M%.0f %.0f`,
		top, laneHeight, top, laneHeight, chartWidth, laneHeight, chartWidth, laneHeight)
	// The path goes back in time along the top of what is new.
	every := (len(l.Switches) + maxSwitches - 1) / maxSwitches
	all, share := len(l.Switches), l.share()
	for n := all; n > 0; n -= every {
		c.put(`V%.1fH%.1f`, laneHeight*(1-share*float64(n)/float64(all)), chartWidth*c.part(l.Switches[n-1]))
	}
	c.put(`V%.0fZ"/></svg>`, laneHeight)
}
