package web

import (
	"context"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/flags"
)

// advice is a firing alert as an answer to: is it the upgrade, which binary,
// what do I flip?
type advice struct {
	detector.Alert
	// Answer is whether it is the upgrade, in words.
	Answer string
	// Bad is whether the upgrade is blamed.
	Bad     bool
	Actions []action
	// Hushed says who keeps it quiet.
	Hushed []string
}

// rank puts what the upgrade is blamed for before the rest.
func (a advice) rank() int {
	if a.Bad {
		return 0
	}
	return 1
}

// action is a flag to flip, or one that has been flipped already.
type action struct {
	Flag, Serving string
	// Safe is the variant to go to, "" where the configuration doesn't say.
	Safe string
	// Done is whether the safe variant is served already.
	Done    bool
	Command string
	Link    template.URL
	// Plans are those of the flag that wait for approval: nothing is changed by them yet.
	Plans []detector.Toggle
}

// advise answers firing alerts.
func (s *Server) advise(ctx context.Context, told ...Alert) (out []advice, err error) {
	if len(told) == 0 {
		return nil, nil
	}
	waiting, err := s.o.Switchboard.Waiting(ctx)
	for _, a := range told {
		one := s.adviseOn(a)
		for i := range one.Actions {
			act := &one.Actions[i]
			act.Plans = slices.DeleteFunc(slices.Clone(waiting), func(t detector.Toggle) bool { return t.Flag != act.Flag })
		}
		out = append(out, one)
	}
	return out, err
}

func (s *Server) adviseOn(told Alert) advice {
	a := told.Alert
	out := advice{Alert: a, Bad: a.Cause.Kind == detector.CauseBinary, Hushed: told.Hushed()}
	suspect := words.Suspect(a.Cause, a.Binaries)
	switch p := a.Cause.Probability; {
	case a.Cause.Kind == detector.CauseUnknown || a.Cause.Kind == "":
		out.Answer = "Not known yet whether it is the upgrade"
	case !out.Bad:
		out.Answer = fmt.Sprintf("Probably not the upgrade, but %s (%s)", suspect, words.Probability(p))
	case p >= 0.9:
		out.Answer = fmt.Sprintf("Very likely the upgrade: %s (%s)", suspect, words.Probability(p))
	case p >= 0.5:
		out.Answer = fmt.Sprintf("Probably the upgrade: %s (%s)", suspect, words.Probability(p))
	default:
		out.Answer = fmt.Sprintf("Perhaps the upgrade: %s (%s)", suspect, words.Probability(p))
	}
	if !out.Bad {
		return out
	}
	for _, v := range s.o.Switchboard.List() {
		for _, g := range v.Gates {
			if detector.SameBinary(g.Binary, a.Cause.Name) {
				out.Actions = append(out.Actions, s.action(a, v, g))
			}
		}
	}
	return out
}

func (s *Server) action(a detector.Alert, v flags.View, g flags.Gate) action {
	return action{
		Flag: v.Key, Serving: v.Serving, Safe: g.Safe, Done: g.Safe != "" && v.Serving == g.Safe,
		Command: words.SetFlag(v.Key, g.Safe, words.Headline(a)) + " --upgrade " + words.Shell(a.Upgrade),
		Link:    flagLink(v.Key, g.Safe, a.Upgrade, words.Headline(a)),
	}
}

// past says what the upgrade's shifts were put down to by an alert, and what the flags
// serve that gate it, "" where no binary was named.
func (s *Server) past(u detector.Upgrade) string {
	if u.Culprit == "" {
		return ""
	}
	text := "It was put down to " + words.Suspect(detector.Cause{Kind: detector.CauseBinary, Name: u.Culprit}, u.Binaries) + "."
	for _, v := range s.o.Switchboard.List() {
		for _, g := range v.Gates {
			if detector.SameBinary(g.Binary, u.Culprit) {
				text += fmt.Sprintf(" The flag %s, which gates it, serves the variant “%s” at present", words.Name(v.Key), words.Name(v.Serving))
				if g.Safe != "" && g.Safe != v.Serving {
					text += fmt.Sprintf("; its safe variant is “%s”", words.Name(g.Safe))
				}
				text += "."
			}
		}
	}
	return text
}

// flagLink leads to the plan of a toggle, with what is known filled in.
func flagLink(flag, variant, upgrade, reason string) template.URL {
	q := url.Values{}
	for name, value := range map[string]string{"variant": variant, "upgrade": upgrade, "reason": reason} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return template.URL("/flags/" + url.PathEscape(flag) + "?" + q.Encode()) //nolint:gosec // escaped part by part
}

// gates are the flags that gate something in a binary of the upgrade.
func (s *Server) gates(u detector.Upgrade) []flags.View {
	var out []flags.View
	for _, v := range s.o.Switchboard.List() {
		if slices.ContainsFunc(v.Gates, func(g flags.Gate) bool {
			return slices.ContainsFunc(u.Binaries, func(b detector.Binary) bool { return detector.SameBinary(b.Name, g.Binary) })
		}) {
			out = append(out, v)
		}
	}
	return out
}

// mark is a change of a flag, numbered in the pictures and named below them.
type mark struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	Toggle string    `json:"toggle"`
	Text   string    `json:"text"`
}

// maxMarks bounds the marks of a picture.
const maxMarks = 9

// marks are the toggles that were made for the upgrade, or of a flag that gates
// it, since it began.
func (s *Server) marks(ctx context.Context, u detector.Upgrade) ([]mark, error) {
	all, err := s.o.Journal.Toggles(ctx, "", 1000)
	if err != nil {
		return nil, err
	}
	gates := s.gates(u)
	var out []mark
	for _, t := range slices.Backward(all) {
		gating := slices.ContainsFunc(gates, func(v flags.View) bool { return v.Key == t.Flag })
		if !t.State.TookEffect() || t.Began().Before(u.StartedAt) || !gating && t.Upgrade != u.ID {
			continue
		}
		if !u.ClosedAt.IsZero() && t.Began().After(u.ClosedAt) || len(out) == maxMarks {
			break
		}
		out = append(out, mark{len(out) + 1, t.Began(), t.ID, words.Name(t.Flag) + " → " + words.Name(t.After)})
	}
	return out, nil
}
