// Command world simulates a fleet through one upgrade and writes what was
// recorded of it, the upgrade's record and the answer, for backtest to be tried
// on:
//
//	go run ./bench/world --kind backoff --seed 7 --out /tmp/world
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"aftershock/bench/fleet"
)

func main() {
	kind := flag.String("kind", fleet.Backoff, "what happens: "+strings.Join(fleet.AllKinds(), ", "))
	seed := flag.Uint64("seed", 1, "which of the kind's worlds")
	out := flag.String("out", "", "the folder to write to")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: world --kind KIND --seed N --out DIR")
		os.Exit(2)
	}
	w, err := fleet.New(*kind, *seed)
	if err == nil {
		err = w.WriteFiles(*out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
