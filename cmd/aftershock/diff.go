package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"aftershock/upgrades/inside"
)

var diffCommand = command{
	name:    "diff",
	summary: "Tell what changed inside a binary, or in a directory of them, between two builds.",
	usage: "diff OLD NEW [--format text|json] [--cache DIR]\n\n" +
		"OLD and NEW are two files (Go or other ELF programs, JARs, SBOMs) or two directories of them.\n\n" +
		"Exit status: 0 nothing changed inside, 1 something did, or only one side has it, 2 wrong usage or an unreadable file.",
	example: "aftershock diff /opt/dten/4.1.3/payments /opt/dten/4.2.0/payments",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		format := f.String("format", "text", "the output's `form`: text or json")
		cache := f.String("cache", "", "keep what was read of each build in a `directory`, so that it is read once")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			if len(args) != 2 {
				return exitUsage, usagef("two files or two directories are needed, OLD and NEW")
			}
			if *format != "text" && *format != "json" {
				return exitUsage, usagef("--format %q is neither text nor json", *format)
			}
			return diff(ctx, sh.stdout, inside.Cache{Dir: *cache}, args[0], args[1], *format)
		}
	},
}

// differences is the output as JSON.
type differences struct {
	Pairs   []inside.Difference `json:"pairs"`
	OnlyOld []string            `json:"only_old"`
	OnlyNew []string            `json:"only_new"`
}

func (d differences) status() int {
	if len(d.OnlyOld)+len(d.OnlyNew) > 0 {
		return exitDifferent
	}
	for _, p := range d.Pairs {
		if !p.Empty() {
			return exitDifferent
		}
	}
	return exitOK
}

func diff(ctx context.Context, w io.Writer, cache inside.Cache, old, new, format string) (int, error) {
	pairs, onlyOld, onlyNew, err := inside.Pairs(old, new)
	if err != nil {
		return exitUsage, err
	}
	d := differences{Pairs: []inside.Difference{}, OnlyOld: append([]string{}, onlyOld...), OnlyNew: append([]string{}, onlyNew...)}
	var unread error // the first of the files that can't be read; the others are compared
	for _, p := range pairs {
		if err := ctx.Err(); err != nil {
			return exitUsage, err
		}
		before, err := cache.Take(p.Old)
		after, problem := cache.Take(p.New)
		if err = cmp.Or(err, problem); err != nil {
			unread = cmp.Or(unread, err)
			continue
		}
		d.Pairs = append(d.Pairs, inside.Compare(p.Name, before, after))
	}
	if unread != nil && len(pairs) == 1 {
		return exitUsage, unread
	}
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = e.Encode(d)
	} else {
		err = d.write(w)
	}
	if err = cmp.Or(err, unread); err != nil {
		return exitUsage, err
	}
	return d.status(), nil
}

func (d differences) write(w io.Writer) error {
	var problems []error
	for i, p := range d.Pairs {
		if i > 0 {
			fmt.Fprintln(w)
		}
		problems = append(problems, p.Write(w))
	}
	for _, n := range d.OnlyOld {
		fmt.Fprintf(w, "only in the old: %s\n", n)
	}
	for _, n := range d.OnlyNew {
		fmt.Fprintf(w, "only in the new: %s\n", n)
	}
	return errors.Join(problems...)
}
