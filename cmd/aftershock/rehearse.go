package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aftershock/configs"
	"aftershock/detector"
	"aftershock/rehearsal"
	"aftershock/rehearsal/mirror"
	"aftershock/rehearsal/recordings"
	"aftershock/upgrades"
)

var rehearseCommand = command{
	name:    "rehearse",
	summary: "Send a staged copy production's traffic before and after the upgrade, and judge the two.",
	usage: "rehearse --target URL --profile TELEMETRY|FILE --upgrade FILE [--out DIR] [--phase before|after]\n" +
		"  aftershock rehearse verdicts --rehearsal DIR --upgrade FILE\n" +
		"  aftershock rehearse compare --rehearsal DIR --telemetry PATH-OR-URL --upgrade FILE\n\n" +
		"Without --phase it waits between the phases until you have upgraded the copy. With --repeats 5 each phase runs five\n" +
		"times, so that it is known by how much runs differ: without that, nothing is proven to be as before. The target must stand in\n" +
		"rehearsal.allow of the configuration, or be given by --allow and --confirm.\n\n" +
		"Exit status: 0 nothing regressed, 1 something did, 2 wrong usage or unreadable input, 3 undecided.",
	example: "aftershock rehearse --target http://copy.staging:8080 --profile telemetry.om.zst --service checkout --upgrade upgrade.json --config aftershock.yml\n" +
		"aftershock rehearse compare --rehearsal rehearsal --telemetry http://prometheus:9090 --start 2026-03-01T00:00:00Z --end 2026-03-06T18:00:00Z --upgrade upgrade.json",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		r := &rehearse{}
		r.flags(f)
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			r.sh, r.in = sh, bufio.NewReader(sh.stdin)
			return r.act(ctx, args)
		}
	},
}

// rehearse is a call of the command.
type rehearse struct {
	sh shell
	in *bufio.Reader

	target, profile, service, start, end, recording   string
	upgrade, config, out, phase, between, format      string
	production, copied, findings, authorities, pacing string
	allow, confirm, saveProfile, telemetry, rehearsed string
	secrets, course, replace                          bool
	scale, maxRate, stopErrors, margin                float64
	duration, warmup, timeout, maxDuration            time.Duration
	maxInFlight                                       int
	seed                                              uint64
	repeats                                           int
	pause                                             time.Duration
	restart                                           string

	limits  rehearsal.Config
	judge   detector.Config
	record  detector.Upgrade
	unlike  []mirror.Difference
	guesses []detector.Hypothesis
}

