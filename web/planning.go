package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"aftershock/detector/words"
	"aftershock/flags"
	"aftershock/flags/policy"
)

// wish is what the form of a toggle holds, as a person typed it. Its fields go by
// these names in the page's address, too.
type wish struct{ Variant, Reason, Percent, Instances, Region, Expires, OnExpiry, Upgrade string }

var wishes = []string{"variant", "reason", "percent", "instances", "region", "expires", "on_expiry", "upgrade"}

// maxTyped bounds a field of a form, in characters: 200 instances of 256.
const maxTyped = 60_000

func wishOf(v url.Values) wish {
	// What can't be seen on the page isn't meant.
	get := func(name string) string { return words.Clean(v.Get(name), maxTyped) }
	return wish{
		v.Get("variant"), get("reason"), get("percent"), get("instances"), get("region"), get("expires"), get("on_expiry"), get("upgrade"),
	}
}

// hidden is a field that the form to confirm takes along.
type hidden struct{ Name, Value string }

// Limits are the fields that say for whom and for how long.
func (w wish) Limits() []hidden {
	all := []hidden{{"percent", w.Percent}, {"instances", w.Instances}, {"region", w.Region}, {"expires", w.Expires}, {"on_expiry", w.OnExpiry}}
	return slices.DeleteFunc(all, func(h hidden) bool { return h.Value == "" })
}

// slip is what is wrong with one field of a form.
type slip struct{ field, detail string }

func (s slip) Error() string { return s.detail }

// Unwrap makes it the caller's fault.
func (s slip) Unwrap() error { return BadRequest(s.detail) }

// request is the toggle that is wished for; the error is a slip.
func (w wish) request(v flags.View) (flags.Request, error) {
	r := flags.Request{Flag: v.Key, Variant: w.Variant, Reason: w.Reason, Upgrade: w.Upgrade}
	if w.Variant == "" {
		return r, slip{"variant", "choose the variant to serve"}
	}
	if limits := w.Limits(); v.Backend != nil && len(limits) > 0 {
		return r, slip{limits[0].Name, "a toggle of this flag is for everyone and doesn't expire: it lives in " + words.Name(v.Backend.Name)}
	}
	if w.Percent != "" {
		p, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(w.Percent, "%")), 64)
		if err != nil || !policy.Percent(p) {
			return r, slip{"percent", fmt.Sprintf("%.40q is no percentage from 0.01 to 99.99, of two decimals at most; leave it empty for everyone", w.Percent)}
		}
		r.Scope.Percent = p
	}
	if w.Instances != "" {
		for name := range strings.SplitSeq(w.Instances, ",") {
			if name = strings.TrimSpace(name); name != "" {
				r.Scope.Instances = append(r.Scope.Instances, name)
			}
		}
		if len(r.Scope.Instances) == 0 {
			return r, slip{"instances", "it names no instance; leave it empty for everyone"}
		}
	}
	r.Scope.Region, r.OnExpiry = w.Region, w.OnExpiry
	if w.Expires != "" {
		d, err := expiry(w.Expires)
		if err != nil {
			return r, slip{"expires", err.Error()}
		}
		r.Expires = &d
	}
	return r, nil
}

// expiry reads after how long a toggle expires.
func expiry(text string) (time.Duration, error) {
	if text == "0" || strings.EqualFold(text, "never") {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		var days model.Duration
		days, err = model.ParseDuration(text) // knows 3d
		d = time.Duration(days)
	}
	if err != nil || d < time.Second || d > policy.MaxExpiry {
		return 0, fmt.Errorf("%.40q is no time like 30m, 8h or 3d, from a second to %.0f days; write never for good", text, policy.MaxExpiry.Hours()/24)
	}
	return d, nil
}

// planning is the form of a toggle with what came of it.
type planning struct {
	wish
	// Name is the person's and Incident a reference, where the form was sent already.
	Name, Incident string
	// Field is the one that is wrong, "" if it is none of them, and Error why.
	Field, Error string
	Plan         *flags.Plan
	Unchanged    bool
	// Scope, Term and Default are for whom, until when, and until when it is where
	// nothing else is said, in words.
	Scope, Term, Default string
}

// plan fills the form in and, where a variant is chosen, previews the toggle. The
// error is what is to be told beside the form.
func (s *Server) plan(ctx context.Context, v flags.View, w wish) (planning, error) {
	p := planning{wish: w, Default: term(0, "")}
	if v.Backend == nil {
		p.Default = term(*v.Policy.Expires, v.Policy.OnExpiry)
	}
	if p.Variant == "" && len(p.Limits()) == 0 {
		p.suggest(v)
		return p, nil
	}
	r, err := w.request(v)
	if err != nil {
		return p, err
	}
	p.Scope = r.Scope.String()
	p.Term = p.Default
	if v.Backend == nil {
		after := *v.Policy.Expires
		if r.Expires != nil {
			after = *r.Expires
		}
		p.Term = term(after, cmp.Or(r.OnExpiry, v.Policy.OnExpiry))
	}
	r.Reason, r.Actor = "plan", "console"
	plan, err := s.o.Switchboard.Preview(ctx, r)
	switch {
	case errors.Is(err, flags.ErrUnchanged):
		p.Unchanged = true
	case err != nil:
		return p, err
	default:
		p.Plan = &plan
	}
	return p, nil
}

// suggest chooses the safe variant, where one is declared that isn't served.
func (p *planning) suggest(v flags.View) {
	for _, g := range v.Gates {
		if g.Safe != "" && g.Safe != v.Serving {
			p.Variant = g.Safe
			return
		}
	}
}

// term says in words when a toggle that is made now expires.
func term(after time.Duration, then string) string {
	if after == 0 {
		return "It doesn't expire."
	}
	return fmt.Sprintf("It expires %s after it is confirmed, about %s; %s.", words.Duration(after), words.Time(time.Now().Add(after).Truncate(time.Minute)), onExpiry(then))
}

func onExpiry(then string) string {
	if then == "undo" {
		return "it is undone then"
	}
	return "a person is reminded then"
}

// told is a field of a form with what is wrong with it and what describes it.
type told struct{ Name, Error, By string }

// field is a field of the form for its page.
func (p planning) field(name string, help ...string) told {
	t := told{Name: name}
	if p.Field == name {
		t.Error = p.Error
		help = append(help, name+"-error")
	}
	t.By = strings.Join(help, " ")
	return t
}

// blame puts an error beside the form; one that nobody is told is returned.
func (p *planning) blame(err error) (status int, rest error) {
	status, detail := statusOf(err)
	if status == http.StatusInternalServerError {
		return status, err
	}
	var at slip
	if errors.As(err, &at) {
		p.Field = at.field
	}
	p.Error = detail
	return status, nil
}
