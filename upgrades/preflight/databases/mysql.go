package databases

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"aftershock/upgrades/preflight/inventory"

	"github.com/go-sql-driver/mysql"
)

// maxProbed bounds the tables without a counted row that are asked whether they have one.
const maxProbed = 500

const myTables = `SELECT TABLE_NAME, COALESCE(TABLE_ROWS, 0), COALESCE(DATA_LENGTH, 0) + COALESCE(INDEX_LENGTH, 0)
FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE' ORDER BY 3 DESC, 1 LIMIT ?`

// myConfig is the driver's configuration for a source. Parameters are socket and tls (true, skip-verify, preferred,
// false), as the driver has them.
func myConfig(s Source) (*mysql.Config, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName = s.url.User.Username(), s.secret, strings.Trim(s.url.Path, "/")
	if c.Passwd == "" {
		c.Passwd = os.Getenv("MYSQL_PWD")
	}
	c.Net, c.Addr, c.TLSConfig = "tcp", net.JoinHostPort(s.url.Hostname(), cmp.Or(s.url.Port(), "3306")), "preferred"
	c.Timeout, c.ReadTimeout, c.WriteTimeout = timeConnect, timeAll, timeAll
	c.Logger = &mysql.NopLogger{}
	for key, values := range s.url.Query() {
		switch {
		case key == "socket":
			c.Net, c.Addr, c.TLSConfig = "unix", values[0], "false"
		case key == "tls" && (values[0] == "true" || values[0] == "false" || values[0] == "preferred" || values[0] == "skip-verify"):
			c.TLSConfig = values[0]
		case strings.Contains(strings.ToLower(key), "passw"):
		default:
			return nil, fmt.Errorf("the URL's parameter %.40q isn't known: there are socket=PATH and tls=true|skip-verify|preferred|false", key)
		}
	}
	if c.DBName == "" || c.User == "" {
		return nil, errors.New("the URL needs a user and a database: mysql://user@host/name")
	}
	return c, nil
}

// mysqlLike reads a database of MySQL or MariaDB. Rows are InnoDB's estimates.
func mysqlLike(ctx context.Context, s Source) (d inventory.Database, notes []string, err error) {
	c, err := myConfig(s)
	if err != nil {
		return d, nil, err
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return d, nil, err
	}
	pool := sql.OpenDB(connector)
	defer pool.Close()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return d, nil, err
	}
	defer conn.Close()
	if err := conn.QueryRowContext(ctx, "SELECT DATABASE(), VERSION()").Scan(&d.Name, &d.Version); err != nil {
		return d, nil, err
	}
	d.Engine = "mysql"
	settings := []string{
		fmt.Sprintf("SET SESSION max_execution_time = %d", timeQuestion.Milliseconds()), "SET SESSION information_schema_stats_expiry = 0",
	}
	if strings.Contains(strings.ToLower(d.Version), "mariadb") {
		d.Engine = "mariadb"
		settings = []string{fmt.Sprintf("SET SESSION max_statement_time = %.0f", timeQuestion.Seconds())}
	} else if strings.HasPrefix(d.Version, "5.") {
		settings = settings[:1] // 5.7 keeps no statistics apart
	}
	d.Version, _, _ = strings.Cut(d.Version, "-") // "10.11.6-MariaDB-0+deb12u1"
	for _, set := range append(settings, fmt.Sprintf("SET SESSION lock_wait_timeout = %.0f", timeLock.Seconds()), "START TRANSACTION READ ONLY") {
		if _, err := conn.ExecContext(ctx, set); err != nil {
			return d, nil, err
		}
	}
	all, err := myRows(ctx, conn)
	if err != nil {
		return d, nil, err
	}
	probe(ctx, conn, all)
	return d, append(notes, fill(&d, all)...), nil
}

func myRows(ctx context.Context, conn *sql.Conn) ([]row, error) {
	found, err := conn.QueryContext(ctx, myTables, maxTables+1)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []row
	for found.Next() && len(all) <= maxTables {
		var r row
		if err := found.Scan(&r.name, &r.rows, &r.bytes); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, found.Err()
}

// probe asks tables of which no row is counted whether they have one: an empty table takes a page, too, and a count may
// be old. Where it isn't answered, the rows aren't known.
func probe(ctx context.Context, conn *sql.Conn, all []row) {
	asked := 0
	for i := range all {
		if all[i].rows > 0 {
			continue
		}
		all[i].rows = -1
		if asked++; asked > maxProbed {
			continue
		}
		one := 0
		switch err := conn.QueryRowContext(ctx, "SELECT 1 FROM `"+strings.ReplaceAll(all[i].name, "`", "``")+"` LIMIT 1").Scan(&one); {
		case errors.Is(err, sql.ErrNoRows):
			all[i].rows, all[i].bytes = 0, 0
		case err != nil && ctx.Err() != nil:
			return
		}
	}
}
