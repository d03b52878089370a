package packages

import (
	"slices"
	"strings"
	"time"
)

// Apt reads apt's history.log, line by line: stanzas of one run each, the end
// of which is written when the run is over.
type Apt struct {
	clock clock
	run   *Run
}

// NewApt reads a log whose times are of the place.
func NewApt(place *time.Location) *Apt { return &Apt{clock: clock{place: place}} }

// Line takes in the next line and gives the run that it adds to, nil where it
// adds to none that anybody need know of.
func (a *Apt) Line(line string) *Run {
	key, value, ok := strings.Cut(line, ": ")
	if !ok {
		return nil
	}
	value = strings.TrimSpace(value)
	switch key {
	case "Start-Date":
		a.run = nil
		if at, ok := a.time(value); ok {
			a.run = &Run{Log: "apt", Started: at}
		}
		return nil
	case "Commandline":
		if a.run != nil {
			a.run.Command = printable(value)
		}
		return nil
	case "Upgrade", "Downgrade", "Install":
		if a.run == nil || !a.add(value) {
			return nil
		}
	case "End-Date":
		at, ok := a.time(value)
		if a.run == nil || !ok || len(a.run.Packages) == 0 {
			return nil
		}
		a.run.Finished = at
	default:
		return nil
	}
	out := a.run.clone()
	return &out
}

func (a *Apt) time(value string) (time.Time, bool) {
	f := strings.Fields(value)
	if len(f) != 2 {
		return time.Time{}, false
	}
	return a.clock.read(f[0], f[1])
}

// add takes a list such as "a:amd64 (1, 2), b:amd64 (2.0, automatic)".
func (a *Apt) add(list string) (added bool) {
	for list != "" && len(a.run.Packages) < maxPackages {
		var name, inside string
		var ok bool
		if name, list, ok = strings.Cut(list, " ("); !ok {
			break
		}
		if inside, list, ok = strings.Cut(list, ")"); !ok {
			break
		}
		list = strings.TrimPrefix(list, ", ")
		p := Package{Name: bare(name)}
		first, second, two := strings.Cut(inside, ", ")
		if p.From, p.To = first, second; !two || second == "automatic" {
			p.From, p.To = "", first
		}
		if !plain(p.Name) || !plain(p.To) || p.From != "" && !plain(p.From) || p.From == p.To || slices.Contains(a.run.Packages, p) {
			continue
		}
		a.run.Packages = append(a.run.Packages, p)
		added = true
	}
	return added
}
