package web

import (
	"testing"
	"time"
)

// TestSessionsEnd: a session is good for twelve hours, an ended or a made-up one for nothing,
// and beyond a thousand the oldest makes room.
func TestSessionsEnd(t *testing.T) {
	s, noon := newSessions(), time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)
	id := s.begin("key", noon)
	for at, want := range map[time.Duration]bool{0: true, sessionLength - time.Second: true, sessionLength: false, 24 * time.Hour: false} {
		if key, ok := s.holder(id, noon.Add(at)); ok != want || ok && key != "key" {
			t.Errorf("after %s: %q, %v", at, key, ok)
		}
	}
	for _, forged := range []string{"", "x", id + "x", id[1:]} {
		if _, ok := s.holder(forged, noon); ok {
			t.Errorf("session %q is good", forged)
		}
	}
	last := ""
	for n := range maxSessions {
		last = s.begin("key", noon.Add(time.Duration(1+n)*time.Second))
	}
	late := noon.Add(time.Hour)
	if _, ok := s.holder(id, late); ok || len(s.open) != maxSessions {
		t.Errorf("the oldest of too many is good: %v; %d are open", ok, len(s.open))
	}
	s.end(last)
	if _, ok := s.holder(last, late); ok {
		t.Error("an ended session is good")
	}
}
