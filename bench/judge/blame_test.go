package main

import (
	"math"
	"testing"
	"time"

	"aftershock/bench/fleet"
	"aftershock/detector"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// Of two culprits each is right where it moved the indicator, either where both did.
func TestBlameOfTwo(t *testing.T) {
	moved := func(key string, by ...string) fleet.Shifted {
		return fleet.Shifted{Key: key, Culprits: by, Onset: noon, Material: true, Worse: true}
	}
	says := func(key, binary string) said {
		return said{at: noon.Add(time.Hour), key: key, worse: true, binary: binary, causes: []detector.Cause{{Kind: detector.CauseBinary, Name: binary, Probability: 1}}}
	}
	r := result{kind: fleet.TwoCulprits, answer: fleet.Answer{
		Culprits: []string{"a", "b"}, Onset: &noon,
		Shifted: []fleet.Shifted{moved("only a", "a"), moved("only b", "b"), moved("both", "a", "b"), moved("both again", "a", "b")},
	}}
	r.says[0] = []said{says("only a", "a"), says("only b", "a"), says("both", "a"), says("both again", "b")}
	r.rivals = map[string][rivals]string{"only a": {"b", "a", "a", ""}, "only b": {"b", "a", "b", "b"}, "both": {"b", "a", "c", ""}, "both again": {"b", "a", "c", ""}}
	var b blame
	b.add(&r, all)
	if want := (part{3, 4}); b.top1 != want || b.first != want || b.right != want {
		t.Errorf("top-1 %v, first %v, right %v; want %v each", b.top1, b.first, b.right, want)
	}
	if want := [rivals]part{{3, 4}, {3, 4}, {2, 4}, {1, 4}}; b.rivals != want {
		t.Errorf("rivals %v, want %v", b.rivals, want)
	}
	var both blame
	for _, c := range pairs([]result{r}) {
		if c.name == "moved by both" {
			both.add(&r, c.has)
		}
	}
	if want := (part{2, 2}); both.top1 != want {
		t.Errorf("moved by both: %v, want %v", both.top1, want)
	}
}

// In an innocent world whoever names a binary is wrong.
func TestWrong(t *testing.T) {
	r := result{kind: fleet.None}
	r.says[0] = []said{{at: noon, key: "x", worse: true}}
	r.rivals = map[string][rivals]string{"x": {"a", "a", "a", ""}}
	var w wrong
	w.add(&r)
	if want := (wrong{{0, 1}, {1, 1}, {1, 1}, {1, 1}, {0, 1}}); w != want {
		t.Errorf("wrong %v, want %v", w, want)
	}
}

// What is said of causes is held against a truth of two.
func TestBelieve(t *testing.T) {
	binary := func(name string, p float64) detector.Cause {
		return detector.Cause{Kind: detector.CauseBinary, Name: name, Probability: p}
	}
	causes := []detector.Cause{binary("a", 0.6), binary("b", 0.3), binary("c", 0.06), {Kind: "load", Probability: 0.04}}
	var s score
	s.believe(causes, &outcome{shifted: &fleet.Shifted{Worse: true, Culprits: []string{"a", "b"}}})
	if got := s.sure.error(); math.Abs(got-0.4) > 1e-9 {
		t.Errorf("leading cause off by %v, want 0.4", got)
	}
	// 0.9 for the two culprits, in a bin of its own; two that are false in another.
	if got, want := s.every.error(), (0.1+0.06+0.04)/3; math.Abs(got-want) > 1e-9 {
		t.Errorf("all causes off by %v, want %v", got, want)
	}
	s = score{}
	s.believe(causes, &outcome{})
	if got := s.named.error(); math.Abs(got-0.6) > 1e-9 {
		t.Errorf("the named one is off by %v where nobody did it, want 0.6", got)
	}
}
