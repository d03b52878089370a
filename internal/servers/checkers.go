package servers

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Amtool runs Alertmanager's own tool and gives what it said, and whether it ended well.
func Amtool(t testing.TB, args ...string) (string, error) {
	t.Helper()
	return checker(t, "amtool", args)
}

// Promtool is Amtool for Prometheus's.
func Promtool(t testing.TB, args ...string) (string, error) {
	t.Helper()
	return checker(t, "promtool", args)
}

// checker runs a tool that comes with a packaged server.
func checker(t testing.TB, name string, args []string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), packaged(t, name), args...).CombinedOutput()
	return string(out), err
}

// Shellcheck is the path of shellcheck.
func Shellcheck(t testing.TB) string {
	t.Helper()
	return packaged(t, "shellcheck")
}

// Squawk is the path of squawk, which npm has for this machine's kind, or the PATH.
func Squawk(t testing.TB) string {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return packaged(t, "squawk")
	}
	return tool(t, filepath.Join("squawk", "node_modules", "@squawk-cli", "linux-x64", "bin", "squawk"))
}
