package main

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"time"

	"aftershock/upgrades/inside"
	"aftershock/upgrades/preflight/inventory"
)

var inventoryCommand = command{
	name:    "inventory",
	summary: "Take the inventory of this host: packages, units, programs, files, time zone.",
	usage: "inventory [--root DIR] [--files PATTERN]… [--known FILE] [--out FILE]\n\n" +
		"What no host can tell (retired hosts, databases with their tables, third parties, services) comes from the inventory in --known.",
	example: "aftershock inventory --files '/opt/dten/bin/*' --known known.yaml --out inventory.yaml",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		root := f.String("root", "/", "the `directory` of the host's file system")
		known := f.String("known", "", "an `inventory` of what no host can tell")
		out := f.String("out", "", "write it into a `file`, YAML or JSON by its name (default: YAML to standard output)")
		cache := f.String("cache", "", "keep what was read of each build in a `directory`")
		var files several
		f.Var(&files, "files", "a `pattern` of the paths of programs to put down; may be given several times")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			if len(args) > 0 {
				return exitUsage, usagef("unexpected argument %q", args[0])
			}
			o := inventory.Options{At: time.Now(), Files: files, Cache: inside.Cache{Dir: *cache}}
			o.RPM, _ = exec.LookPath("rpm") // left out where it isn't there
			if *known != "" {
				inv, err := inventory.Read(*known)
				if err != nil {
					return exitUsage, err
				}
				o.Known = inv
			}
			done := progress(sh.stderr, "looking at the host")
			inv, err := inventory.Take(ctx, *root, o)
			done()
			if err != nil {
				return exitUsage, err
			}
			if *out == "" {
				data, err := inv.Text(false)
				if err == nil {
					_, err = sh.stdout.Write(data)
				}
				return exitOK, err
			}
			if err := inv.Write(*out); err != nil {
				return exitUsage, err
			}
			_, err = fmt.Fprintf(sh.stdout, "%s: %d packages, %d units, %d programs that run, %d files\n", *out, len(inv.Packages), len(inv.Units), len(inv.Processes), len(inv.Files))
			return exitOK, err
		}
	},
}
