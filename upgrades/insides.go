package upgrades

import (
	"maps"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"aftershock/detector"
	"aftershock/upgrades/files"
)

// Inspect lets the ledger watch the configured files of binaries, so that upgrades
// say what changed inside them. What is learnt of a build is kept in the directory.
// Whoever calls it calls Rest in the end.
func (l *Ledger) Inspect(c files.Config, dir string) (err error) {
	if len(c) == 0 {
		return nil
	}
	l.files, err = files.New(c, filepath.Join(dir, "builds"), l.log)
	return err
}

// restTime is how long Rest waits.
const restTime = 2 * time.Second

// Rest waits a little until no file is being read.
func (l *Ledger) Rest() {
	if l.files != nil && !l.files.Wait(restTime) {
		l.log.Info("a binary is still being read; it will be read again")
	}
}

// observeInside looks at the files, and notes what has come to be known of the
// inside of upgrades that are under way.
func (l *Ledger) observeInside(at time.Time, changed map[string]bool) {
	l.files.Look(at)
	r := l.files.Revision()
	if r == l.revision && len(changed) == 0 {
		return
	}
	l.revision = r
	for _, id := range slices.Sorted(maps.Values(l.book.As)) {
		if _, closed := l.book.Closed[id]; closed {
			continue
		}
		u := l.whole(id)
		if at.Sub(u.StartedAt) > files.Span {
			continue
		}
		for i := range u.Binaries {
			b := &u.Binaries[i]
			if b.Inside != nil {
				continue
			}
			if in := l.files.Change(&u, b); in != nil {
				if l.book.Inside[id] == nil {
					l.book.Inside[id] = map[string]*detector.Inside{}
				}
				l.book.Inside[id][b.Name] = in
				changed[id] = true
			}
		}
	}
}

// inside gives the binaries of an upgrade what is known of their inside.
func (l *Ledger) inside(u *detector.Upgrade) {
	for i := range u.Binaries {
		if b := &u.Binaries[i]; b.Inside == nil {
			b.Inside = l.book.Inside[u.ID][b.Name]
		}
	}
}

// inside is what changed in the binary, as people or pipelines tell it.
func (p *parser) inside(path string, n *yaml.Node) *detector.Inside {
	in := &detector.Inside{}
	p.object(path, n, map[string]func(string, *yaml.Node){
		"summary": func(path string, n *yaml.Node) { in.Summary = p.text(path, n) },
		"touches": func(path string, n *yaml.Node) {
			p.list(path, n, maxFlags, func(path string, n *yaml.Node) { in.Touches = append(in.Touches, p.text(path, n)) })
		},
		"same": func(path string, n *yaml.Node) {
			if in.Same = n.Value == "true"; !in.Same && n.Value != "false" {
				p.fail(path, n, "want true or false, got %q", n.Value)
			}
		},
	})
	return in
}
