package paper

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPrint(t *testing.T) {
	page, err := os.ReadFile("../testdata/week.html")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 9, 8, 0, 0, 0, time.UTC)
	pdf, err := Print(t.Context(), "chromium", page, at)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(pdf, []byte("%PDF-")) || !bytes.Contains(pdf, []byte("D:20260309080000+00'00'")) {
		t.Errorf("got %d bytes that begin with %q", len(pdf), pdf[:min(len(pdf), 20)])
	}
	again, err := Print(t.Context(), "chromium", page, at)
	if err != nil || !bytes.Equal(pdf, again) {
		t.Errorf("the same page gives %d bytes and %d others (%v)", len(pdf), len(again), err)
	}
}

func TestNoBrowser(t *testing.T) {
	if _, err := Print(t.Context(), "no-such-browser", nil, time.Now()); !errors.Is(err, ErrNoBrowser) {
		t.Errorf("got %v, want %v", err, ErrNoBrowser)
	}
	bad := filepath.Join(t.TempDir(), "browser")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\necho no display >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Print(t.Context(), bad, nil, time.Now()); err == nil || !bytes.Contains([]byte(err.Error()), []byte("no display")) {
		t.Errorf("got %v, want what the browser said", err)
	}
}
