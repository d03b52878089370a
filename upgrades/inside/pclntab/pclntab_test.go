package pclntab

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

const program = `package main

import "os"

func small(n int) int { return n + len(os.Args) }

//go:noinline
func large(n int) int { return small(n) * small(n+1) }

func main() { os.Exit(large(1)) }
`

// table is the table of functions of a real program that is stripped.
func table(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", "p", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := elf.Open(filepath.Join(dir, "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := f.Section(".gopclntab").Data()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestInlined: a function whose code was put into another is told, though it has none of its own.
func TestInlined(t *testing.T) {
	got, err := Parse(table(t), binary.LittleEndian)
	if err != nil {
		t.Fatal(err)
	}
	has := func(name string) bool {
		return slices.ContainsFunc(got.Functions, func(f Function) bool { return f.Name == name })
	}
	if !has("main.large") || !has("main.main") || has("main.small") {
		t.Error("functions with code of their own aren't large and main")
	}
	if !slices.Contains(got.Inlined, "main.small") || slices.Contains(got.Inlined, "main.large") {
		t.Error("main.small, or main.large too, is put into others")
	}
}

func FuzzParse(f *testing.F) {
	data := table(f)
	f.Add(data[:min(len(data), 1<<16)], true)
	f.Add([]byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}, true)
	f.Fuzz(func(t *testing.T, data []byte, little bool) {
		var order binary.ByteOrder = binary.BigEndian
		if little {
			order = binary.LittleEndian
		}
		got, err := Parse(data, order)
		if err == nil && len(got.Functions)*8+len(got.Inlined) > len(data) {
			t.Errorf("%d functions and %d others of %d bytes", len(got.Functions), len(got.Inlined), len(data))
		}
	})
}
