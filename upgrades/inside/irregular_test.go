//go:build unix

package inside

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFIFOIsRefusedInsteadOfWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Take(path); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("Take: got %v", err)
	}
	if _, _, _, err := Pairs(path, path); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("Pairs: got %v", err)
	}
}

func TestDirectoriesMayBeNamedByLinks(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"1", "2", "empty"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"1/pay", "2/pay"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "current")
	if err := os.Symlink("2", link); err != nil {
		t.Fatal(err)
	}
	pairs, _, _, err := Pairs(filepath.Join(dir, "1"), link)
	if err != nil || len(pairs) != 1 || pairs[0].New != filepath.Join(link, "pay") {
		t.Errorf("got %+v, %v", pairs, err)
	}
	if _, err := Take(pairs[0].New); err != nil {
		t.Error(err)
	}
	empty := filepath.Join(dir, "empty")
	if _, _, _, err := Pairs(empty, empty); err == nil {
		t.Error("two empty directories are compared without a word")
	}
}

func TestTextOfAHostileFileIsClean(t *testing.T) {
	evil := "evil\x1b[31m\nred\u202e\xff"
	d := Compare(evil, Fingerprint{SHA256: "a"}, Fingerprint{SHA256: "b", Version: evil, Toolchain: evil, BuildID: evil, Notes: []string{evil}})
	d.Constants = []Move{{Where: evil, Old: evil, New: evil, UsedBy: []string{evil}}}
	d.Functions.Added, d.Modules = []string{evil}, []Module{{evil, evil, evil}}
	d.Settings, d.Callees = []Setting{{evil, evil, evil}}, []CalleesOf{{evil, []string{evil}, []string{evil}}}
	d.Configuration.Added, d.Strings.Added = []string{evil}, []string{evil}
	var out bytes.Buffer
	if err := d.Write(&out); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.ContainsAny(s, "\x1b\u202e") || strings.Contains(s, "\nred") || strings.Contains(s, "\xff") {
		t.Errorf("got %q", s)
	}
}

func TestChangedWaitIsATopicWhereverItStands(t *testing.T) {
	d := &Difference{Constants: []Move{{Where: "main.call", Old: "50ms", New: "20ms"}, {Where: "main.call", Old: "12", New: "20"}}}
	got := topics(d)
	if len(got) != 1 || got[0].Word != "wait" || len(got[0].Where) != 1 {
		t.Errorf("got %+v", got)
	}
}
