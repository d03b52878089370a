package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vendors "aftershock/demo/parcel"
	"aftershock/detector"
	"aftershock/upgrades"
)

// packed writes the story's package into a directory.
func packed(t *testing.T, p vendors.Parcel) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "own"))
	p.Built = time.Now().AddDate(0, 0, -3).UTC().Truncate(time.Second)
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, vendors.Name)
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func TestInspect(t *testing.T) {
	dir, file := packed(t, vendors.Parcel{})
	before, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got := call(t, "", "inspect", file)
	if got.status != exitRisks || !strings.Contains(got.out, "scripts/pre-install.sh:6") || strings.Contains(got.out, "\x1b[") {
		t.Errorf("text: %+v", got)
	}
	for format, want := range map[string]string{"json": `"rule": "scripts/remote-code"`, "sarif": `"version": "2.1.0"`, "md": "# Inspection of Full"} {
		if got := call(t, "", "inspect", file, "--format", format); got.status != exitRisks || !strings.Contains(got.out, want) {
			t.Errorf("%s: %+v, want %q", format, got, want)
		}
	}
	record := filepath.Join(dir, "upgrade.json")
	if got := call(t, "", "inspect", file, "--record", record, "--planned-start", "2026-12-06T09:00:00Z"); got.status != exitRisks {
		t.Errorf("with a record: %+v", got)
	}
	u, err := upgrades.ReadRecord(record)
	if err != nil || u.ID != "dten-4.2.0" || len(u.Findings) < 10 || u.PlannedStart.Year() != 2026 {
		t.Errorf("record %s with %d findings (%v)", u.ID, len(u.Findings), err)
	}
	inv := filepath.Join(dir, "inventory.yaml")
	if err := os.WriteFile(inv, []byte("units: [{name: a.service}]\npackages: [{name: bash, version: \"5\", source: dpkg}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := call(t, "", "inspect", file, "--against", inv); got.status != exitBlockers || !strings.Contains(got.out, "scripts/unit-missing") {
		t.Errorf("against an inventory: %+v", got)
	}
	after, err := os.ReadDir(os.TempDir())
	if err != nil || len(after) > len(before) && strings.Contains(names(after), "aftershock-inspect-") && !strings.Contains(names(before), "aftershock-inspect-") {
		t.Errorf("something is left behind: %s (%v)", names(after), err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"inspect"}, "one package is needed"},
		{[]string{"inspect", dir + "/none.zip"}, "none.zip: no such file or directory"},
		{[]string{"inspect", inv}, "it is no package that is known"},
		{[]string{"inspect", file, "--format", "xml"}, "xml"},
		{[]string{"inspect", file, "--against", record}, "upgrade.json"},
		{[]string{"inspect", file, "--settings", dir + "/none.yaml"}, "none.yaml"},
		{[]string{"inspect", file, "--planned-start", "soon"}, `"soon" isn't a time`},
		{[]string{"inspect", file, "--roots", inv}, "it has no certificate in PEM"},
	} {
		if got := call(t, "", tt.args...); got.status != exitUsage || !strings.Contains(got.errors, tt.want) || strings.Count(got.errors, "\n") != 1 {
			t.Errorf("%v: %+v, want %q", tt.args, got, tt.want)
		}
	}
}

func names(all []os.DirEntry) string {
	var out []string
	for _, e := range all {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

// A daemon's journal keeps the keys; another key than the first is a blocker, of which all
// receivers are told.
func TestInspectPinsInTheJournal(t *testing.T) {
	s := daemonForClients(t)
	token := os.Getenv("AFTERSHOCK_TOKEN")
	for n, want := range []string{"signature/not-pinned", "signature/first-use", "signature/unexpected-key"} {
		signer, _, err := vendors.NewSigner("Some CA", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		_, file := packed(t, vendors.Parcel{Signer: signer})
		t.Setenv("AFTERSHOCK_TOKEN", token)
		if n == 0 { // what was found is told to whoever may not write
			t.Setenv("AFTERSHOCK_TOKEN", "")
		}
		got := call(t, "", "inspect", file, "--server", s.URL, "--format", "json")
		if n == 2 && (got.status != exitBlockers || !strings.Contains(got.out, "signature/not-told")) {
			t.Errorf("%+v: the server of the test has no receivers (TestPins has them), which is no reason to keep the blocker back", got)
		}
		var r struct{ Findings []detector.Finding }
		if err := json.Unmarshal([]byte(got.out), &r); err != nil {
			t.Fatalf("%+v: %v", got, err)
		}
		found := false
		for _, f := range r.Findings {
			found = found || f.Rule == want
		}
		if !found {
			t.Errorf("package %d: no %s", n+1, want)
		}
	}
	pins, err := s.Journal.Pinned(t.Context(), "DTEN Systems")
	if err != nil || len(pins) != 1 {
		t.Errorf("pinned %+v (%v)", pins, err)
	}
}

func TestInventory(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"etc/hostname": "shop-1\n", "etc/os-release": "ID=debian\nVERSION_ID=\"12\"\n", "etc/timezone": "Europe/Berlin\n"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(root, "inventory.yaml")
	if got := call(t, "", "inventory", "--root", root, "--out", out); got.status != 0 || !strings.Contains(got.out, "0 packages") {
		t.Errorf("into a file: %+v", got)
	}
	if got := call(t, "", "inventory", "--root", root); got.status != 0 || !strings.Contains(got.out, "shop-1") || !strings.Contains(got.out, "id: debian") {
		t.Errorf("to standard output: %+v", got)
	}
	if got := call(t, "", "inventory", "--root", root+"/none"); got.status != exitUsage {
		t.Errorf("of nowhere: %+v", got)
	}
}
