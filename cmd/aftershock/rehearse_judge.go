package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"aftershock/configs"
	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/rehearsal"
	"aftershock/rehearsal/mirror"
	"aftershock/sources"

	"github.com/sirupsen/logrus"
)

// verdict is what a rehearsal says.
type verdict struct {
	// Before and After are the runs of the phases.
	Before      []*rehearsal.Measured `json:"before"`
	After       []*rehearsal.Measured `json:"after"`
	Differences []mirror.Difference   `json:"differences,omitempty"`
	// Unfailing counts the routes of which no request failed in either phase: whether
	// they fail more often isn't asked.
	Unfailing int                `json:"unfailing_routes"`
	Warnings  []string           `json:"warnings,omitempty"`
	Verdicts  []detector.Verdict `json:"verdicts"`
}

// verdicts judges what a directory keeps and prints it.
func (r *rehearse) verdicts(ctx context.Context, store rehearsal.Store) (int, error) {
	v, err := r.judged(ctx, store)
	if err != nil {
		return exitUsage, err
	}
	if r.format == "json" {
		err = indented(r.sh.stdout, v)
	} else {
		err = v.text(r.sh.stdout, r.record.Binaries)
	}
	if err != nil {
		return exitUsage, err
	}
	return status(detector.Event{Verdicts: v.Verdicts}), nil
}

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// judged lets the daemon's judgement see the runs of both phases, one right after the
// other.
func (r *rehearse) judged(ctx context.Context, store rehearsal.Store) (verdict, error) {
	v := verdict{Differences: r.unlike}
	var err error
	if v.Before, err = store.Load(rehearsal.Before); err != nil {
		return v, err
	}
	if v.After, err = store.Load(rehearsal.After); err != nil {
		return v, err
	}
	if err := rehearsal.Comparable(v.Before, v.After); err != nil {
		return v, fmt.Errorf("judge the rehearsal %s: %w", store.Dir, err)
	}
	runs := inRow(v.Before, v.After)
	boundary := runs[len(v.Before)].at
	var list recordedFrames
	for _, p := range runs {
		if list, err = r.frames(ctx, store, p, list); err != nil {
			return v, err
		}
	}
	v.Unfailing = list.dropUnfailing()
	rare := list.padFailures(boundary)
	cfg := r.rehearsalConfig(v.Before)
	u := staged(r.record, boundary)
	quiet := printer{w: io.Discard, quiet: true}
	judge, err := judgeAll(ctx, cfg, list, runs[0].at, runs[len(runs)-1].end(), u, 5*cfg.Step, &quiet)
	if err != nil {
		return v, err
	}
	v.Verdicts = list.untold(judge.Summary(u.ID).Verdicts, u)
	for i := range v.Verdicts {
		runs.replace(&v.Verdicts[i])
		tellRuns(&v.Verdicts[i], len(v.Before))
	}
	doubtRare(v.Verdicts, rare)
	mirror.Weaken(v.Verdicts, r.unlike, r.guesses)
	v.distrust()
	for _, m := range v.runs() {
		if m.Partial != "" {
			v.Warnings = append(v.Warnings, fmt.Sprintf("the %s is partial: %s", phaseName(m), m.Partial))
		}
		for _, d := range m.Doubts {
			v.Warnings = append(v.Warnings, phaseName(m)+": "+d)
		}
	}
	return v, nil
}

// distrust takes the verdicts back where this machine was too late to measure
// anything but itself.
func (v *verdict) distrust() {
	for _, m := range v.runs() {
		if !m.Late {
			continue
		}
		for i := range v.Verdicts {
			if x := &v.Verdicts[i]; x.State != detector.Undecided && x.Indicator.Kind == detector.Latency {
				x.Missing = fmt.Sprintf("%s can't be claimed: in the %s this machine sent requests %.3g s late (p99)", x.State, phaseName(m), m.LateP99)
				x.State, x.DecidedIn = detector.Undecided, 0
			}
		}
	}
}

