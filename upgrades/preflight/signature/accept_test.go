package signature

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A key that somebody has validated is pinned beside the earlier ones, however its
// fingerprint is written, and only where a signature that verifies is by it.
func TestAccept(t *testing.T) {
	first, second, third := issue(t, ec(t), nil, nil), issue(t, ec(t), nil, nil), issue(t, ec(t), nil, nil)
	pins := &Memory{}
	look := func(p party, accept ...string) Result {
		return examine(t, Input{
			Beside: files("p.zip", content, "p.zip.p7s", detached(t, content, p, 0, &now)), Pins: pins, Publisher: publisher,
			Roots: pool(first, second, third), Accept: accept,
		})
	}
	wantTold(t, look(first), "note signature/first-use")
	wantTold(t, look(second), "blocker signature/unexpected-key")
	r := look(second, third.print())
	wantTold(t, r, "blocker signature/unexpected-key", "risk signature/not-pinned")
	if all, _ := pins.Pinned(t.Context(), publisher); len(all) != 1 {
		t.Fatalf("a key is pinned that nobody validated: %+v", all)
	}
	wantTold(t, look(second, strings.ToLower(strings.ReplaceAll(second.print(), ":", ""))), "note signature/pinned")
	wantTold(t, look(second))
	wantTold(t, look(second, second.print())) // once more is no mistake
	wantTold(t, look(first))
	if all, _ := pins.Pinned(t.Context(), publisher); len(all) != 2 || all[1].Fingerprint != second.print() {
		t.Errorf("pinned are %+v", all)
	}
	wantTold(t, look(third), "blocker signature/unexpected-key")
	pins = &Memory{}
	wantTold(t, look(third, third.print()), "note signature/first-use")
}

// broken keeps no pin, and knows of one.
type broken struct{ *Memory }

func (broken) Pin(context.Context, Pin) error { return errors.New("disk full") }

func TestAcceptFails(t *testing.T) {
	first, second := issue(t, ec(t), nil, nil), issue(t, ec(t), nil, nil)
	memory := &Memory{}
	if err := memory.Pin(t.Context(), onePin(publisher, first.print())); err != nil {
		t.Fatal(err)
	}
	r := examine(t, Input{
		Beside: files("p.zip", content, "p.zip.p7s", detached(t, content, second, 0, &now)), Pins: broken{memory}, Publisher: publisher,
		Roots: pool(first, second), Accept: []string{second.print()},
	})
	wantTold(t, r, "blocker signature/unexpected-key", "risk signature/not-pinned")
	if len(r.Unexpected) != 1 {
		t.Errorf("people aren't told: %+v", r.Unexpected)
	}
}

func TestSamePrint(t *testing.T) {
	const hex = "27:B3:35:37:FD:79:23:CC:7C:D1:4F:AA:F3:B3:F5:3A"
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{hex, hex, true},
		{hex, strings.ToLower(hex), true},
		{hex, " 27B3 3537 FD79 23CC 7CD1 4FAA F3B3 F53A ", true},
		{hex, strings.Replace(hex, "3A", "3B", 1), false},
		{hex, hex[:20], false},
		{"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3", "rwqf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3", false},
		{"", hex, false},
	} {
		if got := samePrint(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: got %t", tt.a, tt.b, got)
		}
	}
}
