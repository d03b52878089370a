package rehearsal

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// Bounds of sessions and flows.
const (
	maxSessions = 200
	maxLogin    = 10 // steps of a login
	maxFlows    = 20
	maxSteps    = 20 // of a flow
	maxThink    = 10 * time.Minute
	maxCaptures = 20 // of one answer, and secrets
)

// Sessions say how requests are logged in: a pool of sessions is before the
// measurement, and each is renewed once it is no longer taken for one.
type Sessions struct {
	// Size is how many there are, 10 where it is left out, at most 200.
	Size int `yaml:"size,omitempty"`
	// Secrets are variables whose values stand elsewhere; they are read when a run
	// begins, sent, and never written or printed.
	Secrets map[string]Secret `yaml:"secrets,omitempty"`
	// Login are the requests of a login, one after the other.
	Login []Exchange `yaml:"login"`
	// RenewOn are the statuses that say that a session is over; 401 where it is left out.
	RenewOn []int `yaml:"renew_on,omitempty,flow"`
}

// Secret says where a value stands: in a variable of the environment, or in the lines of
// a file, of which each session takes its own.
type Secret struct {
	Env  string `yaml:"env,omitempty"`
	File string `yaml:"file,omitempty"`
}

// Flow is a sequence of requests of one session, as somebody makes them.
type Flow struct {
	Flow string `yaml:"flow"`
	// Rate is how many begin per second on average.
	Rate  float64    `yaml:"rate"`
	Steps []Exchange `yaml:"steps"`
}

// Exchange is a request of a login or a flow. Its rate follows from the flow's.
type Exchange struct {
	Route `yaml:",inline"`
	// Think is the time from the answer before to this request, on average: half of it
	// to one and a half times.
	Think time.Duration `yaml:"think,omitempty"`
	// Capture are the variables that its answer tells the requests after it.
	Capture map[string]Capture `yaml:"capture,omitempty"`
}