// staged is the upgrade as it happened on the copy: at once, between the phases.
func staged(u detector.Upgrade, at time.Time) detector.Upgrade {
	out := detector.Upgrade{ID: u.ID, Package: u.Package, StartedAt: at, FinishedAt: at, Source: u.Source}
	for _, b := range u.Binaries {
		b.DeployedAt, b.Instances = at, nil
		out.Binaries = append(out.Binaries, b)
	}
	return out
}

// recordedFrames are frames in memory.
type recordedFrames []detector.Frame

// Frames gives them all.
func (l recordedFrames) Frames(_ context.Context, _, _ time.Time, _ time.Duration, yield func(detector.Frame) error) error {
	for _, f := range l {
		if err := yield(f); err != nil {
			return err
		}
	}
	return nil
}

// frames reads those of a run through the same source as any telemetry.
func (r *rehearse) frames(ctx context.Context, store rehearsal.Store, p placed, list recordedFrames) (recordedFrames, error) {
	m := p.run
	at, err := sources.At(store.Telemetry(m.Phase, m.Run))
	if err != nil {
		return nil, err
	}
	log := newLog(r.sh.stderr, configs.Log{Level: "warning", Format: "text"})
	src, err := sources.Open(ctx, at, "", log.WithFields(logrus.Fields{}), nil)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	step := time.Duration(m.Step)
	err = src.Frames(ctx, m.Started, m.Started.Add(step*time.Duration(m.Steps)), step, func(f detector.Frame) error {
		f.Time = f.Time.Add(p.at.Sub(m.Started))
		list = append(list, f)
		return nil
	})
	return list, err
}

// dropUnfailing leaves out the error indicators that never saw an error, and answers
// how many they are: nothing is to be learnt from 0 of n and 0 of n, and a verdict that
// always stays undecided would hide the others.
func (l recordedFrames) dropUnfailing() int {
	failed, all := map[string]bool{}, map[string]bool{}
	for i := range l {
		for k := range l[i].Points {
			if p := &l[i].Points[k]; p.Indicator.Kind == detector.Error {
				key := p.Indicator.Key()
				all[key] = true
				failed[key] = failed[key] || p.Bad > 0
			}
		}
	}
	n := 0
	for key := range all {
		if !failed[key] {
			n++
		}
	}
	for i := range l {
		kept := l[i].Points[:0]
		for _, p := range l[i].Points {
			if p.Indicator.Kind != detector.Error || failed[p.Indicator.Key()] {
				kept = append(kept, p)
			}
		}
		l[i].Points = kept
	}
	return n
}

// untold adds the indicators that the judgement says nothing of, as they were seen too
// seldom: they are undecided.
func (l recordedFrames) untold(verdicts []detector.Verdict, u detector.Upgrade) []detector.Verdict {
	seen := map[string]float64{}
	for i := range verdicts {
		seen[verdicts[i].Indicator.Key()] = -1
	}
	var missing []detector.Indicator
	for i := range l {
		for k := range l[i].Points {
			p := &l[i].Points[k]
			key := p.Indicator.Key()
			n, known := seen[key]
			if n < 0 {
				continue
			}
			if !known {
				missing = append(missing, *p.Indicator)
			}
			seen[key] = n + p.Total
		}
	}
	for _, in := range missing {
		verdicts = append(verdicts, detector.Verdict{
			Upgrade: u.ID, Indicator: in, State: detector.Undecided, Since: u.StartedAt,
			Missing: fmt.Sprintf("too few requests: %.0f in both phases", seen[in.Key()]),
		})
	}
	return verdicts
}

