package rehearsal

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"
)

// Bounds of a profile.
const (
	MaxProfileSize = 8 << 20 // bytes
	maxRoutes      = 100
	maxHeaders     = 50
	maxValues      = 10_000 // of one parameter
	maxBody        = 1 << 20
	maxText        = 4 << 10 // bytes of a path or a header
	maxCourse      = 1440    // parts of a course
	maxProblems    = 20      // that are told of one profile
)

// Profile is the traffic of one service: which requests arrive how often. Its YAML
// (or JSON) form is that of profile files.
type Profile struct {
	// Service is the service's name, as its series have it in label service.
	Service string `yaml:"service"`
	// Concurrency is how many requests production had under way on average, for
	// comparison; 0 where that isn't known. It isn't asked for: in an open model it
	// follows from the rate and the copy's latency.
	Concurrency float64 `yaml:"concurrency,omitempty"`
	Routes      []Route `yaml:"routes,omitempty"`
	// Flows are sequences of requests beside the routes; Sessions log both in.
	Flows    []Flow    `yaml:"flows,omitempty"`
	Sessions *Sessions `yaml:"sessions,omitempty"`
	// Course are the rates of equal parts of the time, relative to the mean; empty
	// where the rate is constant.
	Course []float64 `yaml:"course,omitempty,flow"`
}

// Route is one kind of request.
type Route struct {
	// Route is the template that telemetry calls it by: /orders/{id}.
	Route string `yaml:"route"`
	// Method is the HTTP method; GET where it is left out.
	Method string `yaml:"method,omitempty"`
	// Rate is the mean of requests per second.
	Rate float64 `yaml:"rate,omitempty"`
	// Anonymous requests belong to no session, where there are any.
	Anonymous bool `yaml:"anonymous,omitempty"`
	// Path is what is asked for, with a query if need be; Route where it is left out.
	Path string `yaml:"path,omitempty"`
	// Values are what stands for a parameter of the path; one of each is drawn.
	Values  map[string][]string `yaml:"values,omitempty"`
	Headers map[string]string   `yaml:"headers,omitempty"`
	Body    string              `yaml:"body,omitempty"`

	// recorded are requests that were seen, which stand in for Path and Body.
	recorded []Recorded
	// guessed says that nothing told the method: it is that of the recorded requests.
	guessed bool
}

// Recorded is a request that a recording has.
type Recorded struct {
	Method  string
	Target  string // path with query, from the slash on
	Headers map[string]string
	Body    string
}

