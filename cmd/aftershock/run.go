package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/configs"
)

var runCommand = command{
	name:    "run",
	summary: "Run the daemon.",
	usage:   "run --config FILE [--data DIR]",
	example: "aftershock run --config configs/aftershock.example.yml --data /var/lib/aftershock",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		file := f.String("config", "", "the configuration `file`")
		data := f.String("data", "", "the state `directory`, instead of the configuration's")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			if *file == "" || len(args) > 0 {
				return exitUsage, usagef("--config is needed, and nothing besides")
			}
			return runDaemon(ctx, sh, *file, *data)
		}
	},
}

var checkConfigCommand = command{
	name:    "check-config",
	summary: "Check a configuration file and name every problem in it.",
	usage:   "check-config FILE",
	example: "aftershock check-config configs/aftershock.example.yml",
	define: func(*flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		return func(_ context.Context, sh shell, args []string) (int, error) {
			if len(args) != 1 {
				return exitUsage, usagef("name one configuration file")
			}
			err := configs.Check(args[0])
			var wrong *configs.Error
			if errors.As(err, &wrong) {
				for _, p := range wrong.Problems {
					fmt.Fprintf(sh.stderr, "%s: %s\n", args[0], p)
				}
				return exitUsage, nil
			}
			if err != nil {
				return exitUsage, err
			}
			_, err = fmt.Fprintf(sh.stdout, "%s is fine.\n", args[0])
			return exitOK, err
		}
	},
}

// runDaemon runs the daemon until ctx ends. SIGHUP reloads.
func runDaemon(ctx context.Context, sh shell, file, data string) (int, error) {
	cfg, err := configs.Load(file)
	if err != nil {
		return exitUsage, err
	}
	if data != "" {
		cfg.Data = data
	}
	log := newLog(sh.stderr, cfg.Log)
	// From here on a SIGHUP doesn't end the process any more.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	d, err := newDaemon(ctx, cfg, file, log)
	if err != nil {
		return exitRegression, err
	}
	if isTerminal(sh.stdout) { // nowhere that it would be kept
		if link := d.web.SignInOnce(time.Now()); link != "" {
			fmt.Fprintf(sh.stdout, "Sign in to the console, once and within the hour: %s\n", link)
		}
	}
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		for {
			select {
			case <-hup:
				if err := d.reload(); err != nil {
					log.WithError(err).Error("the configuration was not reloaded; nothing was changed")
				}
			case <-stopped:
				return
			}
		}
	}()
	// What is under way may take long to end; a second signal ends the process at
	// once, which the journal stands.
	again := context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt, syscall.SIGTERM) })
	defer again()
	if err := errors.Join(d.run(ctx), d.close()); err != nil {
		return exitRegression, err
	}
	log.Info("stopped in order")
	return exitOK, nil
}

// isTerminal says whether somebody looks at what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func newLog(w io.Writer, c configs.Log) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(w)
	if c.Format == "json" {
		log.SetFormatter(&logrus.JSONFormatter{})
	} else {
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	}
	setLevel(log, c)
	return log
}

func setLevel(log *logrus.Logger, c configs.Log) {
	if level, err := logrus.ParseLevel(c.Level); err == nil {
		log.SetLevel(level)
	}
}
