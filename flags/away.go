package flags

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"aftershock/detector"
)

// maxSaved bounds a backend's definition that is saved for undo, in bytes.
const maxSaved = 256 << 10

// away is what toggles did to a flag that lives in a backend, as the document
// keeps it.
type away struct {
	Backend string `json:"backend"`
	// Last is the toggle that wrote the flag last, Undoes the one that it undid,
	// "" if it was no undo.
	Last   string `json:"last,omitempty"`
	Undoes string `json:"undoes,omitempty"`
	// Pending is the toggle under way, put down before the backend is asked to do
	// anything, and taken away when it's known what became of it.
	Pending *stay `json:"pending,omitempty"`
	// Standing are the toggles in force, the latest at the end.
	Standing []stay `json:"standing,omitempty"`
}

// stay is a toggle of a flag that lives in a backend.
type stay struct {
	Toggle string `json:"toggle"`
	// Undoes is the toggle that a pending one undoes.
	Undoes string `json:"undoes,omitempty"`
	// Variant is what the toggle sets, Before what was served before it.
	Variant string `json:"variant"`
	Before  string `json:"before"`
	// Replaced is the definition before the toggle, to the byte, Written the one
	// that it wrote.
	Replaced []byte `json:"replaced"`
	Written  []byte `json:"written"`
	// Exact: only that very definition will do, and not any that serves the variant.
	Exact bool `json:"exact,omitempty"`
}

// top is the latest toggle in force, nil if there is none.
func (a away) top() *stay {
	if len(a.Standing) == 0 {
		return nil
	}
	return &a.Standing[len(a.Standing)-1]
}

// settled is a after its pending toggle was done.
func (a away) settled(written []byte) away {
	p := *a.Pending
	p.Written = written
	next := away{Backend: a.Backend, Last: p.Toggle, Undoes: p.Undoes, Standing: slices.Clone(a.Standing)}
	if p.Undoes != "" {
		next.Standing = slices.DeleteFunc(next.Standing, func(s stay) bool { return s.Toggle == p.Undoes })
		return next
	}
	next.Standing = append(next.Standing, p)
	return next
}

// written says whether now has a's change of what there was before, which a toggle
// made: it's pending now, or isn't any more.
func (a away) written(before, now away, toggle string) bool {
	if a.Pending != nil {
		return now.Pending != nil && now.Pending.Toggle == toggle
	}
	was := before.Pending != nil && before.Pending.Toggle == toggle
	return was && now.Pending == nil && (a.Last != toggle || now.Last == toggle)
}

// withAway returns d with what is known of a flag that lives in a backend.
func (d document) withAway(flag string, a away) document {
	next := d.clone()
	next.Away[flag] = a
	return next
}

// putAway changes what the document has of a flag that lives in a backend, and
// audits t, both or neither.
func (s *Switchboard) putAway(ctx context.Context, t detector.Toggle, change func(away) (away, error)) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for range 10 {
		n := s.serving.Load()
		a, err := change(n.document.Away[t.Flag])
		if err != nil {
			return err
		}
		_, err = s.put(ctx, n.revision, n.document.withAway(t.Flag, a), t)
		if err == nil {
			s.metrics.toggles.WithLabelValues(string(t.State)).Inc()
			return nil
		}
		// Whether it's a conflict or an answer that got lost, the store knows.
		if read := s.refresh(ctx); read != nil {
			return errors.Join(err, read)
		}
		if a.written(n.document.Away[t.Flag], s.serving.Load().document.Away[t.Flag], t.ID) {
			return nil
		}
		if !isConflict(err) {
			return err
		}
	}
	return fmt.Errorf("write flag definitions: %w by others, again and again", ErrConflict)
}
