package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to damage a journal

	"aftershock/detector"
)

// refusal is what a daemon says that can't start: one line, and a status.
func refusal(t *testing.T, p *process) string {
	t.Helper()
	if got := p.status(20 * time.Second); got == 0 {
		t.Errorf("exit status: got 0, want another")
	}
	said := p.log.lines("aftershock run: ")
	if all := len(p.log.lines("")) - len(p.log.lines("level=info")); len(said) != 1 || all != 1 {
		t.Fatalf("got %d lines, want one:\n%s", all, p.log)
	}
	return said[0]
}

func TestDaemonRefusesToStart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	plain := config("", f.scraped(), "[{name: log, log: {}}]")
	fresh := func(t *testing.T, text string) *home {
		h := newHome(t, text)
		h.file("flags.json", definitions)
		return h
	}
	t.Run("two daemons on one directory", func(t *testing.T) {
		t.Parallel()
		h := fresh(t, plain)
		p := h.start()
		listen := filepath.Join(h.data, "listen")
		kept, _ := os.ReadFile(listen)
		second := h.spawn()
		if said := refusal(t, second); !strings.Contains(said, h.data) || !strings.Contains(said, fmt.Sprintf("in use by process %d", p.cmd.Process.Pid)) {
			t.Errorf("the second says %q, want the directory and who holds it", said)
		}
		_ = os.WriteFile(listen, kept, 0o644) // spawn removed it
		if err := p.get("/-/ready", nil); err != nil {
			t.Errorf("the first after that: %v", err)
		}
		p.stop()
	})
	t.Run("port taken", func(t *testing.T) {
		t.Parallel()
		addr := f.instances[0].server.Listener.Addr().String()
		h := fresh(t, strings.Replace(plain, "127.0.0.1:0", addr, 1))
		if said := refusal(t, h.spawn()); !strings.Contains(said, "web.listen "+addr) {
			t.Errorf("says %q, want the address and its setting", said)
		}
	})
	t.Run("data is a file", func(t *testing.T) {
		t.Parallel()
		h := fresh(t, plain)
		h.data = h.file("data-file", "")
		if said := refusal(t, h.spawn()); !strings.Contains(said, h.data) {
			t.Errorf("says %q, want the path", said)
		}
	})
	t.Run("data can't be made", func(t *testing.T) {
		t.Parallel()
		h := fresh(t, plain)
		h.data = "/proc/aftershock/data" // not even root can
		if said := refusal(t, h.spawn()); !strings.Contains(said, "data directory") || !strings.Contains(said, "/proc/aftershock") {
			t.Errorf("says %q, want what and where", said)
		}
	})
	t.Run("data can't be written", func(t *testing.T) {
		t.Parallel()
		h := fresh(t, plain)
		h.data = t.TempDir()
		h.wrap = func(c *exec.Cmd) {
			// Root may write everywhere, so another user has to be it.
			if os.Getuid() == 0 {
				c.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
				c.Path, c.Args[0] = exposed(t, c.Path), exposed(t, c.Path)
				c.Args[3] = exposed(t, h.config)
				flags, err := os.ReadFile(filepath.Join(filepath.Dir(h.config), "flags.json"))
				if err == nil {
					err = os.WriteFile(filepath.Join(filepath.Dir(c.Args[3]), "flags.json"), flags, 0o644)
				}
				if err != nil {
					t.Error(err)
				}
			} else if err := os.Chmod(h.data, 0o500); err != nil {
				t.Fatal(err)
			}
		}
		if said := refusal(t, h.spawn()); !strings.Contains(said, h.data) || !strings.Contains(said, "permission denied") {
			t.Errorf("says %q, want the directory and why", said)
		}
	})
	t.Run("no such configuration", func(t *testing.T) {
		t.Parallel()
		h := fresh(t, plain)
		h.config += ".missing"
		p := h.spawn()
		if said := refusal(t, p); !strings.Contains(said, h.config) || p.cmd.ProcessState.ExitCode() != exitUsage {
			t.Errorf("says %q with status %d, want the path and status 2", said, p.cmd.ProcessState.ExitCode())
		}
	})
	t.Run("journal unreachable", func(t *testing.T) {
		t.Parallel()
		addr := closedPort(t)
		h := fresh(t, config("postgres://aftershock:secret@"+addr+"/x?sslmode=disable&connect_timeout=3", f.scraped(), "[]"))
		if said := refusal(t, h.spawn()); !strings.Contains(said, addr[strings.LastIndex(addr, ":")+1:]) || strings.Contains(said, "secret") {
			t.Errorf("says %q, want the address and no password", said)
		}
	})
}

// exposed copies a file to where every user can read it.
func exposed(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "aftershock-exposed-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b, err := os.ReadFile(path)
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, filepath.Base(path))
}