// variableName is what variables are called.
var variableName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,63}$`)

// validateSessions says what is wrong with the sessions and flows.
func (p *Profile) validateSessions(fail func(string, ...any)) {
	if s := p.Sessions; s != nil {
		s.validate(fail)
	}
	if len(p.Flows) > maxFlows {
		fail("flows: %d of them, want at most %d", len(p.Flows), maxFlows)
	}
	names := map[string]bool{}
	for i := range p.Flows[:min(len(p.Flows), maxFlows)] {
		f := &p.Flows[i]
		path := fmt.Sprintf("flows[%d]", i)
		if f.Flow == "" || len(f.Flow) > 256 || names[f.Flow] {
			fail("%s.flow: want a name of up to 256 bytes that no other has", path)
		}
		names[f.Flow] = true
		if !(f.Rate > 0 && f.Rate <= CeilingRate) {
			fail("%s.rate: want flows per second, over 0 and at most %d", path, CeilingRate)
		}
		if len(f.Steps) == 0 || len(f.Steps) > maxSteps {
			fail("%s.steps: %d of them, want 1 to %d", path, len(f.Steps), maxSteps)
		}
		known := p.Sessions.variables()
		for k := range f.Steps[:min(len(f.Steps), maxSteps)] {
			f.Steps[k].validate(fmt.Sprintf("%s.steps[%d]", path, k), known, fail)
		}
	}
	for i := range p.Routes[:min(len(p.Routes), maxRoutes)] {
		if r := &p.Routes[i]; p.Sessions != nil {
			r.validateHeaders(fmt.Sprintf("routes[%d]", i), p.Sessions.variables(), fail)
		}
	}
	if n := len(p.kinds()); n > maxRoutes {
		fail("routes and flows: %d routes, want at most %d", n, maxRoutes)
	}
}

func (s *Sessions) validate(fail func(string, ...any)) {
	if s.Size < 1 || s.Size > maxSessions {
		fail("sessions.size: want 1 to %d", maxSessions)
	}
	if len(s.Secrets) > maxCaptures {
		fail("sessions.secrets: %d of them, want at most %d", len(s.Secrets), maxCaptures)
	}
	known := map[string]bool{}
	for name, x := range s.Secrets {
		if !variableName.MatchString(name) || (x.Env == "") == (x.File == "") {
			fail("sessions.secrets.%.64s: want a name in small letters, and env or file", name)
		}
		known[name] = true
	}
	if len(s.Login) == 0 || len(s.Login) > maxLogin {
		fail("sessions.login: %d steps, want 1 to %d", len(s.Login), maxLogin)
	}
	for i := range s.Login[:min(len(s.Login), maxLogin)] {
		s.Login[i].validate(fmt.Sprintf("sessions.login[%d]", i), known, fail)
		if open := s.Login[i].open(known); len(open) > 0 {
			fail("sessions.login[%d].path: nothing says what to put in for %s", i, strings.Join(open, ", "))
		}
	}
	if len(s.RenewOn) > maxCaptures {
		fail("sessions.renew_on: %d statuses, want at most %d", len(s.RenewOn), maxCaptures)
	}
	for _, code := range s.RenewOn {
		if code < 300 || code > 499 {
			fail("sessions.renew_on: %d is no status from 300 to 499", code)
		}
	}
}

// validate checks a step and adds what it captures to the known variables.
func (s *Exchange) validate(path string, known map[string]bool, fail func(string, ...any)) {
	for _, err := range s.Route.validate() {
		if !errors.Is(err, errRate) {
			fail("%s.%w", path, err)
		}
	}
	if s.Rate != 0 {
		fail("%s.rate: a step has none of its own", path)
	}
	s.validateHeaders(path, known, fail)
	if s.Think < 0 || s.Think > maxThink {
		fail("%s.think: want a duration from 0 to %s", path, maxThink)
	}
	if len(s.Capture) > maxCaptures {
		fail("%s.capture: %d of them, want at most %d", path, len(s.Capture), maxCaptures)
	}
	for name, c := range s.Capture {
		if !variableName.MatchString(name) {
			fail("%s.capture: %.64q is no name in small letters", path, name)
		}
		if err := c.validate(); err != nil {
			fail("%s.capture.%.64s: %w", path, name, err)
		}
		known[name] = true
	}
}

// validateHeaders finds variables in headers that nothing fills.
func (r *Route) validateHeaders(path string, known map[string]bool, fail func(string, ...any)) {
	for name, value := range r.Headers {
		for _, m := range variable.FindAllStringSubmatch(value, -1) {
			if !known[m[1]] {
				fail("%s.headers.%.60s: nothing says what {%s} is", path, name, m[1])
			}
		}
	}
}

// variables are the names of what a session knows; those of none are none.
func (s *Sessions) variables() map[string]bool {
	known := map[string]bool{}
	if s == nil {
		return known
	}
	for name := range s.Secrets {
		known[name] = true
	}
	for i := range s.Login {
		for name := range s.Login[i].Capture {
			known[name] = true
		}
	}
	return known
}

// ends says whether a status says that the session is over.
func (s *Sessions) ends(code int) bool {
	for _, c := range s.RenewOn {
		if c == code {
			return true
		}
	}
	return false
}

// maxSecrets bounds what a file of secrets may hold, in bytes.
const maxSecrets = 1 << 20

// resolve reads the secrets: for each session the values of its variables. Errors name
// where a value should stand, never the value.
func (s *Sessions) resolve() ([]map[string]string, error) {
	out := make([]map[string]string, s.Size)
	for i := range out {
		out[i] = map[string]string{}
	}
	lines := 1
	for name, x := range s.Secrets {
		values, where, err := x.read()
		if err != nil {
			return nil, err
		}
		if n := len(values); n > 1 && lines > 1 && n != lines {
			return nil, fmt.Errorf("secrets of sessions: %s has %d lines, another file %d: want as many, or one", where, n, lines)
		}
		lines = max(lines, len(values))
		for i := range out {
			out[i][name] = values[i%len(values)]
		}
	}
	return out, nil
}

func (x *Secret) read() (values []string, where string, err error) {
	if x.Env != "" {
		where = "variable " + x.Env + " of the environment"
		values = []string{os.Getenv(x.Env)}
	} else {
		where = "file " + x.File
		info, err := os.Stat(x.File)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > maxSecrets) {
			err = fmt.Errorf("want a file of at most %d bytes", maxSecrets)
		}
		var text []byte
		if err == nil {
			text, err = os.ReadFile(x.File)
		}
		if err != nil {
			return nil, where, fmt.Errorf("read the secrets of sessions: %s: %w", where, err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				values = append(values, line)
			}
		}
	}
	if len(values) == 0 || values[0] == "" {
		return nil, where, fmt.Errorf("secrets of sessions: %s is empty", where)
	}
	for _, v := range values {
		if !capturable(v) {
			return nil, where, fmt.Errorf("secrets of sessions: %s has a value of more than %d bytes or with control characters", where, maxText)
		}
	}
	return values, where, nil
}
