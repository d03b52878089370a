// Command story is the demo's director. It builds the fleet, starts the daemon
// and puts load on, rolls an upgrade through, watches the daemon find, blame and
// report what the upgrade did, toggles the feature, sees it recover, and tells at
// the end what happened when.
//
// Everything that it says happened was seen: at the daemon's public API, at a
// webhook receiver of its own, and in the services' own metrics. It writes into
// its own directory alone and leaves no process behind.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	dir, bin, source, daemon string
	handsOn, control, json   bool
	baseline, hold, watch    time.Duration
	tune                     time.Duration
	gap                      time.Duration // between two instances of the roll-out
	seed                     uint64
	rate                     float64
}

// passedOn is how long after an interrupt another one is the same.
const passedOn = time.Second

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run tells the story. It returns 0 when every step was seen, 1 when one wasn't,
// 2 on wrong usage and 130 when it was interrupted.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		fmt.Fprintln(stderr, "demo:", err)
		return 2
	}
	interrupted, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends the director at once; that aftershock demo passes the first one
	// on isn't one.
	context.AfterFunc(interrupted, func() {
		time.Sleep(passedOn)
		stop()
	})
	d := newDirector(o, newProgress(stderr))
	d.in = stdin
	err = d.tell(interrupted)
	if interrupted.Err() != nil && err != nil {
		fmt.Fprintf(stderr, "demo: interrupted; logs are in %s\n", filepath.Join(o.dir, "logs"))
		return 130
	}
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(d.result(err)); err != nil {
			fmt.Fprintln(stderr, "demo: write result:", err)
			return 1
		}
	} else if err := d.print(stdout); err != nil {
		fmt.Fprintln(stderr, "demo: write timeline:", err)
		return 1
	}
	if err != nil {
		fmt.Fprintf(stderr, "demo: not seen: %v\ndemo: logs are in %s\n", err, filepath.Join(o.dir, "logs"))
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.dir, "dir", "", "`directory` for everything that the demo writes (default: a new temporary one)")
	fs.StringVar(&o.bin, "bin", "", "`directory` of the fleet's programs, built when they aren't there (default: DIR/bin)")
	fs.StringVar(&o.source, "source", ".", "`directory` of the source, to build the programs from")
	fs.StringVar(&o.daemon, "daemon", "aftershock", "`path` of the daemon's program")
	fs.BoolVar(&o.handsOn, "hands-on", false, "wait for you to toggle the feature, and stay until you press Enter or Ctrl-C")
	fs.BoolVar(&o.control, "control", false, "upgrade to harmless builds only, and see that nothing is blamed")
	fs.BoolVar(&o.json, "json", false, "write the result as JSON")
	fs.DurationVar(&o.baseline, "baseline", 95*time.Second, "`time` to run before the upgrade")
	fs.DurationVar(&o.tune, "tune", 45*time.Second, "how `long` the daemon is asked for better constants")
	fs.DurationVar(&o.hold, "hold", 20*time.Second, "least `time` that the compromise has to hold")
	fs.DurationVar(&o.watch, "watch", 50*time.Second, "`time` to watch harmless builds")
	fs.DurationVar(&o.gap, "gap", 2500*time.Millisecond, "`time` between two instances of the roll-out")
	fs.Uint64Var(&o.seed, "seed", rand.Uint64N(1e6), "seed of the third party's weather")
	fs.Float64Var(&o.rate, "rate", 170, "customers' requests per second")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("read arguments: %q is not expected", fs.Arg(0))
	}
	if o.gap < 0 || o.baseline <= 0 || o.hold <= 0 || o.watch <= 0 || o.rate <= 0 {
		return o, errors.New("read arguments: --baseline, --hold, --watch, --gap and --rate must be above 0")
	}
	return o, o.place()
}

// place makes the directories and every path absolute, since the children run
// elsewhere.
func (o *options) place() (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "aftershock-demo-"); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return fmt.Errorf("find directory: %w", err)
	}
	if o.bin == "" {
		o.bin = filepath.Join(o.dir, "bin")
	}
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return fmt.Errorf("find programs: %w", err)
	}
	for _, sub := range []string{"", "data", "logs", "run", "hosts", "etc"} {
		if err := os.MkdirAll(filepath.Join(o.dir, sub), 0o755); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	return nil
}
