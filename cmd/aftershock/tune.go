package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"aftershock/detector/words"
	"aftershock/flags/tuning"
	"aftershock/web"
)

// candidates is the flag --candidate, which may be given several times.
type candidates []json.RawMessage

func (c *candidates) String() string { return "" }

func (c *candidates) Set(text string) error {
	if !json.Valid([]byte(text)) {
		return fmt.Errorf("it is no JSON object of constants")
	}
	*c = append(*c, json.RawMessage(text))
	return nil
}

// slow is after what time the tune command says that it is at work.
const slow = 2 * time.Second

func (a flagsArgs) tune(ctx context.Context, sh shell, c *client, args []string) error {
	q := url.Values{}
	if *a.hours != 0 {
		q.Set("hours", strconv.FormatFloat(*a.hours, 'g', -1, 64))
	}
	if len(*a.candidates) > 0 {
		b, err := json.Marshal(*a.candidates)
		if err != nil {
			return err
		}
		q.Set("candidates", string(b))
	}
	c.http.Timeout = toggleTimeout
	var t tuning.Result
	done := progress(sh.stderr, "reading the telemetry and trying constants")
	err := c.call(ctx, http.MethodGet, "/api/v1/flags/"+url.PathEscape(args[0])+"/tuning?"+q.Encode(), nil, &t)
	done()
	if err != nil {
		return err
	}
	if *a.svg != "" {
		if err := os.WriteFile(*a.svg, []byte(web.TuningChart(t)), 0o644); err != nil {
			return fmt.Errorf("write the chart: %w", err)
		}
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, t)
	}
	return tellTuning(sh.stdout, t)
}

// progress says what takes long, with the seconds that it has taken, until the
// function that it returns is called.
func progress(w io.Writer, what string) func() {
	stop, stopped := make(chan struct{}), make(chan struct{})
	begun := time.Now()
	go func() {
		defer close(stopped)
		tick := time.NewTicker(slow)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				fmt.Fprintf(w, "%s … %.0f s\n", what, time.Since(begun).Seconds())
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

func tellTuning(w io.Writer, t tuning.Result) error {
	fmt.Fprintf(w, "%s calls of %s by %s, %s to %s; %s of first attempts failed,\nand of attempts after a failed one %s (after 50 ms) and %s (after 1 s) do again.\n\n",
		words.Count(t.Calls), words.Name(t.Peer), words.Name(t.Service), at(t.From), at(t.To), words.Share(t.FirstFailures),
		percent(t.Again50), percent(t.Again1000))
	rows := [][]string{{"CONSTANTS", "RETRIES/CALL", "MEASURED", "LOAD", "IN BURSTS", "P50", "P99", "OVER P99", "P99.9", "FAILED", ""}}
	for _, r := range t.Rows {
		measured, mark := "", ""
		if r.Calls > 0 {
			measured = fmt.Sprintf("%.4f", r.Measured)
		}
		if t.Suggestion != nil && t.Suggestion.Row == r.Name {
			mark = "<- suggested"
		}
		rows = append(rows, []string{
			r.Name, spread(r.Retries, 1, "%.4f"), measured, fmt.Sprintf("×%.3f", r.Load.Value), spread(r.BurstLoad, 1, "×%.2f"),
			spread(r.P50, 1000, "%.0f") + " ms", spread(r.P99, 1000, "%.0f") + " ms", percent(r.Over), spread(r.P999, 1000, "%.0f") + " ms", percent(r.Failed), mark,
		})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, r := range t.Rows {
		fmt.Fprintf(w, "%s: %s\n", words.Name(r.Name), words.Line(r.Constants.Text()))
	}
	fmt.Fprintf(w, "\nGoals: %s.\n", words.Line(t.Goals))
	for _, doubt := range t.Warnings {
		fmt.Fprintf(w, "Doubt: %s.\n", words.Line(doubt))
	}
	s := t.Suggestion
	if s == nil {
		_, err := fmt.Fprintf(w, "\nNo suggestion: %s.\n", words.Line(t.Why))
		return err
	}
	command := fmt.Sprintf("aftershock flags set %s %s", words.Shell(t.Flag), words.Shell(s.Variant))
	if s.Changed {
		command += " --value " + words.Shell(string(s.Value))
	}
	price := ""
	if s.Accepts > 0 {
		command += fmt.Sprintf(" --accept-tail %g", s.Accepts)
		price = fmt.Sprintf(" Its price is up to ×%g as many calls over a bound in the tail: the watch alerts people unless you accept that.", s.Accepts)
	}
	_, err := fmt.Fprintf(w, "\nServe %s: %s.%s\n  %s --reason …\n", words.Name(s.Variant), words.Line(t.Why), price, command)
	return err
}

// spread writes a figure with its standard error.
func spread(e tuning.Estimate, unit float64, verb string) string {
	text := fmt.Sprintf(verb, e.Value*unit)
	if off := strings.TrimPrefix(fmt.Sprintf(verb, e.Error*unit), "×"); strings.Trim(off, "0.") != "" {
		text += "±" + off
	}
	return text
}

func percent(e tuning.Estimate) string { return spread(e, 100, "%.2f") + "%" }
