package servers

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// MySQLServer is a server of MySQL or MariaDB of its own, without durability.
type MySQLServer struct {
	*Server
	databases int
}

// MySQL makes a new server of MySQL and starts it; its user root has no password. The test is left out where
// `make tools` couldn't have it, which Debian has in sid alone.
func MySQL(t testing.TB) *MySQLServer {
	t.Helper()
	program := filepath.Join(ToolsDir(), "mysql", "mysqld")
	if !executable(program) {
		t.Skipf("MySQL isn't in %s: run make tools, which fetches it from Debian sid", ToolsDir())
	}
	// Names aren't resolved, so localhost's root can't come by TCP.
	root := filepath.Join(t.TempDir(), "root.sql")
	write(t, root, "CREATE USER root@'127.0.0.1';\nGRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n")
	return mysqlServer(t, func(data string) []string {
		return []string{program, "--initialize-insecure", "--init-file=" + root, "--datadir=" + data, "--innodb-flush-method=nosync"}
	}, program, "--mysqlx=OFF", "--innodb-flush-method=nosync", "--skip-log-bin", "--innodb-redo-log-capacity=8M", "--secure-file-priv=")
}

// MariaDB makes a new server of MariaDB and starts it; its user root has no password.
func MariaDB(t testing.TB) *MySQLServer {
	t.Helper()
	program := "/usr/sbin/mariadbd" // not in everybody's PATH
	if !executable(program) {
		program = packaged(t, "mariadbd")
	}
	install := packaged(t, "mariadb-install-db")
	return mysqlServer(t, func(data string) []string {
		return []string{install, "--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"}
	}, program, "--no-defaults", "--innodb-flush-method=nosync", "--performance-schema=ON", "--performance-schema-instrument=wait/lock/metadata/sql/mdl=ON")
}

func mysqlServer(t testing.TB, install func(data string) []string, server string, options ...string) *MySQLServer {
	t.Helper()
	// Not t.TempDir: a socket's path may have 107 bytes.
	dir, err := os.MkdirTemp("", "aftershock-mysql-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data := filepath.Join(dir, "data")
	var as []string
	if os.Getuid() == 0 {
		as = []string{"--user=root"}
	}
	args := append(install(data), as...)
	if out, err := program(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("make a data directory in %s: %v: %s", data, err, out)
	}
	s := &MySQLServer{Server: &Server{t: t, Dir: dir, stop: syscall.SIGKILL}}
	s.command = func(port int) *exec.Cmd {
		all := append(options, "--datadir="+data, "--port="+strconv.Itoa(port), "--bind-address=127.0.0.1", "--socket="+filepath.Join(dir, "socket"),
			"--pid-file="+filepath.Join(dir, "pid"), "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--skip-name-resolve")
		return program(server, append(all, as...)...)
	}
	s.ready = func() error {
		pool, err := sql.Open("mysql", s.DSN(""))
		if err != nil {
			return err
		}
		defer pool.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return pool.PingContext(ctx)
	}
	s.launch(func(port int) string { return fmt.Sprintf("mysql://root@127.0.0.1:%d", port) })
	return s
}

// DSN is what Go's driver "mysql" opens a database by.
func (s *MySQLServer) DSN(database string) string {
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.DBName, c.Logger = "root", "tcp", fmt.Sprintf("127.0.0.1:%d", s.port), database, &mysql.NopLogger{}
	return c.FormatDSN()
}

// Database makes an empty database and gives its name.
func (s *MySQLServer) Database() string {
	s.t.Helper()
	s.databases++
	name := fmt.Sprintf("test%d", s.databases)
	pool, err := sql.Open("mysql", s.DSN(""))
	if err == nil {
		defer pool.Close()
		_, err = pool.ExecContext(context.Background(), "CREATE DATABASE "+name)
	}
	if err != nil {
		s.t.Fatalf("create the database %s: %v", name, err)
	}
	return name
}
