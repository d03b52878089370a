package journal

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aftershock/detector"
)

func pin(publisher, fingerprint string) detector.Pin {
	return detector.Pin{
		Publisher: publisher, Kind: detector.PinX509, Fingerprint: fingerprint, Issuer: "CN=Root \x00 & Söhne", Subject: "CN=" + publisher, FirstSeen: noon,
	}
}

func testPins(t *testing.T, p place) {
	j := p.open(t)
	for _, one := range []detector.Pin{pin("dten", "BB"), pin("dten", "AA"), pin("other", "BB"), pin("dten", "BB")} {
		if err := j.Pin(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	later := pin("dten", "AA")
	later.FirstSeen, later.Subject = noon.Add(time.Hour), "CN=else"
	if err := j.Pin(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if err := j.Pin(t.Context(), pin("DTEN", "AA")); err != nil { // the same publisher's
		t.Fatal(err)
	}
	minisign := pin("dten", "AA")
	minisign.Kind = detector.PinMinisign
	if err := j.Pin(t.Context(), minisign); err != nil {
		t.Fatal(err)
	}
	for name, lacking := range map[string]func(*detector.Pin){
		"publisher":   func(p *detector.Pin) { p.Publisher = "" },
		"kind":        func(p *detector.Pin) { p.Kind = "" },
		"fingerprint": func(p *detector.Pin) { p.Fingerprint = "" },
		"time":        func(p *detector.Pin) { p.FirstSeen = time.Time{} },
	} {
		bad := pin("dten", "CC")
		lacking(&bad)
		if err := j.Pin(t.Context(), bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = p.open(t)
	equal(t, "pins", must[[]detector.Pin](t)(j.Pinned(t.Context(), "dten")), []detector.Pin{pin("dten", "BB"), pin("dten", "AA"), minisign})
	equal(t, "of another", must[[]detector.Pin](t)(j.Pinned(t.Context(), "other")), []detector.Pin{pin("other", "BB")})
	equal(t, "in other letters", len(must[[]detector.Pin](t)(j.Pinned(t.Context(), "Dten"))), 3)
	equal(t, "of nobody", must[[]detector.Pin](t)(j.Pinned(t.Context(), "nobody")), []detector.Pin(nil))
}

// Of many at once each key is pinned, once.
func testPinsRace(t *testing.T, p place) {
	j := p.open(t)
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			if err := j.Pin(t.Context(), pin("dten", fmt.Sprint(n%4))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(must[[]detector.Pin](t)(j.Pinned(t.Context(), "dten"))); n != 4 {
		t.Errorf("%d pins, want 4", n)
	}
}

func testPinsBounded(t *testing.T, p place) {
	j := p.open(t)
	for n := range maxPins {
		if err := j.Pin(t.Context(), pin("dten", fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Pin(t.Context(), pin("dten", "more")); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "100 keys") {
		t.Errorf("one too many: %v", err)
	}
	if err := j.Pin(t.Context(), pin("dten", "7")); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}

func testPinsAppendOnly(t *testing.T, p place) {
	j := p.open(t)
	if err := j.Pin(t.Context(), pin("dten", "AA")); err != nil {
		t.Fatal(err)
	}
	statements := []string{`UPDATE pins SET at_us = 0`, `DELETE FROM pins`}
	if p.config.URL != "" {
		statements = append(statements, `TRUNCATE pins`)
	}
	for _, s := range statements {
		err := j.db.write(t.Context(), func(x tx) error {
			_, err := x.exec(t.Context(), s)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: got %v, want a refusal", s, err)
		}
	}
	if rows(t, j, "pins") != 1 {
		t.Error("the pin is gone")
	}
}
