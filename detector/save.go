package detector

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"time"

	"aftershock/detector/hist"
	"aftershock/detector/stat"
)

// saved is what Save writes first; numbered so that a later program can tell. After
// it come the tracks and the trials of each watch, one by one, and the bucket bounds
// that their packed parts speak of by number.
type saved struct {
	Format    int
	Last      time.Time
	Frames    int
	Graph     Graph
	Tracks    int
	Watches   []savedWatch
	Placebos  map[Kind]*Placebos
	Pools     map[Kind]*Pool
	Instances map[string]instance
	Services  map[string]map[string]bool
	Flips     []Flip
	Accepted  []Acceptance
}

// savedTrack is a track, most of it packed.
type savedTrack struct {
	Indicator   Indicator
	First, Last time.Time
	Early       []early
	Smooth      *Smooth
	Layout      *hist.Layout
	Packed      []byte
}

// savedWatch is a watch without its trials, and their number.
type savedWatch struct {
	Watch  Watch
	Trials int
}

// savedTrial is the trial of the track with that number: the small part of it, and
// the large part packed.
type savedTrial struct {
	Track         int
	Before, After *hist.Layout
	Small         Trial
	Packed        []byte
}

const savedFormat = 4

// Save writes the whole state, from which Restore goes on with the same
// verdicts as if nothing had happened between.
func (j *Judge) Save() ([]byte, error) {
	s := saved{
		Format: savedFormat, Last: j.last, Frames: j.frames, Graph: j.graph, Tracks: len(j.order),
		Placebos: j.placebos, Pools: j.pools, Instances: j.instances, Services: j.services, Flips: j.flips, Accepted: j.accepted,
	}
	for _, w := range j.watches {
		light := *w
		light.Trials = nil
		s.Watches = append(s.Watches, savedWatch{light, len(w.Trials)})
	}
	var b bytes.Buffer
	if err := j.write(gob.NewEncoder(&b), &s); err != nil {
		return nil, fmt.Errorf("save the judge's state: %w", err)
	}
	return b.Bytes(), nil
}

func (j *Judge) write(to *gob.Encoder, s *saved) error {
	if err := to.Encode(s); err != nil {
		return err
	}
	known := &layouts{at: map[string]int{}, by: map[*float64]int{}}
	for _, t := range j.order {
		p := packer{layouts: known}
		t.pack(&p)
		if err := to.Encode(savedTrack{t.Indicator, t.First, t.Last, t.Early, t.Smooth, t.Base.Layout, p.buf}); err != nil {
			return err
		}
	}
	for _, w := range j.watches {
		for i, t := range j.order {
			tr := w.Trials[t.key]
			if tr == nil {
				continue
			}
			p := packer{layouts: known}
			tr.pack(&p)
			if err := to.Encode(savedTrial{i, tr.Before.Layout, tr.After.Layout, tr.small(), p.buf}); err != nil {
				return err
			}
		}
	}
	return to.Encode(known.list)
}

// small is the trial without what is packed, and without what its track says.
func (tr *Trial) small() Trial {
	t := *tr
	t.Lines, t.Noise, t.Bounds, t.Bias = [bounds]Line{}, [bounds]stat.Noise{}, [bounds]float64{}, [bounds]float64{}
	t.Screen, t.Level, t.Season = screen{}, [bounds]float32{}, Season{}
	t.Blocks, t.Before, t.After = Blocks{}, hist.Histogram{}, hist.Histogram{}
	t.Verdict.Indicator = Indicator{}
	return t
}

// Restore reads what Save wrote into a new judge with the given settings.
func Restore(cfg Config, state []byte) (*Judge, error) {
	j := NewJudge(cfg)
	if err := j.read(gob.NewDecoder(bytes.NewReader(state))); err != nil {
		return nil, fmt.Errorf("restore the judge's state: %w", err)
	}
	return j, nil
}

func (j *Judge) read(from *gob.Decoder) error {
	var s saved
	if err := from.Decode(&s); err != nil {
		return err
	}
	if s.Format != savedFormat {
		return fmt.Errorf("format %d is not %d", s.Format, savedFormat)
	}
	j.last, j.frames, j.graph, j.flips = s.Last, s.Frames, s.Graph, s.Flips[:min(len(s.Flips), mostFlips)]
	j.accepted = s.Accepted[:min(len(s.Accepted), maxAccepted)]
	tracks, err := several[savedTrack](from, s.Tracks)
	if err != nil {
		return err
	}
	trials := make([][]savedTrial, len(s.Watches))
	for i, w := range s.Watches {
		if trials[i], err = several[savedTrial](from, w.Trials); err != nil {
			return err
		}
	}
	known := &layouts{}
	if err := from.Decode(&known.list); err != nil {
		return err
	}
	for i := range tracks {
		t, err := tracks[i].track(known)
		if err != nil {
			return err
		}
		j.add(t.Indicator.Key(), t)
	}
	for i := range s.Watches {
		w := &s.Watches[i].Watch
		if err := j.resume(w, trials[i], known); err != nil {
			return err
		}
		j.watches = append(j.watches, w)
	}
	j.recall(&s)
	return nil
}

// several reads so many values.
func several[T any](from *gob.Decoder, n int) ([]T, error) {
	var out []T
	for range n {
		var x T
		if err := from.Decode(&x); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// recall takes over what all indicators have in common.
func (j *Judge) recall(s *saved) {
	for k, p := range s.Placebos {
		if p != nil {
			j.placebos[k] = p
		}
	}
	for k, p := range s.Pools {
		if p != nil {
			j.pools[k] = p
		}
	}
	if s.Instances != nil {
		j.instances = s.Instances
	}
	if s.Services != nil {
		j.services = s.Services
	}
}

func (s *savedTrack) track(known *layouts) (*Track, error) {
	t := newTrack(s.Indicator)
	t.First, t.Last, t.Early, t.Smooth = s.First, s.Last, s.Early, s.Smooth
	p := packer{buf: s.Packed, read: true, layouts: known}
	t.pack(&p)
	t.Base.Layout = s.Layout
	return t, p.err
}

// resume gives a watch its trials, of the tracks in their order.
func (j *Judge) resume(w *Watch, trials []savedTrial, known *layouts) error {
	w.Trials = map[string]*Trial{}
	for i := range trials {
		x := &trials[i]
		if x.Track < 0 || x.Track >= len(j.order) {
			return errShort
		}
		t, tr := j.order[x.Track], &x.Small
		tr.Verdict.Indicator = t.Indicator
		p := packer{buf: x.Packed, read: true, layouts: known}
		if tr.pack(&p); p.err != nil {
			return p.err
		}
		tr.Before.Layout, tr.After.Layout = x.Before, x.After
		w.Trials[t.key] = tr
	}
	return nil
}
