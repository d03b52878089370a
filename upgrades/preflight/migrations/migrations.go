// Package migrations reads SQL that an upgrade would run against PostgreSQL or MySQL, and says which tables its
// statements lock and for how long, what of it can't be taken back, and how it is done without harm. It runs nothing but,
// where it is told to, squawk.
//
// Statements are split as the database's own client splits them and told by their first words; expressions are
// not understood. A statement that isn't known gives no lock and no fault.
package migrations

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"aftershock/detector"
)

// maxFindings of one text; what is over is told in a note.
const maxFindings = 300

// Text is SQL to look at: a file, or what a script hands to a client.
type Text struct {
	// File is the path within the package that it stands in.
	File string
	// Line is the file's line that SQL begins in, from 1; 0 for 1.
	Line int
	SQL  string
	// Dialect is PostgreSQL or MySQL where it is known; otherwise it is told by the text, the path, or
	// Server.Dialect, in this order.
	Dialect string
	// Run tells that a script of the upgrade has it run, whatever its name and directives for tools say.
	Run bool
	// Single tells that all of it is run as one transaction (psql -1).
	Single bool
}

// Server is what is known of the database. The zero value knows nothing.
type Server struct {
	Dialect string
	// Version is the server's as its own number: 150004 for PostgreSQL 15.4, 80036 for MySQL 8.0.36, 101119 for
	// MariaDB 10.11.19; 0 where it isn't known. ServerOf gives it.
	Version int
	// Tables are the tables by name, with their schema where it isn't "public"; one that isn't here has a size
	// that isn't known, and its locks are risks.
	Tables map[string]Table
	// Squawk is the path of the program squawk, the only one that is ever run; empty where it isn't to be asked. It is asked
	// about PostgreSQL's statements.
	Squawk string
}