func (r *rehearse) flags(f *flag.FlagSet) {
	f.StringVar(&r.target, "target", "", "the copy's `URL`")
	f.StringVar(&r.profile, "profile", "", "telemetry (as of backtest) to read production's traffic from, or a `file` .yml, .yaml or .json with a profile")
	f.StringVar(&r.service, "service", "", "the `name` of the service in the telemetry, where it has several")
	f.StringVar(&r.start, "start", "", "first instant of the telemetry to read, RFC 3339 `time` (needed for a URL)")
	f.StringVar(&r.end, "end", "", "last instant of the telemetry to read, RFC 3339 `time` (needed for a URL)")
	f.BoolVar(&r.course, "course", false, "follow the course of the telemetry's rate, compressed to the duration, rather than its mean")
	f.StringVar(&r.saveProfile, "save-profile", "", "write the profile that was read to a `file`")
	f.StringVar(&r.recording, "recording", "", "a HAR `file` or an access log to take paths, queries and bodies from")
	f.BoolVar(&r.secrets, "keep-secrets", false, "send the cookies, credentials and tokens of the recording")
	f.StringVar(&r.upgrade, "upgrade", "", "the upgrade record, a JSON or YAML `file`")
	f.StringVar(&r.config, "config", "", "a configuration `file`, for its rehearsal and watch sections")
	f.StringVar(&r.out, "out", "rehearsal", "the `directory` that keeps the results")
	f.StringVar(&r.phase, "phase", "", "run one `phase` alone: before or after")
	f.StringVar(&r.between, "between", "", "a shell `command` that upgrades the copy, instead of waiting for you")
	f.IntVar(&r.repeats, "repeats", 1, fmt.Sprintf("how often each phase runs, a `number` up to %d: from several runs before it is learnt by how much runs differ", rehearsal.MaxRepeats))
	f.DurationVar(&r.pause, "pause", 10*time.Second, "the `duration` between the runs of a phase")
	f.StringVar(&r.restart, "restart", "", "a shell `command` that restarts the copy between the runs of a phase, so that what a restart alone changes is known")
	f.BoolVar(&r.replace, "replace", false, "replace a phase that the directory has")
	f.Float64Var(&r.scale, "scale", 1, "multiply all rates by a `number`")
	f.DurationVar(&r.duration, "duration", 10*time.Minute, "how long each run measures, a `duration`")
	f.DurationVar(&r.warmup, "warmup", -1, "how long traffic flows before that, a `duration` (default a tenth of it, at most 1m)")
	f.DurationVar(&r.timeout, "timeout", 30*time.Second, "the `duration` after which a request is given up")
	f.StringVar(&r.pacing, "pacing", "poisson", "how arrivals are spaced, `kind`: poisson or uniform")
	f.Uint64Var(&r.seed, "seed", 0, "the `number` that the schedule is drawn from (default another each time)")
	f.Float64Var(&r.maxRate, "max-rate", 0, fmt.Sprintf("the cap in requests a second, a `number` (default 200, at most %d)", rehearsal.CeilingRate))
	f.DurationVar(&r.maxDuration, "max-duration", 0, fmt.Sprintf("the cap of a phase with all its runs, warm-ups and pauses, a `duration` (default 1h, at most %s)", rehearsal.CeilingDuration))
	f.IntVar(&r.maxInFlight, "max-in-flight", 0, fmt.Sprintf("the most requests under way, a `number` (default 1000, at most %d)", rehearsal.CeilingInFlight))
	f.Float64Var(&r.stopErrors, "stop-errors", 0, "the `share` of failed requests at which a phase ends early (default 0.5; 1 for never)")
	f.StringVar(&r.allow, "allow", "", "allow a `host` that the configuration doesn't list: host:port, address or range")
	f.StringVar(&r.confirm, "confirm", "", "the same `host` again; without it you are asked to type it")
	f.StringVar(&r.authorities, "ca", "", "a PEM `file` with the authorities of the copy's certificate")
	f.StringVar(&r.production, "production", "", "production's inventory, a YAML `file`")
	f.StringVar(&r.copied, "copy", "", "the copy's inventory, a YAML `file`")
	f.StringVar(&r.findings, "findings", "", "findings of aftershock inspect, a JSON `file`, instead of those of the record: where the copy differs in what they are about, less is claimed")
	f.Float64Var(&r.margin, "margin", 0, "the relative change that nobody minds, a `number` (default that of the configuration, 0.05)")
	f.StringVar(&r.format, "format", "text", "the output's `form`: text or json")
	f.StringVar(&r.rehearsed, "rehearsal", "", "of verdicts and compare: the `directory` of a rehearsal")
	f.StringVar(&r.telemetry, "telemetry", "", "of compare: production's telemetry since, a `path` or URL")
}

func (r *rehearse) act(ctx context.Context, args []string) (int, error) {
	action := "run"
	if len(args) > 0 {
		action, args = args[0], args[1:]
	}
	switch {
	case len(args) > 0:
		return exitUsage, usagef("unexpected argument %q", args[0])
	case action != "run" && action != "verdicts" && action != "compare":
		return exitUsage, usagef("there is no rehearse %.40q: want verdicts, compare, or nothing", action)
	case r.format != "text" && r.format != "json":
		return exitUsage, usagef("--format %.40q is neither text nor json", r.format)
	}
	if err := r.settings(action); err != nil {
		return exitUsage, err
	}
	switch action {
	case "verdicts":
		return r.verdicts(ctx, rehearsal.Store{Dir: r.rehearsed})
	case "compare":
		return r.compare(ctx)
	}
	return r.run(ctx)
}

