package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"aftershock/reports"
)

var reportCommand = command{
	name:    "report",
	summary: "Write the review of a week, or of one upgrade.",
	usage: "report [--week 2026-W47|last|this] [--format md|html|json|pdf] [--out DIR]\n" +
		"  aftershock report UPGRADE [--format md|html|json] [--out DIR]\n\n" +
		"Without --week it is the last week that is over, or the one under way where the daemon knows nothing of that.",
	example: "aftershock report --week last --format html --out reviews/\naftershock report dten-4.2.0",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		connect := clientFlags(f)
		week := f.String("week", "", "the `week` by ISO 8601, last or this")
		format := f.String("format", "md", "the review's `form`: md, html, json, or pdf of a week")
		out := f.String("out", "", "write into this `directory` instead of printing")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			if len(args) > 1 {
				return exitUsage, usagef("unexpected argument %q", args[1])
			}
			path, name := "/api/v1/reports/"+url.PathEscape(cmp.Or(*week, latestWeek)), "week-"+cmp.Or(*week, latestWeek)
			known := reports.Forms
			if len(args) == 1 {
				if *week != "" {
					return exitUsage, usagef("an upgrade and a week: give one of them")
				}
				path, name = "/api/v1/upgrades/"+url.PathEscape(args[0])+"/report", "review-"+args[0]
				known = []string{reports.FormHTML, reports.FormMarkdown, reports.FormJSON}
			}
			if err := oneOf(*format, known...); err != nil {
				return exitUsage, err
			}
			if *format == reports.FormPDF && *out == "" {
				return exitUsage, usagef("a PDF needs --out, the directory to write it into")
			}
			c, err := connect()
			if err != nil {
				return exitUsage, err
			}
			c.http.Timeout = reportTimeout
			done := progress(sh.stderr, "writing the review")
			b, header, err := c.ask(ctx, http.MethodGet, path+"?format="+*format, nil)
			done()
			if err != nil {
				return exitUsage, err
			}
			if header.Get("Content-Type") != reports.MediaType(*format) {
				return exitUsage, fmt.Errorf("read the answer of %s: it is no review as %s; is that an Aftershock daemon?", c.name, *format)
			}
			if *out == "" {
				_, err = sh.stdout.Write(b)
				return exitOK, err
			}
			return exitOK, save(sh, *out, cmp.Or(named(header), filepath.Base(name)+"."+*format), b)
		}
	},
}

// reportTimeout bounds the wait for a review: a browser may have to print it.
const reportTimeout = 90 * time.Second

// named is the file name that the daemon gives an answer, "" where it gives none.
func named(h http.Header) string {
	_, params, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err != nil || filepath.Base(params["filename"]) != params["filename"] {
		return ""
	}
	return params["filename"]
}

// save writes a review into a directory and tells the path.
func save(sh shell, dir, name string, b []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return err
	}
	_, err := fmt.Fprintln(sh.stdout, path)
	return err
}
