package migrations

import (
	"os/exec"
	"strings"
	"testing"

	"aftershock/internal/servers"

	"github.com/google/go-cmp/cmp"
)

// psql echoes each statement as it sends it: it and we split alike.
func TestSplitAsPsql(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql isn't installed")
	}
	url := servers.PostgreSQL(t).Database()
	for _, sql := range []string{
		"SELECT 1; SELECT 2;",
		"SELECT ';'; SELECT 'it''s;'; SELECT E'a\\';b';",
		"SELECT $$ ; $$; SELECT $a$ $$ ; $b$ ; $a$;",
		"SELECT 1 /* ; /* ; */ ; */; SELECT 2 -- ;\n;",
		"SELECT \"a;\"\"b\" FROM (SELECT 1 AS \"a;\"\"b\") x;",
		"CREATE FUNCTION z() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 ELSE 2 END; END; SELECT z();",
		"SELECT (1;2); SELECT 3;",
		"SELECT a$b$ FROM (SELECT 1 AS a$b$) y; SELECT 4;",
		"DO $$BEGIN PERFORM 1; END$$; SELECT 5",
	} {
		cmd := exec.CommandContext(t.Context(), psql, "-X", "-q", "-At", "--echo-queries", "-f", "-", url)
		cmd.Stdin = strings.NewReader(sql)
		cmd.Stderr = nil
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("psql: %v", err)
		}
		all, problem := split(sql, 1, false)
		if problem != "" {
			t.Errorf("%q: %s", sql, problem)
		}
		// Each is found in the echo, behind the one before; and nothing of the echo is a statement more.
		rest, found := string(out), 0
		for _, s := range all {
			head, _, _ := strings.Cut(s.raw, "\n")
			i := strings.Index(rest, head)
			if i < 0 {
				t.Errorf("%q: psql doesn't send %q, but:\n%s", sql, s.raw, out)
				break
			}
			rest = rest[i+len(head):]
			found++
		}
		heads := 0
		for l := range strings.SplitSeq(string(out), "\n") {
			if strings.HasPrefix(l, "SELECT") || strings.HasPrefix(l, "CREATE") || strings.HasPrefix(l, "DO ") {
				heads++
			}
		}
		if d := cmp.Diff(heads, found); d != "" {
			t.Errorf("%q: statements, -psql +ours: %s\n%s", sql, d, out)
		}
	}
}
