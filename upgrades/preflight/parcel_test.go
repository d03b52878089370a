package preflight_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/demo/parcel"
	"aftershock/detector"
	"aftershock/upgrades"
	"aftershock/upgrades/preflight"
	"aftershock/upgrades/preflight/inventory"
	"aftershock/upgrades/preflight/signature"
)

var now = time.Date(2026, 3, 6, 8, 0, 0, 0, time.UTC)

// host is what the inventory of the story's host says.
const host = `
taken_at: 2026-03-06T07:00:00Z
time_zone: Europe/Berlin
packages:
  - {name: libssl3, version: 3.0.11-1~deb12u2, source: dpkg}
services:
  - {service: payments, version: 4.1.3, binary: dten-payments, instances: [payments-1, payments-2]}
  - {service: dten-catalog, version: 4.1.3, instances: [catalog-1]}
units:
  - {name: dten-agent.service}
  - {name: dten-payments.service}
retired_hosts: [sftp.old.dten.example]
databases:
  - {engine: postgresql, version: "15.4", tables: [{name: orders, rows: 40000000, bytes: 12000000000}]}
`

// inspect looks at the story's package on the story's host with a live configuration.
func inspect(t *testing.T, p parcel.Parcel, live string, change ...func(*preflight.Options)) preflight.Report {
	t.Helper()
	dir := t.TempDir()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, parcel.Name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "etc")
	if err := os.MkdirAll(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "payments.yaml"), []byte(live), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, err := inventory.Parse([]byte(host))
	if err != nil {
		t.Fatal(err)
	}
	o := preflight.Options{Now: now, Private: filepath.Join(dir, "private"), Inventory: &inv, ConfigRoots: []string{root}}
	for _, c := range change {
		c(&o)
	}
	r, err := preflight.Inspect(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Findings {
		r.Findings[i].Place.File = strings.TrimPrefix(r.Findings[i].Place.File, root+"/")
	}
	return r
}

func told(r preflight.Report) (out []string) {
	for _, f := range r.Findings {
		out = append(out, fmt.Sprintf("%s %s %s:%d", f.Severity, f.Rule, f.Place.File, f.Place.Line))
	}
	slices.Sort(out)
	return out
}

func binaries() []parcel.Binary {
	return []parcel.Binary{{Name: "dten-payments", Service: "payments", Content: []byte("\x7fELF not a real one")}}
}

const (
	faultyLive = "dten:\n  poll:\n    interval: 30s\n"
	mendedLive = "dten:\n  hybrid:\n    enable: true\n"
)

