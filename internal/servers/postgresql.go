package servers

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgreSQLServer is a cluster of its own, without durability: a power cut
// would harm it, a killed client or server doesn't.
type PostgreSQLServer struct {
	*Server
	databases int
}

// PostgreSQL makes a new cluster and starts it. Its URL opens the database
// "postgres" as superuser; Database makes further, empty ones.
func PostgreSQL(t testing.TB) *PostgreSQLServer {
	t.Helper()
	bin := postgresBin(t)
	// Not t.TempDir: its parent is closed to the user who runs the server.
	dir, err := os.MkdirTemp("", "aftershock-postgresql-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	as := unprivileged(t, dir)
	s := &Server{t: t, Dir: dir, stop: syscall.SIGQUIT}
	data := filepath.Join(dir, "data")
	command := func(name string, args ...string) *exec.Cmd {
		cmd := program(filepath.Join(bin, name), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	initdb := command("initdb", "--pgdata="+data, "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("make a PostgreSQL cluster in %s: %v: %s", data, err, out)
	}
	s.command = func(port int) *exec.Cmd {
		return command(
			"postgres", "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1",
			"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off",
			"-c", "max_connections=200", "-c", "shared_buffers=32MB",
		)
	}
	s.ready = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, s.URL)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	s.launch(func(port int) string {
		return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
	})
	return &PostgreSQLServer{Server: s}
}

// Database makes an empty database in the cluster and gives its URL.
func (s *PostgreSQLServer) Database() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		s.t.Fatalf("connect to %s: %v", s.URL, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	s.databases++
	name := fmt.Sprintf("test%d", s.databases)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		s.t.Fatalf("create the database %s: %v", name, err)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// postgresBin finds the newest installed server's programs.
func postgresBin(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		major := func(path string) int {
			n, _ := strconv.Atoi(strings.Split(path, "/")[4])
			return n
		}
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) }))
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	t.Fatal("find PostgreSQL's initdb: neither in /usr/lib/postgresql nor in the PATH: run make tools")
	return ""
}

// unprivileged gives dir to a user other than root, since PostgreSQL refuses
// to run as root; nil where the tests run as an ordinary user.
func unprivileged(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatalf("give %s to %s: %v", dir, name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	t.Fatal("start PostgreSQL: there is no user postgres or nobody to run it as")
	return nil
}
