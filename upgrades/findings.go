package upgrades

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"aftershock/detector"

	"go.yaml.in/yaml/v3"
)

// Bounds of what an inspection found, as a record brings it.
const (
	maxFindings = 500
	maxOfOne    = 50   // hypotheses, chores and reversions of one finding, and the parts of each
	maxLong     = 4096 // bytes of a text that explains something
)

// finding is what an inspection found before the upgrade.
func (p *parser) finding(path string, n *yaml.Node) detector.Finding {
	var f detector.Finding
	p.object(path, n, map[string]func(string, *yaml.Node){
		"rule": func(path string, n *yaml.Node) { f.Rule = p.text(path, n) },
		"severity": func(path string, n *yaml.Node) {
			f.Severity = p.word(path, n, detector.Blocker, detector.Risk, detector.Note)
		},
		"place": func(path string, n *yaml.Node) { f.Place = p.place(path, n) },
		"what":  func(path string, n *yaml.Node) { f.What = p.long(path, n) },
		"why":   func(path string, n *yaml.Node) { f.Why = p.long(path, n) },
		"do":    func(path string, n *yaml.Node) { f.Do = p.long(path, n) },
		"hypotheses": func(path string, n *yaml.Node) {
			p.list(path, n, maxOfOne, func(path string, n *yaml.Node) { f.Hypotheses = append(f.Hypotheses, p.hypothesis(path, n)) })
		},
		"chores": func(path string, n *yaml.Node) {
			p.list(path, n, maxOfOne, func(path string, n *yaml.Node) { f.Chores = append(f.Chores, p.chore(path, n)) })
		},
		"reversions": func(path string, n *yaml.Node) {
			p.list(path, n, maxOfOne, func(path string, n *yaml.Node) { f.Reversions = append(f.Reversions, p.reversion(path, n)) })
		},
	})
	for _, need := range []struct{ field, value string }{{"rule", f.Rule}, {"severity", f.Severity}, {"what", f.What}} {
		if need.value == "" {
			p.fail(path+"."+need.field, n, "is missing")
		}
	}
	return f
}

func (p *parser) place(path string, n *yaml.Node) detector.Place {
	var at detector.Place
	p.object(path, n, map[string]func(string, *yaml.Node){
		"file": func(path string, n *yaml.Node) { at.File = p.long(path, n) },
		"line": func(path string, n *yaml.Node) {
			line, err := strconv.Atoi(n.Value)
			if err != nil || line < 0 || n.Kind != yaml.ScalarNode {
				p.fail(path, n, "want the number of a line, got %s", kindName(n))
			}
			at.Line = line
		},
	})
	return at
}

func (p *parser) hypothesis(path string, n *yaml.Node) detector.Hypothesis {
	var h detector.Hypothesis
	texts := func(to *[]string) func(string, *yaml.Node) {
		return func(path string, n *yaml.Node) {
			p.list(path, n, maxOfOne, func(path string, n *yaml.Node) { *to = append(*to, p.text(path, n)) })
		}
	}
	p.object(path, n, map[string]func(string, *yaml.Node){
		"kind": func(path string, n *yaml.Node) {
			h.Kind = p.word(path, n, detector.HypothesisRun, detector.HypothesisOldBuild, detector.HypothesisFallback, detector.HypothesisLock)
		},
		"says":     func(path string, n *yaml.Node) { h.Says = p.long(path, n) },
		"binaries": texts(&h.Binaries),
		"services": texts(&h.Services),
		"indicators": func(path string, n *yaml.Node) {
			p.list(path, n, maxOfOne, func(path string, n *yaml.Node) {
				kind := p.word(path, n, string(detector.Latency), string(detector.Retry), string(detector.Error))
				h.Indicators = append(h.Indicators, detector.Kind(kind))
			})
		},
		"runs": func(path string, n *yaml.Node) {
			p.list(path, n, maxOfOne, func(path string, n *yaml.Node) { h.Runs = append(h.Runs, p.time(path, n)) })
		},
		"schedule": func(path string, n *yaml.Node) { h.Schedule = p.text(path, n) },
		"zone":     func(path string, n *yaml.Node) { h.Zone = p.text(path, n) },
		"key":      func(path string, n *yaml.Node) { h.Key = p.text(path, n) },
		"tables":   texts(&h.Tables),
		"unit":     func(path string, n *yaml.Node) { h.Unit = p.text(path, n) },
	})
	slices.SortFunc(h.Runs, time.Time.Compare)
	return h
}

func (p *parser) chore(path string, n *yaml.Node) detector.Chore {
	var c detector.Chore
	p.object(path, n, map[string]func(string, *yaml.Node){
		"kind":  func(path string, n *yaml.Node) { c.Kind = p.word(path, n, detector.ChoreKinds...) },
		"name":  func(path string, n *yaml.Node) { c.Name = p.text(path, n) },
		"what":  func(path string, n *yaml.Node) { c.What = p.long(path, n) },
		"owner": func(path string, n *yaml.Node) { c.Owner = p.text(path, n) },
		"due":   func(path string, n *yaml.Node) { c.Due = p.time(path, n) },
		"probe": func(path string, n *yaml.Node) { c.Probe = p.long(path, n) },
	})
	if c.Name == "" {
		p.fail(path+".name", n, "is missing")
	}
	return c
}

func (p *parser) reversion(path string, n *yaml.Node) detector.Reversion {
	var r detector.Reversion
	p.object(path, n, map[string]func(string, *yaml.Node){
		"level": func(path string, n *yaml.Node) {
			r.Level = p.word(path, n, detector.LevelData, detector.LevelConfiguration)
		},
		"step":  func(path string, n *yaml.Node) { r.Step = p.long(path, n) },
		"how":   func(path string, n *yaml.Node) { r.How = p.long(path, n) },
		"lost":  func(path string, n *yaml.Node) { r.Lost = p.long(path, n) },
		"place": func(path string, n *yaml.Node) { r.Place = p.place(path, n) },
	})
	return r
}

// word is one of the given words.
func (p *parser) word(path string, n *yaml.Node, words ...string) string {
	s := p.text(path, n)
	if !slices.Contains(words, s) {
		p.fail(path, n, "want %s, got %q", strings.Join(words, ", "), s)
	}
	return s
}

// long is a text that may have several lines.
func (p *parser) long(path string, n *yaml.Node) string {
	hidden := func(r rune) bool { return r != '\n' && r != '\t' && unprintable(r) }
	switch {
	case n.Kind != yaml.ScalarNode:
		p.fail(path, n, "want text, got %s", kindName(n))
	case len(n.Value) > maxLong:
		p.fail(path, n, "has %d bytes, want at most %d", len(n.Value), maxLong)
	case strings.ContainsFunc(n.Value, hidden):
		p.fail(path, n, "holds a control character, or one that isn't seen")
	default:
		return n.Value
	}
	return ""
}
