package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var demoCommand = command{
	name:    "demo",
	summary: "Show the whole product at work on a small fleet of real processes.",
	usage:   "demo [--hands-on] [--control] [--json] [--dir DIR]",
	example: "go run ./cmd/aftershock demo\ngo run ./cmd/aftershock demo --hands-on",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		handsOn := f.Bool("hands-on", false, "wait for you to toggle the feature, from the console or the command line, and stay until you press Enter or Ctrl-C")
		control := f.Bool("control", false, "upgrade to harmless builds only, and see that nothing is blamed")
		asJSON := f.Bool("json", false, "print the timeline as JSON")
		dir := f.String("dir", "", "the `directory` for everything that the demo writes (default: a new temporary one)")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			if len(args) > 0 {
				return exitUsage, usagef("unexpected argument %q", args[0])
			}
			story := []string{}
			for name, on := range map[string]bool{"--hands-on": *handsOn, "--control": *control, "--json": *asJSON} {
				if on {
					story = append(story, name)
				}
			}
			return runDemo(ctx, sh, *dir, story)
		}
	},
}

// runDemo builds the demo's director from the source and lets it tell the
// story with this very program as the daemon.
func runDemo(ctx context.Context, sh shell, dir string, args []string) (int, error) {
	source, err := sourceRoot()
	if err != nil {
		return exitUsage, err
	}
	self, err := os.Executable()
	if err != nil {
		return exitUsage, fmt.Errorf("find this program: %w", err)
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "aftershock-demo-"); err != nil {
			return exitUsage, fmt.Errorf("make the demo's directory: %w", err)
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return exitUsage, err
	}
	bin := filepath.Join(dir, "bin")
	fmt.Fprintf(sh.stderr, "Building the demo into %s (the first time takes a minute or two) …\n", dir)
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(bin, "story"), "./demo/story")
	build.Dir, build.Stderr = source, sh.stderr
	if err := build.Run(); err != nil {
		return exitUsage, fmt.Errorf("build the demo with go: %w", err)
	}
	args = append([]string{"--dir", dir, "--source", source, "--daemon", self}, args...)
	story := exec.CommandContext(ctx, filepath.Join(bin, "story"), args...)
	story.Stdin, story.Stdout, story.Stderr = sh.stdin, sh.stdout, sh.stderr
	// The director stops its fleet before it ends: it gets the time for it.
	story.Cancel = func() error { return story.Process.Signal(syscall.SIGTERM) }
	story.WaitDelay = 30 * time.Second
	err = story.Run()
	if err != nil && story.ProcessState != nil && story.ProcessState.Success() {
		return exitOK, nil // a Ctrl-C that ended it in order
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return exitRegression, fmt.Errorf("run the demo: %w", err)
	}
	return exitOK, nil
}

// sourceRoot finds the module's directory from the working directory upwards.
func sourceRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source: %w", err)
	}
	for {
		if isModule(filepath.Join(dir, "go.mod")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the demo builds its fleet from the source: run it in a checkout of aftershock, with Go installed")
		}
		dir = parent
	}
}

func isModule(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	return s.Scan() && strings.TrimSpace(s.Text()) == "module aftershock"
}
