package detector

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"time"

	"aftershock/detector/hist"
	"aftershock/detector/stat"
)

// saved is what Save writes; numbered so that a later program can tell.
type saved struct {
	Format    int
	Last      time.Time
	Frames    int
	Graph     Graph
	Tracks    []savedTrack
	Watches   []savedWatch
	Placebos  map[Kind]*Placebos
	Pools     map[Kind]*Pool
	Instances map[string]instance
	Services  map[string]map[string]bool
	// Layouts are the bucket bounds that the packed parts speak of by number.
	Layouts [][]float64
}

// savedTrack is a track, most of it packed.
type savedTrack struct {
	Indicator   Indicator
	First, Last time.Time
	Early       []early
	Layout      *hist.Layout
	Packed      []byte
}

// savedWatch is a watch with its trials in the order of the tracks.
type savedWatch struct {
	Watch  Watch
	Trials []savedTrial
}

// savedTrial is the trial of the track with that number: the small part of it, and
// the large part packed.
type savedTrial struct {
	Track         int
	Before, After *hist.Layout
	Small         Trial
	Packed        []byte
}

const savedFormat = 3

// Save writes the whole state, from which Restore goes on with the same
// verdicts as if nothing had happened between.
func (j *Judge) Save() ([]byte, error) {
	known := &layouts{at: map[string]int{}, by: map[*float64]int{}}
	s := saved{
		Format: savedFormat, Last: j.last, Frames: j.frames, Graph: j.graph, Placebos: j.placebos,
		Pools: j.pools, Instances: j.instances, Services: j.services,
	}
	for _, t := range j.order {
		p := packer{layouts: known}
		t.pack(&p)
		s.Tracks = append(s.Tracks, savedTrack{t.Indicator, t.First, t.Last, t.Early, t.Base.Layout, p.buf})
	}
	for _, w := range j.watches {
		out := savedWatch{Watch: *w}
		out.Watch.Trials = nil
		for i, t := range j.order {
			if tr := w.Trials[t.key]; tr != nil {
				p := packer{layouts: known}
				tr.pack(&p)
				out.Trials = append(out.Trials, savedTrial{i, tr.Before.Layout, tr.After.Layout, tr.small(), p.buf})
			}
		}
		s.Watches = append(s.Watches, out)
	}
	s.Layouts = known.list
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return nil, fmt.Errorf("save the judge's state: %w", err)
	}
	return b.Bytes(), nil
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
	var s saved
	if err := gob.NewDecoder(bytes.NewReader(state)).Decode(&s); err != nil {
		return nil, fmt.Errorf("restore the judge's state: %w", err)
	}
	if s.Format != savedFormat {
		return nil, fmt.Errorf("restore the judge's state: format %d is not %d", s.Format, savedFormat)
	}
	j := NewJudge(cfg)
	j.last, j.frames, j.graph = s.Last, s.Frames, s.Graph
	known := &layouts{list: s.Layouts}
	tracks := make([]*Track, len(s.Tracks))
	for i := range s.Tracks {
		t, err := s.Tracks[i].track(known)
		if err != nil {
			return nil, fmt.Errorf("restore the judge's state: %w", err)
		}
		tracks[i] = t
		j.add(t.Indicator.Key(), t)
	}
	for i := range s.Watches {
		w, err := s.Watches[i].watch(known, tracks)
		if err != nil {
			return nil, fmt.Errorf("restore the judge's state: %w", err)
		}
		j.watches = append(j.watches, w)
	}
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
	return j, nil
}

func (s *savedTrack) track(known *layouts) (*Track, error) {
	t := newTrack(s.Indicator)
	t.First, t.Last, t.Early = s.First, s.Last, s.Early
	p := packer{buf: s.Packed, read: true, layouts: known}
	t.pack(&p)
	t.Base.Layout = s.Layout
	return t, p.err
}

func (s *savedWatch) watch(known *layouts, tracks []*Track) (*Watch, error) {
	w := &s.Watch
	w.Trials = map[string]*Trial{}
	for i := range s.Trials {
		x := &s.Trials[i]
		if x.Track < 0 || x.Track >= len(tracks) {
			return nil, errShort
		}
		t, tr := tracks[x.Track], &x.Small
		tr.Verdict.Indicator = t.Indicator
		p := packer{buf: x.Packed, read: true, layouts: known}
		if tr.pack(&p); p.err != nil {
			return nil, p.err
		}
		tr.Before.Layout, tr.After.Layout = x.Before, x.After
		w.Trials[t.key] = tr
	}
	return w, nil
}
