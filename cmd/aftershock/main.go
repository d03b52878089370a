// Command aftershock watches what an upgrade does to a running system.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
)

// version is set at build time.
var version = "dev"

// Exit statuses; see docs/commands.md.
const (
	exitOK         = 0
	exitRegression = 1
	exitDifferent  = 1
	exitUsage      = 2
	exitUndecided  = 3
	// exitInterrupted is what shells expect of a program ended by Ctrl-C.
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// shell is what a command may use of the world.
type shell struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// command is one subcommand. define adds its flags and answers what runs it.
type command struct {
	name, summary, usage, example string
	define                        func(f *flag.FlagSet) func(ctx context.Context, sh shell, args []string) (int, error)
}

func commands() []command {
	return []command{
		runCommand, demoCommand, checkConfigCommand, backtestCommand, assessCommand, diffCommand, configCommand,
		flagsCommand, upgradesCommand, alertsCommand, accessCommand, reportCommand, inspectCommand, inventoryCommand, rehearseCommand, versionCommand,
	}
}

// usageError is a mistake in how a command was called.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		printCommands(stdout)
		if len(args) == 0 {
			return exitUsage
		}
		return exitOK
	}
	if args[0] == "--version" {
		args[0] = "version"
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.call(ctx, args[1:], shell{stdin, stdout, stderr})
		}
	}
	fmt.Fprintf(stderr, "aftershock: there is no command %q; run aftershock --help\n", args[0])
	return exitUsage
}

func (c command) call(ctx context.Context, args []string, sh shell) int {
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	act := c.define(f)
	rest, err := parse(f, args)
	if errors.Is(err, flag.ErrHelp) {
		c.help(f, sh.stdout)
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(sh.stderr, "aftershock %s: %s; run aftershock %s --help\n", c.name, err, c.name)
		return exitUsage
	}
	status, err := act(ctx, sh, rest)
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintf(sh.stderr, "aftershock %s: interrupted\n", c.name)
		return exitInterrupted
	}
	if err != nil {
		text := strings.TrimSpace(err.Error())
		var usage usageError
		if errors.As(err, &usage) {
			text += "; run aftershock " + c.name + " --help"
		}
		fmt.Fprintf(sh.stderr, "aftershock %s: %s\n", c.name, text)
		if status == exitOK {
			status = exitUsage
		}
	}
	return status
}

// parse accepts flags before and after the other arguments.
func parse(f *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		args = f.Args()
		if len(args) == 0 {
			return rest, nil
		}
		rest = append(rest, args[0])
		args = args[1:]
	}
}

func (c command) help(f *flag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "%s\n\nUsage:\n  aftershock %s\n", c.summary, c.usage)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	any := false
	f.VisitAll(func(fl *flag.Flag) {
		if !any {
			fmt.Fprint(t, "\nFlags:\n")
			any = true
		}
		kind, text := flag.UnquoteUsage(fl)
		if kind != "" {
			kind = " " + kind
		}
		if fl.DefValue != "" && fl.DefValue != "false" && !strings.Contains(text, "(default ") {
			text += " (default " + fl.DefValue + ")"
		}
		fmt.Fprintf(t, "  --%s%s\t%s\n", fl.Name, kind, text)
	})
	t.Flush()
	fmt.Fprintf(w, "\nExample:\n  %s\n", strings.ReplaceAll(c.example, "\n", "\n  "))
}

func printCommands(w io.Writer) {
	fmt.Fprint(w, "Aftershock watches what an upgrade does to a running system.\n\nUsage:\n  aftershock COMMAND [flags]\n\nCommands:\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(t, "  %s\t%s\n", c.name, c.summary)
	}
	t.Flush()
	fmt.Fprint(w, "\nEach has --help with an example. To see it all at work:\n  aftershock demo\n")
}

var versionCommand = command{
	name: "version", summary: "Print the version.", usage: "version", example: "aftershock version",
	define: func(*flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		return func(_ context.Context, sh shell, _ []string) (int, error) {
			_, err := fmt.Fprintln(sh.stdout, "aftershock", version)
			return exitOK, err
		}
	},
}
