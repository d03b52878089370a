package servers

import (
	"os/exec"
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
