package detector

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"time"
)

// saved is what Save writes; numbered so that a later program can tell.
type saved struct {
	Format    int
	Last      time.Time
	Frames    int
	Graph     Graph
	Tracks    []*Track
	Watches   []*Watch
	Placebos  map[Kind]*Placebos
	Pools     map[Kind]*Pool
	Instances map[string]instance
	Services  map[string]map[string]bool
}

const savedFormat = 3

// Save writes the whole state, from which Restore goes on with the same
// verdicts as if nothing had happened between.
func (j *Judge) Save() ([]byte, error) {
	for _, w := range j.watches {
		for _, tr := range w.Trials {
			var p packer
			tr.say(&p)
			tr.Said = p.buf
		}
	}
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(saved{
		savedFormat, j.last, j.frames, j.graph, j.order, j.watches, j.placebos, j.pools, j.instances, j.services,
	})
	if err != nil {
		return nil, fmt.Errorf("save the judge's state: %w", err)
	}
	return b.Bytes(), nil
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
	j.last, j.frames, j.graph, j.watches = s.Last, s.Frames, s.Graph, s.Watches
	for _, t := range s.Tracks {
		j.add(t.Indicator.Key(), t)
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
	for _, w := range s.Watches {
		if w.Trials == nil {
			w.Trials = map[string]*Trial{}
		}
		for _, tr := range w.Trials {
			p := packer{buf: tr.Said, read: true}
			if tr.say(&p); p.err != nil {
				return nil, fmt.Errorf("restore the judge's state: %w", p.err)
			}
			tr.Said = nil
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

// say packs what was last said of the trial.
func (tr *Trial) say(p *packer) {
	for d := range tr.ev {
		tr.ev[d].pack(p)
	}
}