// settings checks the flags and reads the files that are small.
func (r *rehearse) settings(action string) error {
	if action == "run" && r.rehearsed+r.telemetry != "" {
		return usagef("--rehearsal and --telemetry are those of verdicts and compare; traffic is read by --profile, results are kept by --out")
	}
	if action != "run" && (r.rehearsed == "" || action == "compare" && r.telemetry == "") {
		return usagef("%s needs --rehearsal%s", action, map[bool]string{true: " and --telemetry"}[action == "compare"])
	}
	switch {
	case r.upgrade == "" && (action != "run" || r.phase != rehearsal.Before):
		return usagef("--upgrade is needed")
	case r.phase != "" && r.phase != rehearsal.Before && r.phase != rehearsal.After:
		return usagef("--phase %.40q is neither before nor after", r.phase)
	case r.phase != "" && r.between != "":
		return usagef("--between is for both phases in one call, not for --phase %s", r.phase)
	case r.pacing != "poisson" && r.pacing != "uniform":
		return usagef("--pacing %.40q is neither poisson nor uniform", r.pacing)
	case (r.production == "") != (r.copied == ""):
		return usagef("--production and --copy go together")
	case r.repeats < 1 || r.repeats > rehearsal.MaxRepeats || r.pause < 0:
		return usagef("--repeats is from 1 to %d, --pause from 0 on", rehearsal.MaxRepeats)
	case !(r.scale > 0) || r.margin < 0 || r.margin > 1:
		return usagef("--scale is over 0, --margin from 0 to 1")
	}
	if r.upgrade != "" {
		u, err := upgrades.ReadRecord(r.upgrade)
		if err != nil {
			return err
		}
		r.record = u
	}
	if r.config != "" {
		c, err := configs.Load(r.config)
		if err != nil {
			return err
		}
		r.limits, r.judge = c.Rehearsal, c.Watch.Config
	}
	r.limits.SetDefaults()
	if r.maxRate != 0 {
		r.limits.MaxRate = r.maxRate
	}
	if r.maxDuration != 0 {
		r.limits.MaxDuration = r.maxDuration
	}
	if r.maxInFlight != 0 {
		r.limits.MaxInFlight = r.maxInFlight
	}
	if r.stopErrors != 0 {
		r.limits.StopErrors = r.stopErrors
	}
	if errs := r.limits.Validate("limits"); len(errs) > 0 {
		return usageError{strings.ReplaceAll(errors.Join(errs...).Error(), "\n", "; ")}
	}
	if r.warmup < 0 {
		r.warmup = min(r.duration/10, time.Minute)
	}
	return r.mirrors()
}

// mirrors reads the inventories and the findings.
func (r *rehearse) mirrors() error {
	if r.production != "" {
		production, err := mirror.Read(r.production)
		if err != nil {
			return err
		}
		copied, err := mirror.Read(r.copied)
		if err != nil {
			return err
		}
		r.unlike = mirror.Compare(production, copied)
	}
	list, err := r.record.Findings, error(nil) // those that inspect put into the record
	if r.findings != "" {
		list, err = readFindings(r.findings)
	}
	for _, f := range list {
		r.guesses = append(r.guesses, f.Hypotheses...)
	}
	return err
}

// traffic is the profile that is asked for, with the requests of the recording.
func (r *rehearse) traffic(ctx context.Context, store rehearsal.Store) (rehearsal.Profile, error) {
	path, saved := r.profile, false
	if path == "" {
		if r.phase != rehearsal.After {
			return rehearsal.Profile{}, usagef("--profile is needed")
		}
		path, saved = store.ProfilePath(), true
	}
	var p rehearsal.Profile
	var err error
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case !strings.Contains(path, "://") && (ext == ".yml" || ext == ".yaml" || ext == ".json"):
		p, err = readProfile(path)
	default:
		p, err = r.read(ctx, path)
	}
	if err != nil {
		return p, err
	}
	if r.saveProfile != "" {
		text, err := p.Marshal()
		if err == nil {
			err = os.WriteFile(r.saveProfile, text, 0o644)
		}
		if err != nil {
			return p, fmt.Errorf("save the profile: %w", err)
		}
	}
	if !saved {
		p.Scale(r.scale)
	}
	if r.recording != "" {
		rec, err := recordings.Open(r.recording, r.secrets)
		if err != nil {
			return p, err
		}
		r.say("Of %d recorded requests %d are of these routes; %d could not be used, %d headers and parameters that may be secrets were left out.",
			len(rec.Requests), p.Attach(rec.Requests), rec.Skipped, rec.Dropped)
	}
	if dropped, share := p.Drop(); len(dropped) > 0 {
		more := ""
		if len(dropped) > 10 {
			more = fmt.Sprintf(" and %d more", len(dropped)-10)
		}
		r.say("Left out, %.1f%% of the traffic, since nothing says what to put into their paths (give values in a profile, or --recording): %s%s",
			100*share, strings.Join(dropped[:min(len(dropped), 10)], ", "), more)
	}
	if len(p.Routes)+len(p.Flows) == 0 {
		return p, errors.New("no route is left to be rehearsed")
	}
	return p, nil
}

