package main

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"aftershock/detector/words"
	"aftershock/upgrades/inside"
	"aftershock/upgrades/preflight/databases"
	"aftershock/upgrades/preflight/inventory"
)

var inventoryCommand = command{
	name:    "inventory",
	summary: "Take the inventory of this host: packages, units, programs, files, time zone.",
	usage: "inventory [--root DIR] [--files PATTERN]… [--telemetry PATH-OR-URL] [--database URL|FILE]… [--known FILE] [--out FILE]\n\n" +
		"Which versions of services run is read from --telemetry, by *_build_info and target_info: a program's file often doesn't tell its version.\n" +
		"Tables with their rows and sizes are read from each --database, PostgreSQL, MySQL or MariaDB, in a read-only transaction: a URL such as\n" +
		"postgres://user@host:5432/name or mysql://user@host:3306/name, or a file that has one in its only line. A password comes from that file,\n" +
		"which nobody else may read, or from PGPASSWORD, ~/.pgpass or MYSQL_PWD; it is never printed.\n" +
		"What else no host can tell (retired hosts, third parties) comes from the inventory in --known.",
	example: "aftershock inventory --files '/opt/dten/bin/*' --telemetry http://prometheus:9090 --known known.yaml --out inventory.yaml\n" +
		"aftershock inventory --host=false --database postgres://reader@db.internal/orders --out copy.yaml",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		root := f.String("root", "/", "the `directory` of the host's file system")
		known := f.String("known", "", "an `inventory` of what no host can tell")
		out := f.String("out", "", "write it into a `file`, YAML or JSON by its name (default: YAML to standard output)")
		cache := f.String("cache", "", "keep what was read of each build in a `directory`")
		host := f.Bool("host", true, "look at this host, not at databases and telemetry alone")
		telemetry := f.String("telemetry", "", "a `path or URL` of telemetry (as of backtest) that tells which builds of services run")
		config := f.String("config", "", "a configuration `file`, for how the telemetry's server is reached (http_client)")
		var files, from several
		f.Var(&files, "files", "a `pattern` of the paths of programs to put down; may be given several times")
		f.Var(&from, "database", "a database to read tables of, as a `URL` or a file with one; may be given several times")
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
			inv, err := takeInventory(ctx, sh, *root, *host, from, *telemetry, *config, o)
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
			_, err = fmt.Fprintf(sh.stdout, "%s: %s, %s, %s, %s, %s, %s\n", *out,
				words.Plural(len(inv.Packages), "package"), words.Plural(len(inv.Units), "unit"), words.Plural(len(inv.Processes), "running program"),
				words.Plural(len(inv.Services), "service"), words.Plural(len(inv.Files), "file"), words.Plural(len(inv.Databases), "database"))
			for _, note := range inv.Notes {
				fmt.Fprintf(sh.stdout, "  note: %s\n", words.Line(note))
			}
			return exitOK, err
		}
	},
}

// takeInventory looks at the host, unless it is left out, at telemetry and at databases. What --known has of the same service, or of a
// database by the same engine and name, is replaced.
func takeInventory(ctx context.Context, sh shell, root string, host bool, from []string, telemetry, config string, o inventory.Options) (inventory.Inventory, error) {
	var sources []databases.Source
	for _, text := range from {
		s, err := databases.Parse(text)
		if err != nil {
			return inventory.Inventory{}, err
		}
		sources = append(sources, s)
	}
	inv := o.Known
	if host {
		done := progress(sh.stderr, "looking at the host")
		var err error
		inv, err = inventory.Take(ctx, root, o)
		done()
		if err != nil {
			return inv, err
		}
	} else if len(sources) == 0 && telemetry == "" {
		return inv, usagef("--host=false leaves nothing to look at: give --database or --telemetry")
	}
	if telemetry != "" {
		done := progress(sh.stderr, "reading which builds run")
		told, err := runningServices(ctx, sh, telemetry, config, o.At)
		done()
		if err != nil {
			return inv, err
		}
		inv.Services = withServices(inv.Services, told)
	}
	for _, s := range sources {
		done := progress(sh.stderr, "reading the tables of "+s.String())
		d, notes, err := databases.Take(ctx, s)
		done()
		if err != nil {
			return inv, err
		}
		inv.Databases = slices.DeleteFunc(slices.Clone(inv.Databases), func(k inventory.Database) bool { return inventory.Engine(k.Engine) == d.Engine && k.Name == d.Name })
		inv.Databases = append(inv.Databases, d)
		inv.Notes = append(inv.Notes, notes...)
	}
	inv.TakenAt = o.At.UTC()
	return inv, nil
}