// Check looks at the migrations of one package, in the order that they would run in, and gives what is found, ordered by file and line.
// A table that one of them creates is new to all that follow: nobody waits for it. What can't be read is a
// finding.
func Check(ctx context.Context, all []Text, server Server) []detector.Finding {
	c := &checker{server: server, created: map[string]bool{}, proven: map[string]bool{}}
	for _, t := range all {
		if ctx.Err() != nil {
			c.unreadable(detector.Place{File: t.File, Line: t.Line}, "the time for reading migrations was up before this one")
			break
		}
		c.text(ctx, t)
	}
	if c.unknown.File != "" {
		c.findings = append(c.findings, detector.Finding{
			Rule: "migrations/dialect", Severity: detector.Note, Place: c.unknown, What: "whether this is for PostgreSQL or MySQL isn't known: locks aren't told",
			Why: "the two lock differently", Do: "give an inventory with the database, or name it in the file's path",
		})
	}
	slices.SortStableFunc(c.findings, func(a, b detector.Finding) int {
		return cmp.Or(cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return c.findings
}

type checker struct {
	server   Server
	created  map[string]bool // tables that the migrations made themselves
	proven   map[string]bool // "table.column" that a validated CHECK proves not null
	unknown  detector.Place
	findings []detector.Finding
	squawked int // texts that squawk was asked about
}

func (c *checker) unreadable(at detector.Place, what string) {
	c.findings = append(c.findings, detector.Finding{
		Rule: "migrations/unreadable", Severity: detector.Risk, Place: at, What: "can't be checked: " + what,
		Why: "nothing is known of what this would lock or lose", Do: "read it by hand, or have it mended",
	})
}

// run is what is known while one text is gone through.
type run struct {
	t       Text
	dialect string
	tool    string // migration tool, "" for none
	open    bool   // in a transaction
	since   int    // line that it began in; 0 where the tool or the client begins it
	wraps   bool   // the tool or the client makes one transaction of all
	sure    bool   // that it does, and doesn't find out by itself when it must not

	limited bool // lock_timeout, or lock_wait_timeout, is set
	guarded bool // a migration lock is held
	ddl     int  // line of the first change of a table that is in use
	waits   int  // line of the first lock that others wait behind
	waitsOn []string
	held    []held
	told    bool // of the long transaction
	undo    []detector.Reversion
	enums   map[string]bool
	first   int // index of the text's first finding
}

// held is a lock that the transaction holds to its end.
type held struct {
	table string
	line  int
}

var (
	myWords = regexp.MustCompile("(?i)`|\\bENGINE\\s*=|\\bAUTO_INCREMENT\\b|^\\s*DELIMITER\\s|\\bUNSIGNED\\b|\\bALGORITHM\\s*=|\\bGET_LOCK\\s*\\(|\\bCHANGE\\s+COLUMN\\b|\\bMODIFY\\s+COLUMN\\b")
	pgWords = regexp.MustCompile(`(?i)\$\$|::|\bCONCURRENTLY\b|\b(?:BIG)?SERIAL\b|\bTIMESTAMPTZ\b|\bJSONB\b|\bpg_[a-z_]+|\block_timeout\b|\bNOT\s+VALID\b|\bplpgsql\b|\bALTER\s+COLUMN\s+\S+\s+(?:SET|TYPE|DROP)\b|\bVACUUM\b|^\\[a-z]`)
	myPath  = regexp.MustCompile(`(?i)(?:^|[/._-])(?:mysql|mariadb)(?:[/._-]|$)`)
	pgPath  = regexp.MustCompile(`(?i)(?:^|[/._-])(?:pg|postgres|postgresql|pgsql|psql)(?:[/._-]|$)`)
)

// dialectOf tells a text's dialect; "" where nothing does.
func dialectOf(t Text, server string) string {
	if t.Dialect != "" {
		return t.Dialect
	}
	head := t.SQL[:min(len(t.SQL), 256<<10)]
	my, pg := myWords.MatchString(head), pgWords.MatchString(head)
	switch {
	case my && !pg:
		return MySQL
	case pg && !my:
		return PostgreSQL
	case myPath.MatchString(t.File):
		return MySQL
	case pgPath.MatchString(t.File):
		return PostgreSQL
	}
	return server
}

var (
	flyway  = regexp.MustCompile(`^[VR](?:\d[\d._]*)?__.*\.sql$`)
	undoing = regexp.MustCompile(`(?i)^U\d[\d._]*__.*\.sql$|\.down\.sql$|^down\.sql$|(?:^|[._-])rollback\.sql$|^revert\.sql$`)
	versed  = regexp.MustCompile(`(?i)^\d+_.*\.up\.sql$`)
	// tables are those in which tools note what ran, each behind a lock of its own.
	tables = regexp.MustCompile(`(?i)\b(?:alembic_version|flyway_schema_history|schema_migrations|databasechangelog(?:lock)?|goose_db_version|__efmigrationshistory|django_migrations|knex_migrations(?:_lock)?|_prisma_migrations|gorp_migrations)\b`)
)

// toolOf tells the migration tool that runs a file, and whether it makes a transaction of all.
func toolOf(t Text, all []statement) (tool string, wraps, sure bool) {
	base := path.Base(t.File)
	for _, s := range all {
		if s.tool != "" {
			return s.tool, !s.plain, !s.plain
		}
	}
	switch {
	case flyway.MatchString(base):
		return "flyway", true, false
	case versed.MatchString(base):
		return "golang-migrate", len(all) > 1, false
	case base == "migration.sql" && path.Dir(t.File) != ".":
		return "prisma", false, false
	case tables.MatchString(t.SQL):
		return "a migration tool", false, false
	}
	return "", false, false
}

func (c *checker) text(ctx context.Context, t Text) {
	t.Line = max(t.Line, 1)
	at := detector.Place{File: t.File, Line: t.Line}
	switch {
	case len(t.SQL) > MaxText:
		c.unreadable(at, fmt.Sprintf("%d bytes are more than the %d of a migration", len(t.SQL), MaxText))
		return
	case !utf8.ValidString(t.SQL) || strings.IndexByte(t.SQL, 0) >= 0:
		c.unreadable(at, "it isn't text in UTF-8")
		return
	case undoing.MatchString(path.Base(t.File)) && !t.Run:
		return // the tool's way back, not the upgrade
	}
	dialect := dialectOf(t, c.server.Dialect)
	l := lex(t.SQL, t.Line, dialect == MySQL)
	all, problem, line := l.all, l.problem, l.at
	if problem != "" {
		c.unreadable(detector.Place{File: t.File, Line: line}, problem)
	}
	r := &run{t: t, dialect: dialect, enums: map[string]bool{}, first: len(c.findings)}
	r.tool, r.wraps, r.sure = toolOf(t, all)
	if t.Single {
		r.wraps, r.sure = true, true
	}
	r.open = r.wraps && dialect != MySQL
	r.guarded = r.tool != ""
	for _, s := range all {
		if ctx.Err() != nil {
			c.unreadable(detector.Place{File: t.File, Line: s.line}, "the time for reading migrations was up here")
			return
		}
		if s.down && !t.Run {
			continue
		}
		if len(c.findings)-r.first > maxFindings {
			c.unreadable(detector.Place{File: t.File, Line: s.line}, fmt.Sprintf("there are more than %d findings; those after this line aren't told", maxFindings))
			break
		}
		c.statement(r, s)
	}
	if n := len(c.findings) - r.first; n > maxFindings+1 {
		c.findings = c.findings[:r.first+maxFindings]
		c.unreadable(at, fmt.Sprintf("there are more than %d findings; the rest isn't told", maxFindings))
	}
	c.commanded(r, l.commands)
	c.whole(r)
	if r.dialect == PostgreSQL && c.server.Squawk != "" {
		c.squawk(ctx, r, all)
	}
}