// Every fault of the story is found, at its line.
func TestStory(t *testing.T) {
	built := now.AddDate(0, 0, -3)
	signer, _, err := parcel.NewSigner("Unfamiliar Trust Services CA", built)
	if err != nil {
		t.Fatal(err)
	}
	// The vendor's packages came from another issuer, and by another key, before.
	_, known, err := parcel.NewSigner("DTEN Systems CA", built)
	if err != nil {
		t.Fatal(err)
	}
	before := detector.Pin{Publisher: "DTEN Systems", Kind: detector.PinX509, Fingerprint: strings.Repeat("AB:", 31) + "AB", Issuer: "DTEN Systems CA", FirstSeen: built.AddDate(-1, 0, 0)}
	var escalated []signature.Unexpected
	r := inspect(t, parcel.Parcel{Built: built, Binaries: binaries(), Signer: signer}, faultyLive, func(o *preflight.Options) {
		o.Signatures.Roots = x509.NewCertPool()
		o.Signatures.Roots.AddCert(known)
		pins := &signature.Memory{}
		if err := pins.Pin(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		o.Signatures.Pins = pins
		o.Signatures.Escalate = func(u signature.Unexpected) error { escalated = append(escalated, u); return nil }
	})
	if len(escalated) != 1 || escalated[0].Issuer != "Unfamiliar Trust Services CA" && !strings.Contains(escalated[0].Issuer, "Unfamiliar Trust Services CA") || len(escalated[0].Expected) != 1 || len(escalated[0].Steps) < 2 {
		t.Errorf("escalated: %+v", escalated)
	}
	want := []string{
		"risk signature/unknown-issuer manifest.yaml.sig:0", // an unfamiliar issuer
		"blocker signature/unexpected-key manifest.yaml.sig:0",
		"risk signature/partial notes.txt:0",

		"risk archive/old-binary bin/dten-payments:0", // of three product cycles ago

		"blocker scripts/sudo scripts/pre-install.sh:3",
		"risk scripts/unit-stopped scripts/pre-install.sh:3",
		"risk scripts/no-errexit scripts/pre-install.sh:3",
		"risk scripts/unit-missing scripts/pre-install.sh:4", // a unit that no longer exists
		"risk scripts/removal scripts/pre-install.sh:5",
		"risk scripts/remote-code scripts/pre-install.sh:6",

		"note scripts/scheduled-run cron.d/dten-export:2", // 03:00
		"risk scripts/retired-host cron.d/dten-export:2",  // against a retired SFTP server

		"risk migrations/no-migration-lock scripts/migrate.sh:4",
		"risk migrations/lock-timeout scripts/migrate.sh:4",
		"blocker migrations/rewrite scripts/migrate.sh:4",
		"note migrations/rollback scripts/migrate.sh:4",
		"blocker migrations/index scripts/migrate.sh:5",
		"risk migrations/data-loss scripts/migrate.sh:6",

		"risk manifest/dependency-unbounded manifest.yaml:8", // loose versions
		"risk manifest/dependency-unbounded manifest.yaml:9",
		"risk manifest/reboot-vague manifest.yaml:10",
		"risk manifest/file-unnamed notes.txt:0",

		"risk settings/removed-key payments.yaml:3",
		"risk settings/required-key-missing payments.yaml:3", // dten.hybrid.enable
	}
	slices.Sort(want)
	if d := cmp.Diff(want, told(r)); d != "" {
		t.Error(d)
	}
	runs, fallback := 0, 0
	for _, f := range r.Findings {
		for _, h := range f.Hypotheses {
			switch {
			case h.Kind == detector.HypothesisRun && len(h.Runs) > 0 && h.Runs[0].Equal(time.Date(2026, 3, 7, 2, 0, 0, 0, time.UTC)): // 03:00 in Berlin
				runs++
			case h.Kind == detector.HypothesisFallback && slices.Contains(h.Binaries, "dten-payments"):
				fallback++
			}
		}
	}
	if runs == 0 || fallback == 0 {
		t.Errorf("%d hypotheses of the run at 03:00 and %d of the fallback, want some of both", runs, fallback)
	}
	if u := r.Upgrade; u == nil || len(u.Binaries) != 1 || u.Binaries[0].From != "4.1.3" || u.Binaries[0].To != "4.2.0" || len(u.Findings) != len(want) {
		t.Errorf("the record names %d binaries and %d findings", len(u.Binaries), len(u.Findings))
	}
	u := *r.Upgrade
	u.PlannedStart = now
	data, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	back, err := upgrades.ParseRecord(data)
	if err != nil || !detector.SameFindings(back.Findings, u.Findings) {
		t.Errorf("the record can't be read as it was written: %v", err)
	}
}

// The same package with its faults mended has no finding above a note.
func TestMended(t *testing.T) {
	built := now.AddDate(0, 0, -3)
	signer, root, err := parcel.NewSigner("DTEN Systems CA", built)
	if err != nil {
		t.Fatal(err)
	}
	r := inspect(t, parcel.Parcel{Mended: true, Built: built, Binaries: binaries(), Signer: signer}, mendedLive, func(o *preflight.Options) {
		o.Signatures.Roots = x509.NewCertPool()
		o.Signatures.Roots.AddCert(root)
		o.Signatures.Pins = &signature.Memory{}
	})
	if w := r.Worst(); w != "" && w != detector.Note {
		t.Errorf("%s", strings.Join(told(r), "\n"))
	}
}
