// Package databases reads from a running database what an inventory has of it: engine, version, and the rows and
// sizes of its tables. It asks the catalogue alone, in a read-only transaction with a time limit, and changes nothing.
package databases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"aftershock/upgrades/preflight/inventory"
)

// Bounds of reading one database.
const (
	maxTables    = 5000
	maxFile      = 4 << 10          // bytes of a file with a URL
	timeAll      = 30 * time.Second // for a database as a whole
	timeConnect  = 10 * time.Second
	timeQuestion = 10 * time.Second // for one statement
	timeLock     = time.Second      // for a lock that a size needs
)

// Source is where a database is found.
type Source struct {
	url    *url.URL
	secret string // a password in the URL, which no message may have
}

// engines are the schemes of URLs that are known.
var engines = map[string]func(context.Context, Source) (inventory.Database, []string, error){
	"postgres": postgresql, "postgresql": postgresql, "mysql": mysqlLike, "mariadb": mysqlLike,
}

// Parse reads a source: a URL (postgres://user@host:port/name, mysql://user@host:port/name), or the path of a file that
// has one in its only line. A password is taken from the file alone, which nobody else may read, or from where the
// database's own clients have it: PGPASSWORD and ~/.pgpass, MYSQL_PWD. The error never has the password.
func Parse(text string) (Source, error) {
	if strings.Contains(text, "://") {
		s, err := parse(text, "the URL of a database")
		if err == nil && s.secret != "" {
			err = fmt.Errorf("the URL of the database at %s has a password, which every user of this machine can see: put the URL into a file, or the password into PGPASSWORD or MYSQL_PWD", s.url.Host)
		}
		return s, err
	}
	f, err := os.Open(text)
	if errors.Is(err, fs.ErrNotExist) { // without the text, which may be a connection string with a password
		return Source{}, errors.New("a database is given as postgres://user@host:port/name, as mysql://user@host:port/name, or as a file that has such a URL: what was given is no URL, and there is no such file")
	}
	if err != nil {
		return Source{}, fmt.Errorf("read the URL of a database: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	}
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	if err != nil {
		return Source{}, fmt.Errorf("read the URL of a database in %s: %w", text, err)
	}
	s, err := parse(strings.TrimSpace(string(data)), "the file "+text)
	if err == nil && s.secret != "" && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("the file %s has a password and can be read by others: chmod 600 it", text)
	}
	return s, err
}

// parse reads a URL; what stands for it in errors, which have nothing of the text.
func parse(text, what string) (Source, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" && u.Path == "" || u.Opaque != "" {
		return Source{}, fmt.Errorf("%s can't be read: want postgres://user@host:port/name or mysql://user@host:port/name", what)
	}
	if engines[u.Scheme] == nil {
		return Source{}, fmt.Errorf("%s is of %.20q: want postgres:// or mysql://", what, u.Scheme)
	}
	s := Source{url: u}
	s.secret, _ = u.User.Password()
	for key, values := range u.Query() {
		if strings.Contains(strings.ToLower(key), "passw") && len(values) > 0 {
			s.secret = values[0]
		}
	}
	return s, nil
}

// String names the source without its password.
func (s Source) String() string { return s.url.Scheme + "://" + s.url.Host + s.url.EscapedPath() }

// Take reads a database. Notes say what of it isn't as exact as it seems. The error is one line, without the
// password.
func Take(ctx context.Context, s Source) (inventory.Database, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeAll)
	defer cancel()
	d, notes, err := engines[s.url.Scheme](ctx, s)
	if err != nil {
		return inventory.Database{}, nil, fmt.Errorf("read the tables of %s: %s", s, s.clean(err))
	}
	slices.SortFunc(d.Tables, func(a, b inventory.Table) int { return strings.Compare(a.Name, b.Name) })
	return d, notes, nil
}

// clean gives an error's text in one line, without the password.
func (s Source) clean(err error) string {
	const most = 300
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, secret := range []string{s.secret, url.QueryEscape(s.secret), url.PathEscape(s.secret), os.Getenv("PGPASSWORD"), os.Getenv("MYSQL_PWD")} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// row is what a catalogue says of one table; rows is below 0 where they aren't known.
type row struct {
	name        string
	rows, bytes int64
}

// fill puts the rows into a database, and tells of what is left out or isn't known.
func fill(d *inventory.Database, all []row) (notes []string) {
	unknown := 0
	for i, r := range all {
		if i == maxTables {
			notes = append(notes, fmt.Sprintf("database %s: it has more than %d tables, the largest were taken", d.Name, maxTables))
			break
		}
		t := inventory.Table{Name: r.name, Bytes: &r.bytes}
		if r.rows >= 0 {
			t.Rows = &r.rows
		} else {
			unknown++
		}
		d.Tables = append(d.Tables, t)
	}
	if unknown > 0 {
		notes = append(notes, fmt.Sprintf("database %s: the rows of %d tables aren't known to it: ANALYZE them", d.Name, unknown))
	}
	if len(all) == 0 {
		notes = append(notes, fmt.Sprintf("database %s: it has no table that this user sees", d.Name))
	}
	return notes
}
