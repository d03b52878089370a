package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/alerts"
	"aftershock/configs"
)

// testReceiver sends a sample to a receiver of the file.
func testReceiver(ctx context.Context, sh shell, name, file string, resolve bool) (int, error) {
	cfg, err := configs.Load(file)
	if err != nil {
		return exitUsage, err
	}
	log := logrus.New()
	log.SetOutput(sh.stderr)
	sender, err := alerts.New(cfg.Alerts, log, nil)
	if err != nil {
		return exitUsage, err
	}
	defer sender.Close()
	if !slices.Contains(sender.Receivers(), name) {
		return exitUsage, fmt.Errorf("test a receiver: %s has none with the name %q, but %s", file, name, strings.Join(sender.Receivers(), ", "))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := sender.Test(ctx, name, time.Now(), resolve); err != nil {
		return exitUsage, err
	}
	what := "a sample; --resolve sends its end"
	if resolve {
		what = "the end of the sample"
	}
	_, err = fmt.Fprintf(sh.stdout, "%s took %s.\n", name, what)
	return exitOK, err
}
