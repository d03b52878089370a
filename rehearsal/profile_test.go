package rehearsal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseProfileNamesProblems(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "is empty"},
		{"no routes", "service: a", "routes: 0 of them"},
		{"unknown key", "routes: [{route: /, rate: 1, rates: 2}]", "rates not found"},
		{"no rate", "routes: [{route: /}]", "routes[0].rate: want"},
		{"not a number", "routes: [{route: /, rate: .nan}]", "routes[0].rate: want"},
		{"too fast", "routes: [{route: /, rate: 10001}]", "routes[0].rate: want"},
		{"other host", "routes: [{route: /, rate: 1, path: 'http://evil/'}]", "routes[0].path: want a path that begins with a slash"},
		{"fragment", "routes: [{route: /, rate: 1, path: '/a#7'}]", "routes[0].path: has a space"},
		{"split", "routes: [{route: /, rate: 1, path: \"/a\\r\\nHost: evil\"}]", "routes[0].path: has a space"},
		{"host header", "routes: [{route: /, rate: 1, headers: {host: evil}}]", "host can't be set"},
		{"header smuggled", "routes: [{route: /, rate: 1, headers: {a: \"b\\r\\nc: d\"}}]", "control characters"},
		{"method", "routes: [{route: /, rate: 1, method: CONNECT}]", "routes[0].method"},
		{"twice", "routes: [{route: /, rate: 1}, {route: /, rate: 2, method: GET}]", "GET / comes twice"},
		{"course of nothing", "routes: [{route: /, rate: 1}]\ncourse: [0, 0]", "nothing arrives"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseProfile([]byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, tt.want)
			}
		})
	}
}

