package servers

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const nowhere = "route:\n  receiver: nowhere\nreceivers:\n- name: nowhere\n"

// AlertmanagerOptions says how the Alertmanager is set up.
type AlertmanagerOptions struct {
	// Config is the whole alertmanager.yml; empty: one receiver that sends
	// nothing.
	Config string
	// Flags are further command line flags.
	Flags []string
}

// Alertmanager starts a single Alertmanager without clustering.
func Alertmanager(t testing.TB, o AlertmanagerOptions) *Server {
	t.Helper()
	path := packaged(t, "prometheus-alertmanager", "alertmanager")
	if o.Config == "" {
		o.Config = nowhere
	}
	s := &Server{t: t, Dir: t.TempDir(), stop: syscall.SIGTERM}
	config := filepath.Join(s.Dir, "alertmanager.yml")
	write(t, config, o.Config)
	s.command = func(port int) *exec.Cmd {
		flags := []string{
			"--config.file=" + config, "--storage.path=" + filepath.Join(s.Dir, "data"),
			"--cluster.listen-address=", "--web.listen-address=" + loopback(port)[len("http://"):],
		}
		return program(path, append(flags, o.Flags...)...)
	}
	s.ready = s.answers("/-/ready")
	s.launch(loopback)
	return s
}
