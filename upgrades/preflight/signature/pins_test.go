package signature

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
)

func onePin(publisher, fingerprint string) Pin {
	return Pin{Publisher: publisher, Kind: "x509", Fingerprint: fingerprint, FirstSeen: now}
}

func TestPins(t *testing.T) {
	for name, p := range map[string]Pins{"memory": &Memory{}, "file": PinFile{filepath.Join(t.TempDir(), "pins.json")}} {
		t.Run(name, func(t *testing.T) {
			for _, one := range []Pin{onePin("a", "1"), onePin("b", "1"), onePin("a", "2"), onePin("a", "1")} {
				if err := p.Pin(t.Context(), one); err != nil {
					t.Fatal(err)
				}
			}
			got, err := p.Pinned(t.Context(), "a")
			if d := cmp.Diff([]Pin{onePin("a", "1"), onePin("a", "2")}, got); d != "" || err != nil {
				t.Errorf("%v\n%s", err, d)
			}
			if got, err := p.Pinned(t.Context(), "c"); len(got) != 0 || err != nil {
				t.Errorf("%v, %v", got, err)
			}
			if err := p.Pin(t.Context(), onePin("", "1")); err == nil {
				t.Error("a pin of nobody is taken")
			}
			for n := range maxPins {
				if err := p.Pin(t.Context(), onePin("many", fmt.Sprint(n))); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Pin(t.Context(), onePin("many", "more")); err == nil {
				t.Error("there is no bound")
			}
		})
	}
}

func TestPinFile(t *testing.T) {
	f := PinFile{filepath.Join(t.TempDir(), "pins.json")}
	if err := f.Pin(t.Context(), onePin("a", "1")); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(f.Path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(f.Path), ".pins-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, bad := range []string{"", "{", `{"pins":[{"publisher":"a"}]}`, `{"pins":[],"more":1}`, `{"pins":[]} x`, `[]`} {
		write(t, f.Path, []byte(bad))
		if _, err := f.Pinned(t.Context(), "a"); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", bad, err)
		}
		if err := f.Pin(t.Context(), onePin("a", "2")); err == nil {
			t.Errorf("%q was written over", bad)
		}
		if got, _ := os.ReadFile(f.Path); string(got) != bad {
			t.Errorf("%q became %q", bad, got)
		}
		// Pins that can't be read aren't a first use.
		if _, _, err := Check(t.Context(), Input{Package: "p", Publisher: "a", Pins: f, Now: now}); err == nil {
			t.Errorf("%q: the package is inspected without pins", bad)
		}
	}
	if err := os.Truncate(f.Path, maxPinFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Pinned(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Error(err)
	}
	holder, err := f.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := f.Pin(ctx, onePin("a", "3")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it doesn't wait for the lock: %v", err)
	}
}

// TestPinFileProcesses: processes at once lose no pin.
func TestPinFileProcesses(t *testing.T) {
	const variable, each = "AFTERSHOCK_TEST_PINS", 20
	if path := os.Getenv(variable); path != "" {
		for n := range each {
			if err := (PinFile{path}).Pin(t.Context(), onePin("a", fmt.Sprintf("%s-%d", os.Getenv(variable+"_NAME"), n))); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	path := filepath.Join(t.TempDir(), "pins.json")
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPinFileProcesses$")
			cmd.Env = append(os.Environ(), variable+"="+path, fmt.Sprintf("%s_NAME=%d", variable, n))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	got, err := PinFile{path}.Pinned(t.Context(), "a")
	if err != nil || len(got) != 4*each {
		t.Errorf("%d pins, %v; want %d", len(got), err, 4*each)
	}
}

type failing struct{ error }

func (f failing) Pinned(context.Context, string) ([]Pin, error) { return nil, nil }
func (f failing) Pin(context.Context, Pin) error                { return f.error }

// TestPinFails: a key that can't be pinned is no first use that passes in silence.
func TestPinFails(t *testing.T) {
	p := issue(t, ec(t), nil, nil)
	broken := errors.New("disk full")
	findings, _, err := Check(t.Context(), Input{Package: "p.zip", Beside: files("p.zip", content, "p.zip.p7s", detached(t, content, p, 0, &now)), Now: now, Publisher: "a", Pins: failing{broken}})
	if err != nil {
		t.Fatal(err)
	}
	told := false
	for _, f := range findings {
		told = told || f.Rule == "signature/not-pinned" && f.Severity == detector.Risk && strings.Contains(f.What, "disk full")
		if f.Rule == "signature/first-use" {
			t.Errorf("told as pinned: %s", f.What)
		}
	}
	if !told {
		t.Errorf("got %+v", findings)
	}
}

// TestVerifies: of a signature that verifies it is said by whom it is, and how that key is known.
func TestVerifies(t *testing.T) {
	p, other := issue(t, ec(t), nil, nil), issue(t, ec(t), nil, nil)
	pins := &Memory{}
	for _, tt := range []struct {
		by   party
		want string
	}{{p, ""}, {p, ", who signed before"}, {other, ", another key than before"}} {
		r, err := Examine(t.Context(), Input{Package: "p.zip", Beside: files("p.zip", content, "p.zip.p7s", detached(t, content, tt.by, 0, &now)), Now: now, Publisher: "a", Pins: pins})
		if err != nil || len(r.Verifies) != 1 || !strings.HasPrefix(r.Verifies[0], "p.zip.p7s verifies, by ") || !strings.HasSuffix(r.Verifies[0], "(key "+tt.by.print()+")"+tt.want) {
			t.Errorf("got %q (%v), want %q", r.Verifies, err, tt.want)
		}
	}
	r, err := Examine(t.Context(), Input{Package: "p.zip", Beside: files("p.zip", content), Now: now, Publisher: "b", Pins: pins})
	if err != nil || len(r.Verifies) != 0 {
		t.Errorf("unsigned: %q (%v)", r.Verifies, err)
	}
}

// A name that only looks otherwise is the same publisher's, and one that looks the same by other letters is told.
func TestNamesOfPublishers(t *testing.T) {
	for in, want := range map[string]string{"DTEN Systems": "DTEN Systems", " DTEN\u00a0 Systems\t": "DTEN Systems", "DT\u200bEN\u202e Systems\u0000": "DTEN Systems"} {
		if got := publisherName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]bool{"DTEN Systems": false, "DTЕN Systems": true, "Яндекс LLC": false, "Müller & Søn": false, "\u039fracle": true} {
		if mixed(in) != want {
			t.Errorf("%q: %v, want %v", in, !want, want)
		}
	}
	m := &Memory{}
	for _, name := range []string{"DTEN Systems", "dten systems"} {
		if err := m.Pin(t.Context(), Pin{Publisher: name, Kind: "pgp", Fingerprint: "AB", FirstSeen: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := m.Pinned(t.Context(), "Dten Systems"); err != nil || len(all) != 1 {
		t.Error(all, err)
	}
}
