package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"aftershock/bench/fleet"
	"aftershock/detector"
	"aftershock/upgrades"
	"github.com/sirupsen/logrus"
	"io"
)

func main() {
	seed, _ := strconv.ParseUint(os.Args[2], 10, 64)
	w, err := fleet.New(os.Args[1], seed)
	if err != nil {
		panic(err)
	}
	u := w.UpgradeRecord()
	var cfg detector.Config
	cfg.SetDefaults()
	j := detector.NewJudge(cfg)
	c := upgrades.Config{}
	c.SetDefaults()
	log := logrus.New()
	log.SetOutput(io.Discard)
	l, _ := upgrades.NewLedger(c, log)
	j.Watch(l.Record(u))
	for _, b := range u.Binaries {
		fmt.Println(b.Name, b.DeployedAt.Format("02 15:04"))
	}
	var next time.Time
	w.Frames(func(f detector.Frame) error {
		for _, k := range l.Observe(f) {
			if k.ID == u.ID {
				j.Watch(k)
			}
		}
		j.Observe(f)
		if f.Time.Before(next) {
			return nil
		}
		next = f.Time.Truncate(5 * time.Minute).Add(5 * time.Minute)
		for _, e := range j.Look() {
			if e.Event == "verdict" || e.Indicator == nil {
				continue
			}
			fmt.Printf("%s %s %s %s %s", e.Time.Format("02 15:04"), e.Event, e.Direction, e.Indicator.Name(), e.Indicator.Peer())
			if e.Effect != nil {
				fmt.Printf(" x%.2f (%.2f-%.2f) %s %.2g->%.2g", e.Effect.Ratio, e.Effect.Low, e.Effect.High, e.Effect.What, e.Effect.Before, e.Effect.After)
			}
			if e.Onset != nil {
				fmt.Printf(" onset %s (%s-%s)", e.Onset.At.Format("15:04"), e.Onset.Earliest.Format("15:04"), e.Onset.Latest.Format("02 15:04"))
			}
			fmt.Println()
			if e.Event == "shift" {
				for i, c := range e.Causes {
					if i < 5 {
						fmt.Printf("        %.3f %s %s %v\n", c.Probability, c.Kind, c.Name, c.Why)
					}
				}
			}
		}
		return nil
	})
	a := w.Answer()
	fmt.Println(a.Culprit, a.Onset, a.Besides)
	for _, s := range a.Shifted {
		if s.Material { fmt.Printf("  true %s x%.2f snr %.1f\n", s.Key, s.Ratio, s.SNR) }
	}
	if os.Getenv("DBG") != "" {
		fmt.Println(j.DebugTempers())
	}
}
