package promapi

import (
	"aftershock/sources/series"
)

// delivery hands series over once, also when a request is repeated.
type delivery struct {
	add func(series.Series) error
	// done are the series that were handed over, by the hash of their labels;
	// now are those that this try of the request has brought.
	done, now map[uint64]struct{}
	config    *Config
	samples   int
	kept      int
}

func (s *Source) deliver(add func(series.Series) error) *delivery {
	return &delivery{add: add, done: map[uint64]struct{}{}, config: &s.config}
}

// begin starts a try.
func (d *delivery) begin() {
	d.now, d.samples = map[uint64]struct{}{}, 0
}

// series takes one whole series, which may be one of numbers and one of
// histograms.
func (d *delivery) series(a *assembly) error {
	hash := a.labels.Hash()
	if _, twice := d.now[hash]; twice {
		return broken("the series %s came twice", oneLine(a.labels.String()))
	}
	if d.now[hash] = struct{}{}; len(d.now) > d.config.MaxSeries {
		return tooMuch("more than %d series match: raise max_series, or let the server have fewer", d.config.MaxSeries)
	}
	n := len(a.floats.times) + len(a.hists.times)
	if d.samples += n; d.samples > d.config.MaxSamples {
		return tooMuch("more than %d samples in one window: raise max_samples, or lower window", d.config.MaxSamples)
	}
	if _, before := d.done[hash]; before {
		return nil
	}
	if err := a.finish(d.add); err != nil {
		return errStop{err}
	}
	d.done[hash] = struct{}{}
	d.kept += n
	return nil
}

// result gives the number of samples, and marks a failure after which a part of
// the window is with the receiver.
func (d *delivery) result(err error) (int, error) {
	if len(d.done) > 0 {
		err = partial(err)
	}
	return d.kept, err
}