func readProfile(path string) (rehearsal.Profile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return rehearsal.Profile{}, fmt.Errorf("read the profile: %w", err)
	}
	p, err := rehearsal.ParseProfile(data)
	if err != nil {
		return p, fmt.Errorf("read the profile %s: %w", path, err)
	}
	return p, nil
}

// coursePart is how finely a course is read, at most courseParts parts.
const (
	coursePart  = 5 * time.Minute
	courseParts = 96
)

// read takes the profile from telemetry.
func (r *rehearse) read(ctx context.Context, where string) (rehearsal.Profile, error) {
	cfg, src, from, to, err := openRecorded(ctx, r.sh, where, r.config, r.start, r.end)
	if err != nil {
		return rehearsal.Profile{}, err
	}
	defer src.Close()
	reading := rehearsal.Reading{Service: r.service, From: from, To: to}
	if r.course {
		reading.Parts = max(1, min(int(to.Sub(from)/coursePart), courseParts))
	}
	if err := src.Frames(ctx, from, to, cfg.Step, func(f detector.Frame) error {
		reading.Take(f)
		return nil
	}); err != nil {
		return rehearsal.Profile{}, err
	}
	p, doubts, err := reading.Profile()
	if err != nil {
		return p, fmt.Errorf("read the traffic from %s: %w", where, err)
	}
	for _, d := range doubts {
		r.say("Doubt: %s", d)
	}
	return p, nil
}

// aim checks the target, asking for what --allow leaves to be confirmed.
func (r *rehearse) aim(ctx context.Context) (*rehearsal.Target, error) {
	if r.target == "" {
		return nil, usagef("--target is needed")
	}
	allow := r.limits.Allow
	if r.allow != "" {
		if r.confirm == "" {
			r.say("%s isn't in the configuration. It will get production's traffic. Type it again to allow it:", r.allow)
			line, err := r.line(ctx)
			if err != nil {
				return nil, usagef("--allow %.80q isn't confirmed: give --confirm with the same", r.allow)
			}
			r.confirm = line
		}
		if r.confirm != r.allow {
			return nil, usagef("--allow %.80q isn't confirmed: --confirm says %.80q", r.allow, r.confirm)
		}
		allow = append(allow[:len(allow):len(allow)], r.allow)
	}
	t, err := rehearsal.Aim(ctx, r.target, allow, net.DefaultResolver)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// options are those of a phase's run.
func (r *rehearse) options(phase string, run int) (rehearsal.Options, error) {
	o := rehearsal.Options{
		Phase: phase, Run: run, Runs: r.repeats, Pause: r.pause, Agent: "aftershock-rehearsal/" + version,
		Length: r.duration, Warmup: r.warmup, Seed: rehearsal.RunSeed(r.seed, run),
		Uniform: r.pacing == "uniform", Timeout: r.timeout, Limits: r.limits,
	}
	if r.authorities != "" {
		pem, err := os.ReadFile(r.authorities)
		if err != nil {
			return o, fmt.Errorf("read --ca: %w", err)
		}
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(pem) {
			return o, fmt.Errorf("read --ca %s: no certificate in it", r.authorities)
		}
	}
	return o, nil
}

// drawSeed chooses the schedule.
func (r *rehearse) drawSeed() {
	for r.seed == 0 {
		r.seed = rand.Uint64() >> 12 // exact as a number of JSON
	}
}

// say tells people something beside the output.
func (r *rehearse) say(format string, args ...any) {
	fmt.Fprintf(r.sh.stderr, format+"\n", args...)
}

// line waits for a line of the person's.
func (r *rehearse) line(ctx context.Context) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() { // ends with the process where nobody types anything
		text, err := r.in.ReadString('\n')
		got <- answer{strings.TrimSpace(text), err}
	}()
	select {
	case a := <-got:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