func TestProfileSurvivesItsFile(t *testing.T) {
	t.Parallel()
	p, err := ParseProfile([]byte(`{"service": "checkout", "concurrency": 2.5, "course": [0.5, 1.5], "routes": [
		{"route": "/orders/{id}", "method": "PUT", "rate": 1.25, "values": {"id": ["1"]}, "headers": {"Content-Type": "application/json"}, "body": "{}"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseProfile(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, again, cmp.AllowUnexported(Route{})); diff != "" || p.Digest() != again.Digest() {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if p.Peak() != 1.875 {
		t.Errorf("peak: got %v, want 1.25 x 1.5", p.Peak())
	}
}

func TestParametersAreFilled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path   string
		values map[string][]string
		want   string // what is asked for
		open   []string
	}{
		{"/a", nil, "/a", nil},
		{"/a/{id}", map[string][]string{"id": {"x y/z"}}, "/a/x%20y%2Fz", nil},
		{"/a/:id/b", map[string][]string{"id": {"7"}}, "/a/7/b", nil},
		{"/a/<int:id>?q={id}", map[string][]string{"id": {"7"}}, "/a/7?q={id}", nil},
		{"/a/{rest...}", map[string][]string{"rest": {"7"}}, "/a/7", nil},
		{"/a/{id:[0-9]+}/*", nil, "", []string{"id", "*"}},
		{"/time/12:30", nil, "/time/12:30", nil},
	} {
		r := Route{Route: tt.path, Path: tt.path, Method: "GET", Rate: 1, Values: tt.values}
		open := r.open(nil)
		if diff := cmp.Diff(tt.open, open); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.path, diff)
		}
		if got := r.request(5).Target; len(open) == 0 && got != tt.want {
			t.Errorf("%s: asks for %s, want %s", tt.path, got, tt.want)
		}
	}
}

func TestAttachFindsTheRoute(t *testing.T) {
	t.Parallel()
	p := Profile{Routes: []Route{
		{Route: "/orders/{id}", Method: "GET", Rate: 1},
		{Route: "/orders/new", Method: "GET", Rate: 1},
		{Route: "/static/*", Method: "GET", Rate: 1},
		{Route: "/orders/{id}", Method: "POST", Rate: 1, Body: "own"},
	}}
	got := p.Attach([]Recorded{
		{Method: "GET", Target: "/orders/7?full=1"},
		{Method: "GET", Target: "/orders/new"},
		{Method: "GET", Target: "/static/a/b.css"},
		{Method: "POST", Target: "/orders/9", Body: "theirs"},
		{Method: "GET", Target: "/orders/"},
		{Method: "GET", Target: "/else"},
		{Method: "GET", Target: "http://evil/orders/7"},
	})
	if got != 4 {
		t.Errorf("%d matched, want 4", got)
	}
	want := []string{"/orders/7?full=1", "/orders/new", "/static/a/b.css", "/orders/9 own"}
	for i, w := range want {
		q := p.Routes[i].request(0)
		if s := strings.TrimSpace(q.Target + " " + q.Body); s != w {
			t.Errorf("route %d asks for %q, want %q", i, s, w)
		}
	}
	if dropped, share := p.Drop(); len(dropped) > 0 || share != 0 {
		t.Errorf("dropped %v, though requests of all were recorded", dropped)
	}
}

// The arrivals are those of a Poisson process with the rate, the mix and the course
// that the profile has.
func TestScheduleHasTheProfilesRates(t *testing.T) {
	t.Parallel()
	p := Profile{Routes: []Route{{Rate: 30}, {Rate: 10}}, Course: []float64{0.5, 1.5}}
	for _, uniform := range []bool{false, true} {
		var routes, halves [2]float64
		var gaps, squares, n float64
		last := 0.0
		s := NewSchedule(&p, 1000e9, 5, uniform)
		for {
			a, ok := s.Next()
			if !ok {
				break
			}
			at := a.At.Seconds()
			if at < last || at >= 1000 {
				t.Fatalf("arrival at %v after %v", at, last)
			}
			routes[a.Route]++
			half := int(at / 500)
			halves[half]++
			if half == 1 && last >= 500 {
				gaps, squares, n = gaps+at-last, squares+(at-last)*(at-last), n+1
			}
			last = at
		}
		near := func(what string, got, want, sd float64) {
			if got < want-5*sd || got > want+5*sd {
				t.Errorf("uniform %t: %s: got %v, want %v ± %v", uniform, what, got, want, sd)
			}
		}
		near("first half", halves[0], 10_000, 100)
		near("second half", halves[1], 30_000, 173)
		near("share of the first route", routes[0]/(routes[0]+routes[1]), 0.75, 0.0022)
		// The gaps of a Poisson process have a deviation as large as their mean.
		mean := gaps / n
		cv := (squares/n - mean*mean) / (mean * mean)
		if want := map[bool]float64{false: 1, true: 0}[uniform]; cv < want-0.1 || cv > want+0.1 {
			t.Errorf("uniform %t: squared coefficient of variation of the gaps: got %v, want %v", uniform, cv, want)
		}
	}
}

func TestScheduleRepeatsItself(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Profile{Routes: []Route{{Rate: rapid.Float64Range(0.1, 50).Draw(t, "rate")}, {Rate: rapid.Float64Range(0.1, 50).Draw(t, "other")}}}
		if rapid.Bool().Draw(t, "course") {
			p.Course = rapid.SliceOfN(rapid.Float64Range(0, 3), 1, 6).Draw(t, "parts")
			p.Course[0] += 0.1
		}
		seed := rapid.Uint64().Draw(t, "seed")
		a, b := NewSchedule(&p, 10e9, seed, false), NewSchedule(&p, 10e9, seed, false)
		for {
			x, ok := a.Next()
			y, also := b.Next()
			if x != y || ok != also {
				t.Fatalf("got %+v and %+v", x, y)
			}
			if !ok {
				return
			}
		}
	})
}

func FuzzParseProfile(f *testing.F) {
	f.Add([]byte(shopProfile))
	f.Add([]byte("routes: [{route: /a/{id}, rate: 1, values: {id: [x]}}]"))
	f.Add([]byte(`{"routes":[{"route":"/","rate":1e-300,"headers":{"a":"b"}}],"course":[1,2]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseProfile(data)
		if err != nil {
			return
		}
		p.Drop()
		if len(p.Routes)+len(p.Flows) == 0 {
			return
		}
		plan, vars := p.plan(), p.Sessions.variables()
		values := map[string]string{}
		for _, e := range plan.entries {
			for _, l := range e.legs {
				for name := range l.step.Capture {
					vars[name] = true
				}
			}
		}
		for name := range vars {
			values[name] = `a/b?c d#"%\`
		}
		s := NewSchedule(&p, 1e9, 1, false)
		for range 50 {
			a, ok := s.Next()
			if !ok {
				break
			}
			for _, l := range plan.entries[a.Route].legs {
				if q := l.step.request(a.Draw).filled(values); pathError(q.Target) != nil {
					t.Fatalf("%+v asks for %q: %v", l.step, q.Target, pathError(q.Target))
				}
			}
		}
		if _, err := p.Marshal(); err != nil {
			t.Fatal(fmt.Errorf("write what was read: %w", err))
		}
	})
}

// Where telemetry doesn't tell the method, the recording does.
func TestAttachTellsTheMethod(t *testing.T) {
	t.Parallel()
	p := Profile{Routes: []Route{{Route: "/pay", Method: "GET", guessed: true}, {Route: "/told", Method: "GET"}}}
	all := []Recorded{{Method: "POST", Target: "/pay", Body: "1"}, {Method: "GET", Target: "/pay"}, {Method: "POST", Target: "/told"}}
	if n := p.Attach(all); n != 1 || p.Routes[0].Method != "POST" || len(p.Routes[0].recorded) != 1 || p.Routes[1].Method != "GET" {
		t.Errorf("%d matched: %+v", n, p.Routes)
	}
}
