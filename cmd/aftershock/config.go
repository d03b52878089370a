package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"text/tabwriter"

	"aftershock/upgrades/inside"
	"aftershock/upgrades/preflight/settings"
)

var configCommand = command{
	name:    "config",
	summary: "Find each use of a setting in the live configuration; draft a matrix from two builds.",
	usage: "config grep KEY [--config-root DIR] [--format text|json]\n  aftershock config mine OLD NEW [--version VERSION]\n\n" +
		"grep: KEY is in any spelling (dten.hybrid.enable, DTEN_HYBRID_ENABLE) or the beginning of keys (dten.hybrid.*). Values of secrets\n" +
		"are hidden. Exit status: 0 found, 1 not found, 2 wrong usage or unreadable.\n" +
		"mine: OLD and NEW are two binaries or directories of them. Prints a draft of a configuration matrix as YAML.",
	example: "aftershock config grep 'dten.hybrid.*' --config-root /etc/dten\n" +
		"aftershock config mine /opt/dten/4.1.3 /opt/dten/4.2.0 --version 4.2.0 > matrix.yaml",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		root := f.String("config-root", "/etc", "the `directory` of the live configuration")
		format := f.String("format", "text", "the output's `form`: text or json")
		version := f.String("version", "", "mine: the `version` of the new builds, where they don't tell it")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			if *format != "text" && *format != "json" {
				return exitUsage, usagef("--format %q is neither text nor json", *format)
			}
			switch {
			case len(args) == 2 && args[0] == "grep":
				return grepConfig(sh, args[1], *root, *format)
			case len(args) == 3 && args[0] == "mine":
				return mineConfig(ctx, sh, args[1], args[2], *version)
			}
			return exitUsage, usagef("say grep KEY, or mine OLD NEW")
		}
	},
}

// useOfSetting is one use as JSON.
type useOfSetting struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Key    string `json:"key"`
	Value  string `json:"value"`
	Within string `json:"within,omitempty"`
	// Hidden says that the value is a secret's.
	Hidden bool `json:"hidden,omitempty"`
}

func grepConfig(sh shell, key, root, format string) (int, error) {
	live, err := settings.OpenLive(root)
	if err != nil {
		return exitUsage, err
	}
	found := live.Grep(key)
	list := make([]useOfSetting, 0, len(found))
	for _, u := range found {
		list = append(list, useOfSetting{u.File, u.Line, u.Key, u.Shown(), u.Within, u.Secret()})
	}
	if format == "json" {
		e := json.NewEncoder(sh.stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = e.Encode(list)
	} else {
		t := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
		for _, u := range list {
			fmt.Fprintf(t, "%s:%d\t%s\t%s\n", settings.Plain(u.File), u.Line, settings.Plain(u.Key), u.Value)
		}
		err = t.Flush()
	}
	if err != nil {
		return exitUsage, err
	}
	for i, n := range live.Unread {
		if i == 5 {
			fmt.Fprintf(sh.stderr, "aftershock config: and %d more that can't be read\n", len(live.Unread)-i)
			break
		}
		fmt.Fprintf(sh.stderr, "aftershock config: %s: %s\n", settings.Plain(n.Place.File), n.What)
	}
	if len(found) == 0 {
		if len(live.Files) == 0 && len(live.Unread) > 0 {
			return exitUsage, fmt.Errorf("%s: nothing below it can be read", root)
		}
		fmt.Fprintf(sh.stderr, "aftershock config: nothing sets %s in the %d files below %s that were read; --config-root names another directory\n", settings.Plain(key), len(live.Files), settings.Plain(root))
		return exitDifferent, nil
	}
	return exitOK, nil
}

func mineConfig(ctx context.Context, sh shell, old, new, version string) (int, error) {
	pairs, _, _, err := inside.Pairs(old, new)
	if err != nil {
		return exitUsage, err
	}
	var draft settings.Matrix
	for _, p := range pairs {
		if err := ctx.Err(); err != nil {
			return exitUsage, err
		}
		before, err := inside.Take(p.Old)
		after, problem := inside.Take(p.New)
		if err = cmp.Or(err, problem); err != nil {
			return exitUsage, err
		}
		of := version
		if of == "" && after.Version != "(devel)" {
			of = after.Version
		}
		mined := settings.Mine(inside.Compare(p.Name, before, after), of)
		if of == "" && len(mined.Rows) > 0 {
			return exitUsage, usagef("%s doesn't tell its version: give it with --version", p.New)
		}
		draft.Rows = append(draft.Rows, mined.Rows...)
	}
	if len(draft.Rows) == 0 {
		fmt.Fprintf(sh.stderr, "aftershock config: no name of a setting came or went in the binaries that both have (%d)\n", len(pairs))
	}
	return exitOK, draft.Write(sh.stdout)
}
