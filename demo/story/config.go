package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

const backoffFlag = "payments-backoff"

// day is the length of the compressed day, as the daemon and the load take it.
const day = "30s"

type object = map[string]any

// flagDefinitions are the shop's flags in flagd's format, as its vendor ships
// them.
func flagDefinitions() object {
	onOff := func(def string) object {
		return object{"state": "ENABLED", "variants": object{"on": true, "off": false}, "defaultVariant": def}
	}
	return object{"flags": object{
		backoffFlag: object{
			"state": "ENABLED",
			"variants": object{
				"legacy": object{"strategy": "legacy"},
				"new":    object{"strategy": "new"},
				"tuned": object{
					"strategy": "exponential",
					"base_ms":  40, "cap_ms": 200, "factor": 2, "jitter": 0.2, "max_attempts": 3, "slow_ms": 0,
				},
			},
			"defaultVariant": "new",
		},
		"checkout-flat-receipts": onOff("on"),
		"catalog-stock":          onOff("on"),
		"gateway-trace-headers":  onOff("off"),
	}}
}

// daemonConfig is the daemon's config for a day of 30 seconds.
func daemonConfig(dir, webhook string) object {
	in := func(name string) string { return filepath.Join(dir, name) }
	return object{
		"data": in("data"),
		"log":  object{"level": "info", "format": "text"},
		"web": object{"listen": "127.0.0.1:0", "access": object{
			"hint": hint(in("data/token")),
		}},
		"sources": object{"scrape": object{
			"interval": "1s", "timeout": "900ms", "files": []string{in("targets.json")}, "retention": "1d",
		}},
		"watch": object{"step": "1s", "day": day, "lag": "2s", "baseline": "5m", "duration": "1h", "warmup": "8s"},
		"upgrades": object{"detect": true, "settle": "10s", "files": []object{
			{"binary": guilty, "path": in("hosts/payments-1/" + guilty)},
			{"binary": innocent, "path": in("hosts/checkout-1/" + innocent)},
		}},
		"flags": object{
			"definitions": in("flags.json"),
			"gates": []object{{"flag": backoffFlag, "binary": guilty, "safe": "legacy", "tunes": object{
				"service": "payments", "peer": "acme-pay", "since": "4.2.0",
				// What the vendor's documentation says of the strategies that have names.
				"constants": object{
					"legacy": object{"strategy": "linear", "base_ms": 20, "max_attempts": 3, "timeout_ms": 2000},
					"new": object{
						"strategy": "exponential", "base_ms": 100, "cap_ms": 5000, "factor": 2, "jitter": 0.5, "max_attempts": 6,
						"slow_ms": 200, "timeout_ms": 2000,
					},
					"tuned": object{"timeout_ms": 2000},
				},
			}}},
		},
		"alerts": object{"receivers": []object{
			{"name": "oncall", "webhook": object{"url": webhook}},
			{"name": "log", "log": object{}},
		}},
	}
}

// hint says where the demo's token lies, as far as the form to sign in has room for it.
func hint(token string) string {
	text := "In this demo it lies in the file " + token + "; the terminal that runs the demo has a link that signs in."
	if len(text) > 300 {
		text = "In this demo the terminal says where it lies, and has a link that signs in."
	}
	return text
}

// writeConfig writes the flags, an empty list of targets and the daemon's
// config, and returns the config's path.
func writeConfig(dir, webhook string) (string, error) {
	if err := writeJSON(filepath.Join(dir, "flags.json"), flagDefinitions()); err != nil {
		return "", err
	}
	if err := writeJSON(filepath.Join(dir, "targets.json"), []object{}); err != nil {
		return "", err
	}
	content, err := yaml.Marshal(daemonConfig(dir, webhook))
	if err != nil {
		return "", fmt.Errorf("write daemon's config: %w", err)
	}
	path := filepath.Join(dir, "aftershock.yml")
	return path, replaceFile(path, content)
}

func writeJSON(path string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return replaceFile(path, append(content, '\n'))
}

// replaceFile puts the content in place in one step, since others read the file
// while it is written.
func replaceFile(path string, content []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// shellQuote is the word as a shell takes it.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
