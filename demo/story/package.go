package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"aftershock/demo/parcel"
)

const (
	// foreseenRule is the finding that comes true: the setting without which payments falls
	// back to the retry strategy that is built in.
	foreseenRule = "settings/required-key-missing"
	hybridKey    = "dten.hybrid.enable"
	// notReady is how inspect ends where it finds a blocker.
	notReady = 4
)

// inspected is what inspect says as JSON, as far as the story reads it.
type inspected struct {
	Findings []struct {
		Rule     string `json:"rule"`
		Severity string `json:"severity"`
		What     string `json:"what"`
		Place    struct {
			File string `json:"file"`
			Line int    `json:"line"`
		} `json:"place"`
	} `json:"findings"`
}

// configRoot is the live configuration of the shop's hosts.
func (d *director) configRoot() string { return filepath.Join(d.opt.dir, "etc") }

// inspectPackage lets the vendor's package come, and inspects it: nobody mends what is
// found, but the daemon is told of it beforehand.
func (d *director) inspectPackage(ctx context.Context) (string, error) {
	file := filepath.Join(d.opt.dir, parcel.Name)
	if err := d.pack(file); err != nil {
		return "", err
	}
	inv, err := d.takeInventory(ctx)
	if err != nil {
		return "", err
	}
	record := filepath.Join(d.opt.dir, "upgrade.json")
	out, err := d.command(ctx, notReady, "inspect", file, "--against", inv, "--config-root", d.configRoot(), "--record", record, "--pins", filepath.Join(d.opt.dir, "pins.json"), "--format", "json")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(d.opt.dir, "inspection.json"), out, 0o644); err != nil {
		return "", fmt.Errorf("keep the inspection: %w", err)
	}
	var r inspected
	if err := json.Unmarshal(out, &r); err != nil {
		return "", fmt.Errorf("read the inspection: %w", err)
	}
	seen, by := false, map[string]int{}
	for _, f := range r.Findings {
		by[f.Severity]++
		if f.Rule == foreseenRule && strings.Contains(f.What, hybridKey) {
			seen = true
			d.timeline.add(fmt.Sprintf("the inspection warns: %s (%s:%d)", f.What, filepath.Base(f.Place.File), f.Place.Line))
		}
	}
	if !seen {
		return "", fmt.Errorf("the inspection of %s doesn't warn that %s is missing", parcel.Name, hybridKey)
	}
	if _, err := d.command(ctx, 0, "upgrades", "record", record, "--server", d.api.base); err != nil {
		return "", err
	}
	what := fmt.Sprintf("%d blockers, %d risks and %d notes in the vendor's package", by["blocker"], by["risk"], by["note"])
	d.timeline.add("inspected beforehand: " + what)
	return what, nil
}

// pack makes the vendor's package of the builds that are to go out.
func (d *director) pack(file string) error {
	p := parcel.Parcel{Built: time.Now().AddDate(0, 0, -3).UTC().Truncate(time.Second)}
	for _, b := range []struct{ name, service, build string }{{guilty, "payments", "payments-4.2.0"}, {innocent, "checkout", "checkout-4.2.0"}} {
		content, err := os.ReadFile(filepath.Join(d.opt.bin, b.build))
		if err != nil {
			return fmt.Errorf("pack the upgrade: %w", err)
		}
		p.Binaries = append(p.Binaries, parcel.Binary{Name: b.name, Service: b.service, Content: content})
	}
	signer, _, err := parcel.NewSigner("Unfamiliar Trust Services CA", p.Built)
	if err != nil {
		return fmt.Errorf("pack the upgrade: %w", err)
	}
	p.Signer = signer
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		return fmt.Errorf("pack the upgrade: %w", err)
	}
	return replaceFile(file, b.Bytes())
}

// takeInventory takes what is installed on this machine as one of the shop's hosts.
func (d *director) takeInventory(ctx context.Context) (string, error) {
	known, err := yaml.Marshal(object{
		"time_zone": "Europe/Berlin",
		"services": []object{
			{"service": "payments", "version": "4.1.3", "binary": guilty, "instances": []string{"payments-1", "payments-2"}},
			{"service": "checkout", "version": "4.1.3", "binary": innocent, "instances": []string{"checkout-1", "checkout-2"}},
		},
		"retired_hosts": []string{"sftp.old.dten.example"},
		"databases":     []object{{"engine": "postgresql", "version": "15.4", "tables": []object{{"name": "orders", "rows": 40_000_000, "bytes": 12_000_000_000}}}},
		"third_parties": []object{{"name": "acme-pay", "host": "acme-pay.example"}},
	})
	if err != nil {
		return "", fmt.Errorf("write what is known of the hosts: %w", err)
	}
	in := filepath.Join(d.opt.dir, "known.yaml")
	if err := replaceFile(in, known); err != nil {
		return "", err
	}
	out := filepath.Join(d.opt.dir, "inventory.yaml")
	_, err = d.command(ctx, 0, "inventory", "--known", in, "--files", filepath.Join(d.opt.dir, "hosts", "*-1", "dten-*"), "--out", out)
	return out, err
}

// command runs the product's program, which is to end with a status, and gives what it
// prints.
func (d *director) command(ctx context.Context, status int, args ...string) ([]byte, error) {
	var out, problems bytes.Buffer
	c := exec.CommandContext(ctx, d.opt.daemon, args...)
	c.Env = append(os.Environ(), "AFTERSHOCK_TOKEN="+d.api.token)
	c.Stdout, c.Stderr = &out, &problems
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("run aftershock %s: %w", args[0], err)
	}
	if got := c.ProcessState.ExitCode(); got != status {
		return nil, fmt.Errorf("aftershock %s ended with status %d, want %d: %s", args[0], got, status, strings.TrimSpace(problems.String()))
	}
	return out.Bytes(), nil
}

// awaitForeseen waits until the alert names the finding that came true.
func (d *director) awaitForeseen(ctx context.Context) (string, error) {
	foreseen := ""
	err := d.receiver.await(ctx, "wait for an alert that names the finding that came true", func(notices []notice) (bool, error) {
		for _, n := range firing(notices) {
			if f := n.Annotations["foreseen"]; n.blames() == guilty && strings.Contains(f, foreseenRule) {
				foreseen = f
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return "", err
	}
	d.timeline.add(foreseen)
	return foreseen, nil
}