// A state that can't be read costs the baseline, and nothing else.
func TestDaemonLearnsAnewFromACorruptState(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	h := newHome(t, config("", f.scraped(), "[]"))
	h.file("flags.json", definitions)
	p := h.start()
	p.watching(4)
	p.stop()
	db, err := sql.Open("sqlite", filepath.Join(h.data, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []string{
		`UPDATE judge SET state = x'00'`,
		`UPDATE judge SET state = substr(state, 1, length(state)/2)`,
		`UPDATE judge SET state = CAST(substr(state, 1, 40) || randomblob(4000) || substr(state, 4041) AS BLOB)`,
	} {
		r, err := db.ExecContext(t.Context(), damage)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := r.RowsAffected(); n != 1 {
			t.Fatalf("%s: changed %d rows, want 1", damage, n)
		}
		p = h.start()
		p.watching(4)
		if got := p.log.lines("level=warning", "the saved state can't be used; learning the baseline anew"); len(got) != 1 {
			t.Errorf("%s: the log says %q, want one warning", damage, got)
		}
		p.stop()
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// The data directory is on a disk of its own that fills up and empties again.
func TestDaemonOnAFullDisk(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	h := newHome(t, config("", strings.Replace(f.scraped(), "interval: 1s", "interval: 1s, min_free: 1MiB", 1), "[]"))
	h.file("flags.json", definitions)
	if err := os.MkdirAll(h.data, 0o755); err != nil {
		t.Fatal(err)
	}
	h.wrap = func(c *exec.Cmd) {
		// A mount namespace of its own, which ends with the daemon.
		c.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
		if os.Getuid() != 0 {
			c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		script := `mount --make-rprivate / && mount -t tmpfs -o size=48m aftershock "$0" && exec "$@"`
		c.Args = append([]string{"sh", "-c", script, h.data, c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
	}
	p := h.spawn()
	inside := fmt.Sprintf("/proc/%d/root%s", p.cmd.Process.Pid, h.data)
	wait(t, 20*time.Second, "the daemon on its small disk (mount in a namespace must be allowed)", func() error {
		select {
		case <-p.exited:
			t.Fatalf("ended at once: %s", p.log)
		default:
		}
		return p.find(inside)
	})
	p.watching(4)
	ballast := filepath.Join(inside, "ballast")
	fill(t, ballast)
	wait(t, 20*time.Second, "a word on the full disk", func() error {
		if len(p.log.lines("level=error")) == 0 && len(p.log.lines("level=warning")) == 0 {
			return errors.New("none")
		}
		return nil
	})
	upgrade := func(id string) error {
		now := time.Now().UTC()
		return p.do("POST", "/api/v1/upgrades", detector.Upgrade{ID: id, StartedAt: now, Binaries: []detector.Binary{{Name: "x", Selector: map[string]string{"service": "catalog"}}}}, nil)
	}
	if err := upgrade("on-a-full-disk"); err != nil {
		t.Logf("an upgrade recorded on the full disk: %v", err)
	}
	time.Sleep(6 * time.Second)
	if err := p.get("/-/healthy", nil); err != nil {
		t.Fatalf("on a full disk: %v", err)
	}
	full := must[statusAnswer](p, "/api/v1/status")
	if n := len(p.log.lines("level=error")) + len(p.log.lines("level=warning")); n > 12 {
		t.Errorf("%d lines about one full disk:\n%s", n, p.log)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	wait(t, 30*time.Second, "the daemon to go on", func() error {
		s := must[statusAnswer](p, "/api/v1/status")
		if s.Watch.Blind != "" || time.Since(s.Watch.Time) > 5*time.Second {
			return fmt.Errorf("status %+v (and %+v while full)", s, full)
		}
		return nil
	})
	if err := upgrade("with-room-again"); err != nil {
		t.Error(err)
	}
	wait(t, 10*time.Second, "both upgrades in the journal", func() error {
		return errors.Join(p.get("/api/v1/upgrades/with-room-again", nil), p.get("/api/v1/upgrades/on-a-full-disk", nil))
	})
	p.stop()
}

// fill writes until nothing fits any more.
func fill(t *testing.T, path string) {
	t.Helper()
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for size := 1 << 20; size >= 512; size /= 2 {
		block := make([]byte, size)
		for err = nil; err == nil; {
			_, err = w.Write(block)
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
}

// Exporters whose clocks are minutes off are counted by the daemon's own.
func TestDaemonWithExportersOffByMinutes(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.instances[0].offset, f.instances[1].offset, f.instances[2].offset = 7*time.Minute, -7*time.Minute, -48*time.Hour
	h := newHome(t, config("", f.scraped(), "[]"))
	h.file("flags.json", definitions)
	p := h.start()
	p.watching(4)
	time.Sleep(3 * time.Second)
	if s := must[statusAnswer](p, "/api/v1/status"); time.Since(s.Watch.Time) > 6*time.Second || s.Watch.Blind != "" {
		t.Errorf("status %+v, want steps of the present", s)
	}
	p.stop()
}
