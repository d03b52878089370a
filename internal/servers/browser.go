package servers

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// Chromium is one headless browser for a test; each NewContext of it is a tab.
func Chromium(t testing.TB) context.Context {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(packaged(t, "chromium")), chromedp.UserDataDir(filepath.Join(t.TempDir(), "profile")),
	}
	for _, f := range []string{
		"headless", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync",
	} {
		options = append(options, chromedp.Flag(f, true))
	}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // the tabs share this browser
		t.Fatal(err)
	}
	return ctx
}

// Axe is the source of axe-core, which finds what keeps people from using a page.
func Axe(t testing.TB) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(ToolsDir(), "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("find axe-core: %v: run make tools", err)
	}
	return string(source)
}
