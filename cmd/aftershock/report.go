package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"aftershock/detector"
)

var reportCommand = command{
	name:    "report",
	summary: "Write the post-upgrade review of an upgrade (the latest, unless one is named).",
	usage:   "report [ID] [--format html|md|json] [--out DIR]",
	example: "aftershock report dten-4.2.0 --format html --out reviews/",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		connect := clientFlags(f)
		format := f.String("format", "md", "the review's `form`: html, md or json")
		out := f.String("out", "", "write into this `directory` instead of printing")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			if len(args) > 1 {
				return exitUsage, usagef("unexpected argument %q", args[1])
			}
			if err := oneOf(*format, "html", "md", "json"); err != nil {
				return exitUsage, err
			}
			c, err := connect()
			if err != nil {
				return exitUsage, err
			}
			id, err := whichUpgrade(ctx, c, args)
			if err != nil {
				return exitUsage, err
			}
			b, err := c.raw(ctx, http.MethodGet, "/api/v1/upgrades/"+url.PathEscape(id)+"/report?format="+*format, nil)
			if err != nil {
				return exitUsage, err
			}
			if *out == "" {
				_, err = sh.stdout.Write(b)
				return exitOK, err
			}
			path := filepath.Join(*out, "review-"+filepath.Base(id)+"."+*format)
			if err := os.MkdirAll(*out, 0o755); err != nil {
				return exitUsage, err
			}
			if err := os.WriteFile(path, b, 0o644); err != nil {
				return exitUsage, err
			}
			_, err = fmt.Fprintln(sh.stdout, path)
			return exitOK, err
		}
	},
}

// whichUpgrade is the upgrade that was named, or the latest.
func whichUpgrade(ctx context.Context, c *client, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	var all items[detector.Upgrade]
	if err := c.call(ctx, http.MethodGet, "/api/v1/upgrades?limit=1", nil, &all); err != nil {
		return "", err
	}
	if len(all.Items) == 0 {
		return "", fmt.Errorf("no upgrade has been seen yet")
	}
	return all.Items[0].ID, nil
}
