package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// told is the story as JSON.
type told struct {
	Seen     bool        `json:"seen"`
	Missing  string      `json:"missing,omitempty"`
	Control  bool        `json:"control"`
	Seed     uint64      `json:"seed"`
	Dir      string      `json:"dir"`
	Upgrade  string      `json:"upgrade"`
	Seconds  float64     `json:"seconds"`
	Timeline []happening `json:"timeline"`
	Figures  []figures   `json:"figures"`
	// Held is what was foretold of the tuned constants, against what was counted.
	Held    []comparison `json:"held,omitempty"`
	Reviews []string     `json:"reviews"`
}

func (d *director) result(err error) told {
	t := told{
		Seen: err == nil, Control: d.opt.control, Seed: d.opt.seed, Dir: d.opt.dir, Upgrade: d.upgrade,
		Seconds: time.Since(d.timeline.start).Seconds(), Timeline: d.timeline.events, Figures: d.figures, Held: d.held, Reviews: d.reviewed,
	}
	if err != nil {
		t.Missing = err.Error()
	}
	return t
}

// words are the figures of the story in one line.
func (f figures) words() string {
	t := f.Tails[0]
	return fmt.Sprintf("retries per call %.3f, %.1f%% of %s%s over %g s, %.1f%% of first attempts fail", f.RetriesPerCall, 100*t.Share, t.Service, t.Route, t.Bound, 100*f.FirstFailures)
}

// print writes the timeline and the table of figures.
func (d *director) print(out io.Writer) error {
	var b strings.Builder
	b.WriteString("\nWhat happened\n")
	for _, h := range d.timeline.events {
		s := int(h.Seconds)
		fmt.Fprintf(&b, "  %s  %d:%02d  %s\n", h.At.Local().Format("15:04:05"), s/60, s%60, h.What)
	}
	if len(d.figures) > 0 {
		b.WriteString("\nWhat the services counted\n")
		if err := d.table(&b); err != nil {
			return err
		}
	}
	for _, r := range d.reviewed {
		fmt.Fprintf(&b, "\nreview: %s", r)
	}
	b.WriteString("\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func (d *director) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "  \tcalls\tretries/call\tfirst fails\tattempts/retried\tlost\t")
	for _, t := range d.figures[0].Tails {
		fmt.Fprintf(w, "%s %s >%g s\t", t.Service, t.Route, t.Bound)
	}
	fmt.Fprintln(w)
	for _, f := range d.figures {
		fmt.Fprintf(w, "  %s\t%.0f\t%.3f\t%.1f%%\t%.2f\t%.2f%%\t", f.Phase, f.Calls, f.RetriesPerCall, 100*f.FirstFailures, f.AttemptsRetried, 100*f.FailedCalls)
		for _, t := range f.Tails {
			fmt.Fprintf(w, "%.2f%%\t", 100*t.Share)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
