// Package paper prints a page as PDF with a browser that the machine has.
package paper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"aftershock/detector/words"
)

// ErrNoBrowser says that there is nothing to print with.
var ErrNoBrowser = errors.New("no browser to print with")

// limit bounds one printing.
const limit = time.Minute

// maxPage bounds the PDF, in bytes.
const maxPage = 64 << 20

// Print prints an HTML page that needs nothing from elsewhere. browser is the name or
// path of a Chromium; at is what the document says of when it was made, so that the same
// page gives the same bytes. An error is ErrNoBrowser where the browser isn't there.
func Print(ctx context.Context, browser string, page []byte, at time.Time) ([]byte, error) {
	program, err := exec.LookPath(browser)
	if err != nil {
		return nil, fmt.Errorf("%w: %q isn't on this machine; install chromium, or name another under reports.browser", ErrNoBrowser, browser)
	}
	dir, err := os.MkdirTemp("", "aftershock-print-*")
	if err != nil {
		return nil, fmt.Errorf("print the page: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	in, out := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.pdf")
	if err := os.WriteFile(in, page, 0o600); err != nil {
		return nil, fmt.Errorf("print the page: %w", err)
	}
	args := []string{
		"--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--disable-extensions", "--user-data-dir=" + filepath.Join(dir, "profile"),
		"--no-pdf-header-footer", "--print-to-pdf=" + out,
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium has none as root, and the page has no script
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := exec.CommandContext(ctx, program, append(args, "file://"+in)...)
	c.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	err = c.Run()
	pdf, read := os.ReadFile(out)
	if err != nil || read != nil || len(pdf) == 0 || len(pdf) > maxPage {
		return nil, fmt.Errorf("print the page: %s failed: %w: %s", browser, errors.Join(err, read), words.Line(tail(said.String())))
	}
	return dated(pdf, at), nil
}

// tail is the end of what a browser said.
func tail(s string) string {
	const most = 300
	return s[max(0, len(s)-most):]
}

// made finds when a document says that it was made.
var made = regexp.MustCompile(`/(CreationDate|ModDate) \(D:\d{14}[+-]\d\d'\d\d'?\)`)

// dated puts another instant in the place of those in which a document was made, of the
// same length, since a PDF counts its bytes.
func dated(pdf []byte, at time.Time) []byte {
	stamp := []byte(at.UTC().Format("20060102150405") + "+00'00'")
	return made.ReplaceAllFunc(pdf, func(found []byte) []byte {
		out := bytes.Clone(found)
		from := bytes.Index(out, []byte("(D:")) + len("(D:")
		copy(out[from:len(out)-1], stamp)
		return out
	})
}