// ParseProfile reads a profile, YAML or JSON, of at most MaxProfileSize bytes.
// Unknown fields are an error that names them.
func ParseProfile(data []byte) (Profile, error) {
	var p Profile
	if len(data) > MaxProfileSize {
		return p, fmt.Errorf("larger than %d bytes", MaxProfileSize)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&p); err != nil {
		if errors.Is(err, io.EOF) {
			return Profile{}, errors.New("is empty")
		}
		return Profile{}, errors.New(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n", "; "))
	}
	p.setDefaults()
	if err := errors.Join(p.Validate()...); err != nil {
		return Profile{}, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return p, nil
}

// Marshal is the profile as YAML. What came from a recording isn't in it.
func (p Profile) Marshal() ([]byte, error) { return yaml.Marshal(p) }

func (p *Profile) setDefaults() {
	for i := range p.Routes {
		p.Routes[i].setDefaults()
	}
	for i := range p.Flows {
		for k := range p.Flows[i].Steps {
			p.Flows[i].Steps[k].setDefaults()
		}
	}
	if s := p.Sessions; s != nil {
		s.Size = cmp.Or(s.Size, 10)
		if len(s.RenewOn) == 0 {
			s.RenewOn = []int{http.StatusUnauthorized}
		}
		for i := range s.Login {
			s.Login[i].Route.Route = cmp.Or(s.Login[i].Route.Route, s.Login[i].Path)
			s.Login[i].setDefaults()
		}
	}
}

func (r *Route) setDefaults() {
	r.Method = cmp.Or(r.Method, "GET")
	r.Path = cmp.Or(r.Path, r.Route)
}

// Validate names every problem of the profile by its path in the file, at most 20.
func (p *Profile) Validate() []error {
	var errs []error
	fail := func(format string, args ...any) {
		if len(errs) < maxProblems {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	if len(p.Service) > 256 {
		fail("service: longer than 256 bytes")
	}
	if !(p.Concurrency >= 0) || math.IsInf(p.Concurrency, 0) {
		fail("concurrency: want a number from 0 on")
	}
	if len(p.Routes)+len(p.Flows) == 0 || len(p.Routes) > maxRoutes {
		fail("routes: %d of them, want 1 to %d", len(p.Routes), maxRoutes)
	}
	seen := map[string]bool{}
	for i := range p.Routes[:min(len(p.Routes), maxRoutes)] {
		r := &p.Routes[i]
		key := r.Method + " " + r.Route
		if seen[key] {
			fail("routes[%d]: %s comes twice", i, key)
		}
		seen[key] = true
		for _, err := range r.validate() {
			fail("routes[%d].%w", i, err)
		}
	}
	p.validateSessions(fail)
	if len(p.Course) > maxCourse {
		fail("course: %d parts, want at most %d", len(p.Course), maxCourse)
	}
	sum := 0.0
	for i, x := range p.Course {
		if !(x >= 0 && x <= 1000) {
			fail("course[%d]: want a number from 0 to 1000", i)
		}
		sum += x
	}
	if len(p.Course) > 0 && !(sum > 0) {
		fail("course: nothing arrives in any part")
	}
	return errs
}

var methods = regexp.MustCompile(`^[A-Z]{1,20}$`)

var errRate = fmt.Errorf("rate: want requests per second, over 0 and at most %d", CeilingRate)

func (r *Route) validate() []error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.Route == "" || len(r.Route) > maxText {
		fail("route: want 1 to %d bytes", maxText)
	}
	if !methods.MatchString(r.Method) || r.Method == http.MethodConnect {
		fail("method: %.40q is no method in capitals that can be sent", r.Method)
	}
	if !(r.Rate > 0 && r.Rate <= CeilingRate) {
		fail("%w", errRate)
	}
	if err := r.validatePath(); err != nil {
		fail("path: %w", err)
	}
	if len(r.Headers) > maxHeaders {
		fail("headers: %d of them, want at most %d", len(r.Headers), maxHeaders)
	}
	for n, v := range r.Headers {
		if err := sendable(n, v); err != nil {
			fail("headers: %w", err)
		}
	}
	if len(r.Body) > maxBody {
		fail("body: longer than %d bytes", maxBody)
	}
	return errs
}

func (r *Route) validatePath() error {
	if err := pathError(r.Path); err != nil {
		return err
	}
	for name, values := range r.Values {
		if len(values) == 0 || len(values) > maxValues {
			return fmt.Errorf("%d values of %.40q, want 1 to %d", len(values), name, maxValues)
		}
		for _, v := range values {
			if len(v) > maxText {
				return fmt.Errorf("a value of %.40q is longer than %d bytes", name, maxText)
			}
		}
	}
	return nil
}

// pathError says what is wrong with a path that is to be asked for.
func pathError(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return errors.New("want a path that begins with a slash")
	case len(path) > maxText:
		return fmt.Errorf("longer than %d bytes", maxText)
	case strings.ContainsFunc(path, func(c rune) bool { return c < 0x20 || c == 0x7f || c == ' ' || c == '#' || c == '\\' }):
		return errors.New("has a space, a backslash, a # or a control character; escape it by %")
	}
	if _, err := url.ParseRequestURI(path); err != nil {
		return errors.New("can't be parsed")
	}
	return nil
}

// forced are headers that are the transport's business.
var forced = []string{
	"Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Connection",
	"Proxy-Authorization", "Expect",
}

func sendable(name, value string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%.60q is no name of a header", name)
	case slices.Contains(forced, textproto.CanonicalMIMEHeaderKey(name)):
		return fmt.Errorf("%s can't be set", name)
	case len(name)+len(value) > maxText || !httpguts.ValidHeaderFieldValue(value):
		return fmt.Errorf("the value of %.60s is longer than %d bytes or has control characters", name, maxText)
	}
	return nil
}

// Rate is the mean of requests per second over all routes and the steps of all flows.
func (p *Profile) Rate() float64 {
	sum := 0.0
	for i := range p.Routes {
		sum += p.Routes[i].Rate
	}
	for i := range p.Flows {
		sum += p.Flows[i].Rate * float64(len(p.Flows[i].Steps))
	}
	return sum
}

// Peak is the rate of the busiest part of the course.
func (p *Profile) Peak() float64 {
	rate := p.Rate()
	if len(p.Course) == 0 {
		return rate
	}
	sum := 0.0
	for _, x := range p.Course {
		sum += x
	}
	return rate * slices.Max(p.Course) * float64(len(p.Course)) / sum
}

// Scale multiplies all rates.
func (p *Profile) Scale(by float64) {
	for i := range p.Routes {
		p.Routes[i].Rate *= by
	}
	for i := range p.Flows {
		p.Flows[i].Rate *= by
	}
	p.Concurrency *= by
}

// Digest tells two profiles apart, recorded requests included. Two phases compare
// only where it is the same.
func (p *Profile) Digest() string {
	h := sha256.New()
	text, err := p.Marshal()
	if err != nil {
		return ""
	}
	h.Write(text)
	for i := range p.Routes {
		for _, q := range p.Routes[i].recorded {
			fmt.Fprintf(h, "%d %q %q %q\n", i, q.Method, q.Target, q.Body)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// parameter is a part of a path that something is to be put in for: {id}, {id...},
// :id, <id>, <int:id>, * and **.
var parameter = regexp.MustCompile(`\{[^{}/]*\}|<[^<>/]*>|(?:^|/):[A-Za-z_][A-Za-z0-9_]*|\*+`)

// open are the names of what the path leaves open and neither values, recorded requests
// nor known variables fill.
func (r *Route) open(known map[string]bool) []string {
	if len(r.recorded) > 0 {
		return nil
	}
	path, _, _ := strings.Cut(r.Path, "?")
	var open []string
	for _, m := range parameter.FindAllString(path, -1) {
		if name := parameterName(m); len(r.Values[name]) == 0 && !(known[name] && m == "{"+name+"}") {
			open = append(open, name)
		}
	}
	return open
}

func parameterName(m string) string {
	m = strings.TrimPrefix(m, "/")
	m = strings.TrimSuffix(strings.Trim(m, "{}<>:"), "...")
	if _, name, ok := strings.Cut(m, ":"); ok { // {id:[0-9]+}, <int:id>
		if strings.HasPrefix(m, "int:") || strings.HasPrefix(m, "string:") || strings.HasPrefix(m, "path:") || strings.HasPrefix(m, "uuid:") {
			return name
		}
		m, _, _ = strings.Cut(m, ":")
	}
	return m
}

// Drop takes out the routes that nothing can be asked for, since their path leaves
// something open, and says which they are and what share of the traffic they had.
func (p *Profile) Drop() (dropped []string, share float64) {
	total := p.Rate()
	var kept []Route
	for i := range p.Routes {
		r := &p.Routes[i]
		if open := r.open(p.Sessions.variables()); len(open) > 0 {
			dropped = append(dropped, r.Method+" "+r.Route)
			share += r.Rate / total
			continue
		}
		kept = append(kept, *r)
	}
	p.Routes = kept
	return dropped, share
}

// request is what the route asks for under a draw.
func (r *Route) request(draw uint64) Recorded {
	if n := uint64(len(r.recorded)); n > 0 {
		return r.recorded[draw%n]
	}
	path, query, asks := strings.Cut(r.Path, "?")
	path = parameter.ReplaceAllStringFunc(path, func(m string) string {
		values := r.Values[parameterName(m)]
		if len(values) == 0 {
			return m
		}
		v := values[draw%uint64(len(values))]
		draw = draw*6364136223846793005 + 1442695040888963407 // Knuth's MMIX: the next draw
		draw ^= draw >> 29
		slash := ""
		if strings.HasPrefix(m, "/") {
			slash = "/"
		}
		return slash + url.PathEscape(v)
	})
	if asks {
		path += "?" + query
	}
	return Recorded{Method: r.Method, Target: path, Headers: r.Headers, Body: r.Body}
}
