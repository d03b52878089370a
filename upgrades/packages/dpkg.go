package packages

import (
	"slices"
	"strings"
	"time"
)

const (
	// pause is how long dpkg may be silent within one run, when nothing is left
	// half done; apt calls it several times in a row.
	pause = time.Minute
	// hung is how long a package may be half done in one run.
	hung = time.Hour
)

// Dpkg reads dpkg.log, line by line.
type Dpkg struct {
	clock clock
	run   *Run
	last  time.Time
	// halfDone are the packages that were unpacked and aren't configured yet.
	halfDone []string
}

// NewDpkg reads a log whose times are of the place.
func NewDpkg(place *time.Location) *Dpkg { return &Dpkg{clock: clock{place: place}} }

// Line takes in the next line and gives the run that it adds to, nil where it
// adds to none that anybody need know of.
func (d *Dpkg) Line(line string) *Run {
	f := strings.Fields(line)
	if len(f) < 4 {
		return nil
	}
	at, ok := d.clock.read(f[0], f[1])
	if !ok {
		return nil
	}
	switch action := f[2]; {
	case (action == "upgrade" || action == "install") && len(f) == 6:
		return d.unpack(at, f[3], f[4], f[5])
	case action == "status" && f[3] == "installed" && len(f) == 6:
		return d.installed(at, f[4])
	case d.run != nil && at.Sub(d.last) <= pause:
		d.last = at // it is still at work
	}
	return nil
}

// unpack is the line of a package that is replaced or installed.
func (d *Dpkg) unpack(at time.Time, name, from, to string) *Run {
	if from == "<none>" {
		from = ""
	}
	if !plain(bare(name)) || !plain(to) || from != "" && !plain(from) || from == to {
		return nil
	}
	quiet := at.Sub(d.last)
	if d.run == nil || quiet < 0 || quiet > hung || quiet > pause && len(d.halfDone) == 0 {
		d.run, d.halfDone = &Run{Log: "dpkg", Started: at}, nil
	}
	d.last = at
	if len(d.run.Packages) >= maxPackages {
		return nil
	}
	p := Package{Name: bare(name), From: from, To: to}
	if !slices.Contains(d.run.Packages, p) { // of several architectures
		d.run.Packages = append(d.run.Packages, p)
	}
	d.run.Finished = time.Time{}
	if !slices.Contains(d.halfDone, name) {
		d.halfDone = append(d.halfDone, name)
	}
	out := d.run.clone()
	return &out
}

// installed is the line of a package that is configured and so running.
func (d *Dpkg) installed(at time.Time, name string) *Run {
	if d.run == nil || at.Sub(d.last) > hung {
		return nil
	}
	d.last = at
	i := slices.Index(d.halfDone, name)
	if i < 0 {
		return nil
	}
	d.halfDone = slices.Delete(d.halfDone, i, i+1)
	if len(d.halfDone) > 0 {
		return nil
	}
	d.run.Finished = at
	out := d.run.clone()
	return &out
}
