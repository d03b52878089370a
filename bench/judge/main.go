// Command judge runs simulated upgrades with known answers through the
// judgement, exactly as backtest does, and prints how it did, beside two rules
// that are in common use:
//
//	go run ./bench/judge --worlds 300
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"aftershock/bench/fleet"
)

func main() {
	worlds := flag.Int("worlds", 60, "how many upgrades")
	seed := flag.Uint64("seed", 1, "the first world's seed")
	format := flag.String("format", "text", "text or md")
	kinds := flag.String("kinds", "", "only these kinds, with commas between; default: all, half of the worlds guilty")
	workers := flag.Int("workers", 2, "worlds at a time")
	show := flag.Bool("show", false, "also list each wrong blame, miss, and wrong attribution")
	binaries := flag.Int("binaries", 0, "how many binaries change, if the fleet has so many; default: two to four")
	told := flag.String("covariates", "graph,builds", "what telemetry tells beside the indicators: graph, first-attempts, builds")
	studied := flag.Bool("attribution", false, "measure attribution alone, so many worlds of each sort: more binaries, two culprits, more and less in the telemetry")
	rises := flag.Int("delays", 0, "measure delays alone: how many worlds of each rise of a p99")
	flag.Parse()
	plan := schedule()
	if *kinds != "" {
		plan = strings.Split(*kinds, ",")
	}
	for _, k := range plan {
		if !slices.Contains(fleet.AllKinds(), k) {
			usage("there is no kind %q; there are %s", k, strings.Join(fleet.AllKinds(), ", "))
		}
	}
	covariates, err := covariates(*told)
	if err != nil {
		usage("%v", err)
	}
	if flag.NArg() > 0 || *worlds < 1 || *workers < 1 || *rises < 0 || *binaries < 0 || *format != "text" && *format != "md" {
		usage("judge [--worlds 60 | --delays 20] [--seed 1] [--format text|md] [--kinds KIND,...] [--binaries 6] [--covariates graph,...] [--attribution] [--workers 2] [--show]")
	}
	out := bufio.NewWriter(os.Stdout)
	md := *format == "md"
	switch {
	case *rises > 0:
		err = measure(out, *rises, *seed, *workers, md, *show)
	case *studied:
		err = study(out, *worlds, *seed, *workers, md)
	default:
		var results []result
		results, err = setting{*binaries, covariates}.run(plan, *worlds, *seed, *workers)
		if err == nil {
			report(out, results, md)
			attribution(out, cuts(results), md)
			if *show {
				details(out, results)
			}
		}
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		usage("%v", err)
	}
}

func usage(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(2)
}

// schedule is the order of kinds: every second one guilty.
func schedule() []string {
	var out []string
	for i, k := range fleet.Kinds()[4:] {
		out = append(out, fleet.Kinds()[i%4], k)
	}
	return out
}

// playAll plays so many worlds, several at a time. The results are in the order
// of the worlds, whoever was first.
func playAll(worlds, workers int, play func(i int) (result, error)) ([]result, error) {
	results := make([]result, worlds)
	errs := make([]error, worlds)
	next := make(chan int)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := range next {
				results[i], errs[i] = play(i)
			}
		})
	}
	for i := range worlds {
		next <- i
	}
	close(next)
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}
