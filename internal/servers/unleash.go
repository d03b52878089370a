package servers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Tokens of a test's Unleash: of the admin API, and of the frontend API for the
// environment development.
const (
	UnleashAdmin    = "*:*.test-admin-b1946ac92492d234"
	UnleashFrontend = "default:development.test-frontend-591785b794601e21"
)

// Unleash starts an Unleash server on an empty PostgreSQL database, whose URL is
// given. It has the project default with the environments development and
// production.
func Unleash(t testing.TB, database string) *Server {
	t.Helper()
	script := filepath.Join(ToolsDir(), "unleash", "node_modules", "unleash-server", "dist", "server.js")
	if _, err := os.Stat(script); err != nil {
		t.Fatalf("find Unleash: no %s: run make tools", script)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("find Node: not in the PATH: run make tools")
	}
	s := &Server{t: t, Dir: t.TempDir(), stop: syscall.SIGTERM}
	s.command = func(port int) *exec.Cmd {
		cmd := program(node, script)
		cmd.Dir = s.Dir
		cmd.Env = append(
			os.Environ(), "DATABASE_URL="+database, "DATABASE_SSL=false", "HTTP_HOST=127.0.0.1", "PORT="+strconv.Itoa(port),
			"INIT_ADMIN_API_TOKENS="+UnleashAdmin, "INIT_FRONTEND_API_TOKENS="+UnleashFrontend,
			"CHECK_VERSION=false", "SEND_TELEMETRY=false", "LOG_LEVEL=error", "NODE_ENV=production",
		)
		return cmd
	}
	s.ready = s.answers("/health")
	s.launch(loopback)
	return s
}