// text is the verdicts for people.
func (v *verdict) text(w io.Writer, binaries []detector.Binary) error {
	if err := printVerdicts(w, v.Verdicts, binaries); err != nil {
		return err
	}
	if v.Unfailing > 0 {
		fmt.Fprintf(w, "\nNo request failed in either phase on %s.\n", words.Plural(v.Unfailing, "route"))
	}
	said := map[string]int{}
	for i := range v.Verdicts {
		for _, d := range v.Verdicts[i].Warnings {
			said[d]++
		}
	}
	for i := range v.Verdicts {
		for _, d := range v.Verdicts[i].Warnings {
			switch n := said[d]; {
			case n == 1:
				fmt.Fprintf(w, "Warning: %s: %s\n", words.Indicator(v.Verdicts[i].Indicator), words.Line(d))
			case n > 1: // once for all
				fmt.Fprintf(w, "Warning: of %d indicators: %s\n", n, words.Line(d))
			}
			said[d] = 0
		}
	}
	for _, d := range v.Warnings {
		fmt.Fprintf(w, "Warning: %s\n", words.Line(d))
	}
	return nil
}

// foresight is what compare prints.
type foresight struct {
	Rehearsal  verdict               `json:"rehearsal"`
	Production []detector.Verdict    `json:"production"`
	Shifts     []rehearsal.Foresight `json:"shifts"`
}

// compare sets production's verdicts against the rehearsal's. The exit status is
// that of production's.
func (r *rehearse) compare(ctx context.Context) (int, error) {
	var out foresight
	var err error
	if !r.record.Begun() {
		return exitUsage, onlyPlanned(r.upgrade, r.record)
	}
	if out.Rehearsal, err = r.judged(ctx, rehearsal.Store{Dir: r.rehearsed}); err != nil {
		return exitUsage, err
	}
	cfg, src, from, to, err := openRecorded(ctx, r.sh, r.telemetry, r.config, r.start, r.end)
	if err != nil {
		return exitUsage, err
	}
	defer src.Close()
	quiet := printer{w: io.Discard, quiet: true}
	judge, err := judgeAll(ctx, cfg, src, from, to, r.record, 5*time.Minute, &quiet)
	if err != nil {
		return exitUsage, err
	}
	summary := judge.Summary(r.record.ID)
	out.Production = summary.Verdicts
	out.Shifts = rehearsal.Compare(out.Production, out.Rehearsal.Verdicts)
	if r.format == "json" {
		err = indented(r.sh.stdout, out)
	} else {
		err = out.text(r.sh.stdout)
	}
	if err != nil {
		return exitUsage, err
	}
	return status(summary), nil
}

func (f *foresight) text(w io.Writer) error {
	rows := [][]string{{"OUTCOME", "INDICATOR", "REHEARSAL", "PRODUCTION", "WHY"}}
	counts := map[string]int{}
	for i := range f.Shifts {
		s := &f.Shifts[i]
		counts[s.Outcome]++
		rows = append(rows, []string{s.Outcome, words.Indicator(s.Indicator), stated(s.Rehearsal, s.RehearsalEffect), stated(s.Production, s.ProductionEffect), s.Says})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nOf production's %d shifts the rehearsal had foreseen %d; %d that it foretold didn't come, %d aren't told yet.\n",
		counts[rehearsal.Foreseen]+counts[rehearsal.Missed], counts[rehearsal.Foreseen], counts[rehearsal.Wrong], counts[rehearsal.Open])
	return err
}

func stated(s detector.State, e *detector.Effect) string {
	if e != nil && (s == detector.Regressed || s == detector.Improved) {
		return string(s) + " " + words.Ratio(*e)
	}
	return string(s)
}

// readFindings reads findings: a list of them, or an object that has them under
// findings.
func readFindings(path string) ([]detector.Finding, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the findings: %w", err)
	}
	defer f.Close()
	const most = 32 << 20
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("larger than %d bytes", most)
	}
	if err != nil {
		return nil, fmt.Errorf("read the findings %s: %w", path, err)
	}
	var list []detector.Finding
	var report struct {
		Findings *[]detector.Finding `json:"findings"`
	}
	if err := json.Unmarshal(data, &list); err == nil {
		return list, nil
	}
	if err = json.Unmarshal(data, &report); err == nil && report.Findings == nil {
		err = errors.New("want a list of findings, or an object with findings")
	}
	if err != nil {
		return nil, fmt.Errorf("read the findings %s: %w", path, err)
	}
	return *report.Findings, nil
}
