package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"aftershock/web/access"
)

var accessCommand = command{
	name:    "access",
	summary: "Let people and programs in by tokens of their own.",
	usage:   "access add NAME --role viewer|on-call|admin [--expires 2160h] | access list | access remove NAME   (--file tokens.yml)",
	example: "aftershock access add anna --role on-call --expires 2160h --file /etc/aftershock/tokens.yml",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		file := f.String("file", "tokens.yml", "the `file` that web.access.tokens_file names")
		role := f.String("role", "", "what the token may do: `viewer`, on-call or admin")
		expires := f.Duration("expires", 0, "how long the token holds, as 2160h; for ever if left out")
		format := f.String("format", "text", "the output's `form`: text or json")
		return func(_ context.Context, sh shell, args []string) (int, error) {
			if err := oneOf(*format, "text", "json"); err != nil {
				return exitUsage, err
			}
			switch {
			case len(args) == 2 && args[0] == "add":
				return addAccess(sh, *file, args[1], access.Role(*role), *expires)
			case len(args) == 1 && args[0] == "list":
				return listAccess(sh, *file, *format)
			case len(args) == 2 && args[0] == "remove":
				if err := access.Remove(*file, args[1]); err != nil {
					return exitUsage, err
				}
				fmt.Fprintf(sh.stdout, "%s is let in no more; a running daemon knows at once\n", args[1])
				return exitOK, nil
			}
			return exitUsage, usagef("say what to do: add NAME --role ROLE, list, or remove NAME")
		}
	},
}

func addAccess(sh shell, file, name string, role access.Role, expires time.Duration) (int, error) {
	if !role.Valid() {
		return exitUsage, usagef("--role %.20q is none of viewer, on-call, admin", role)
	}
	if expires < 0 {
		return exitUsage, usagef("--expires %s is over already", expires)
	}
	now := time.Now().UTC().Truncate(time.Second)
	t := access.Token{Name: name, Role: role, Created: now}
	if expires > 0 {
		t.Expires = now.Add(expires)
	}
	secret, err := access.Add(file, t)
	if err != nil {
		return exitUsage, err
	}
	// The token alone on stdout, so that a script can take it.
	fmt.Fprintln(sh.stdout, secret)
	fmt.Fprintf(sh.stderr, "This is the token of %s (%s). It can't be shown again: %s keeps its digest alone.\n", name, role, file)
	return exitOK, nil
}

func listAccess(sh shell, file, format string) (int, error) {
	all, err := access.Read(file)
	if err != nil {
		return exitUsage, err
	}
	if format == "json" {
		return exitOK, printJSON(sh.stdout, all)
	}
	rows := [][]string{{"NAME", "ROLE", "CREATED", "EXPIRES"}}
	for _, t := range all {
		until := "never"
		if !t.Expires.IsZero() {
			until = at(t.Expires)
		}
		rows = append(rows, []string{t.Name, string(t.Role), at(t.Created), until})
	}
	return exitOK, table(sh.stdout, rows)
}
