package rehearsal

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// copied is a copy that notes when requests arrive.
type copied struct {
	*httptest.Server
	mu      sync.Mutex
	arrived []time.Time
	seen    []*http.Request
}

func newCopied(t *testing.T, answer http.HandlerFunc) *copied {
	c := &copied{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c.mu.Lock()
		c.arrived = append(c.arrived, time.Now())
		c.seen = append(c.seen, req)
		c.mu.Unlock()
		answer(w, req)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *copied) target(t *testing.T) *Target {
	t.Helper()
	got, err := Aim(t.Context(), c.URL, []string{"127.0.0.1"}, names{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func profile(rate float64) *Profile {
	return &Profile{Service: "checkout", Routes: []Route{{Route: "/place", Path: "/place", Method: "GET", Rate: rate}}}
}

func quick(length time.Duration) Options {
	return Options{Phase: Before, Agent: "test", Length: length, Seed: 3, Timeout: 5 * time.Second, Grace: 200 * time.Millisecond}
}

func played(ctx context.Context, t *testing.T, c *copied, p *Profile, o Options) *Measured {
	t.Helper()
	m, err := Run(ctx, c.target(t), p, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// How slow a copy is doesn't change when it is asked: arrivals follow the schedule,
// where ten workers that wait for their answers would take over 30 seconds for them.
func TestArrivalsDontWaitForAnswers(t *testing.T) {
	t.Parallel()
	const length = 3 * time.Second
	for _, slow := range []time.Duration{0, 2 * time.Second} {
		var under, most atomic.Int64
		c := newCopied(t, func(http.ResponseWriter, *http.Request) {
			most.Store(max(most.Load(), under.Add(1)))
			time.Sleep(slow)
			under.Add(-1)
		})
		p := profile(60)
		began := time.Now()
		o := quick(length)
		o.Timeout = time.Minute
		m := played(t.Context(), t, c, p, o)
		want := 0
		for s := NewSchedule(p, length, o.Seed, false); ; want++ {
			if _, ok := s.Next(); !ok {
				break
			}
		}
		if len(c.arrived) != want || m.Sent != want || m.Partial != "" || m.Codes["200"] != want {
			t.Fatalf("slow %s: %d arrived, %+v, want %d", slow, len(c.arrived), m, want)
		}
		slices.SortFunc(c.arrived, time.Time.Compare)
		if last := c.arrived[want-1].Sub(began); last > length+12*time.Second {
			t.Errorf("slow %s: the last arrived after %s", slow, last)
		}
		// Little's law: rate times latency are under way.
		if slow > 0 && (most.Load() < 60 || m.Concurrency < 80) {
			t.Errorf("at most %d requests were under way, %v on average, want some 120", most.Load(), m.Concurrency)
		}
	}
}

// While a copy that takes one request at a time stands still, those that had to start
// meanwhile are slow as well: coordinated omission would show one slow request.
func TestLatencyCountsFromTheIntendedStart(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	c := newCopied(t, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 40 {
			time.Sleep(time.Second)
		}
	})
	o := quick(3 * time.Second)
	o.Limits.MaxInFlight, o.Uniform = 1, true
	m := played(t.Context(), t, c, profile(50), o)
	slow := 0
	for _, step := range m.tally.steps {
		for k, n := range step[0].buckets {
			if k > 0 && bounds[k-1] >= 0.4 {
				slow += int(n)
			}
		}
	}
	// Those due in the first 600 ms of the second of standstill: 30 of them, and more on
	// a busy machine.
	if slow < 25 {
		t.Errorf("%d requests took over 0.4 s, want some 30", slow)
	}
}

func TestLimiterHoldsTheRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.2, 40).Draw(t, "rate")
		l := newLimiter(rate)
		now := time.Unix(1000, 0)
		var sent []time.Time
		for range 200 {
			// Arrivals come in bursts or late.
			now = now.Add(time.Duration(rapid.IntRange(0, 50_000_000).Draw(t, "gap")))
			if e := l.earliest(); e.After(now) {
				now = e
			}
			l.note(now)
			sent = append(sent, now)
		}
		n := max(1, int(rate))
		window := time.Duration(float64(n) / rate * 1e9)
		for i := n; i < len(sent); i++ {
			if d := sent[i].Sub(sent[i-n]); d < window {
				t.Fatalf("%d requests in %s, want no more than %d in %s", n+1, d, n, window)
			}
		}
	})
}

func TestCapsHold(t *testing.T) {
	t.Parallel()
	c := newCopied(t, func(http.ResponseWriter, *http.Request) {})
	for _, tt := range []struct {
		name   string
		rate   float64
		course []float64
		length time.Duration
		limits Config
		want   string
	}{
		{"rate", 201, nil, time.Second, Config{}, "the cap is 200"},
		{"rate of the busiest part", 150, []float64{0.5, 1.5}, time.Second, Config{}, "the cap is 200"},
		{"duration", 1, nil, time.Hour + 1, Config{}, "the cap is 1h"},
		{"ceiling of the rate", 1, nil, time.Second, Config{MaxRate: 10_001}, "max_rate"},
		{"ceiling of the duration", 1, nil, time.Second, Config{MaxDuration: 25 * time.Hour}, "max_duration"},
		{"too short", 1, nil, time.Millisecond, Config{}, "at least a second"},
	} {
		p := profile(tt.rate)
		p.Course = tt.course
		o := quick(tt.length)
		o.Limits = tt.limits
		if _, err := Run(t.Context(), c.target(t), p, o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if len(c.arrived) > 0 {
		t.Errorf("%d requests were sent all the same", len(c.arrived))
	}
}

// Nothing is sent elsewhere: not where a redirect leads, nor where the name leads
// later on, nor where a path seems to.
func TestNothingGoesElsewhere(t *testing.T) {
	t.Parallel()
	evil := newCopied(t, func(http.ResponseWriter, *http.Request) {})
	c := newCopied(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, evil.URL+"/stolen", http.StatusTemporaryRedirect)
	})
	port := c.Listener.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
	target, err := Aim(t.Context(), fmt.Sprintf("http://copy.example:%d", port), []string{"127.0.0.1"}, names{"copy.example": {{"127.0.0.1"}, {"192.0.2.1"}}})
	if err != nil {
		t.Fatal(err)
	}
	p := profile(40)
	p.Routes = append(p.Routes, Route{Route: "/x", Path: "//" + strings.TrimPrefix(evil.URL, "http://") + "/x", Method: "POST", Rate: 40, Body: "b"})
	m, err := Run(t.Context(), target, p, quick(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(evil.arrived) > 0 {
		t.Errorf("%d requests went elsewhere", len(evil.arrived))
	}
	if m.Codes["307"] != m.Sent || m.Sent < 50 {
		t.Errorf("got %v of %d, want redirects alone", m.Codes, m.Sent)
	}
	for _, req := range c.seen {
		if req.Host != fmt.Sprintf("copy.example:%d", port) || req.Header.Get("X-Vegeta-Seq") != "" || req.Header.Get("X-Aftershock-Rehearsal") != Before {
			t.Fatalf("asked as %s with %v", req.Host, req.Header)
		}
	}
}

func TestPhaseEndsWhenTheCopyFails(t *testing.T) {
	t.Parallel()
	c := newCopied(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	m := played(t.Context(), t, c, profile(100), quick(30*time.Second))
	if !strings.Contains(m.Partial, "100% of the requests") || m.Sent > 100 || m.Failed != m.Sent {
		t.Errorf("partial %q, %d sent, %d failed", m.Partial, m.Sent, m.Failed)
	}
	// With half of them failing, a limit of all is never reached.
	var n atomic.Int64
	half := newCopied(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	o := quick(time.Second)
	o.Limits.StopErrors = 0.9
	if m := played(t.Context(), t, half, profile(100), o); m.Partial != "" || m.Failed < m.Sent/2-1 {
		t.Errorf("partial %q, %d of %d failed", m.Partial, m.Failed, m.Sent)
	}
}

// A phase that is interrupted keeps what is complete, and no request that was cut off.
func TestInterruptedPhaseIsKept(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c := newCopied(t, nil)
	c.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		c.mu.Lock()
		c.arrived = append(c.arrived, time.Now())
		n := len(c.arrived)
		c.mu.Unlock()
		if n == 150 {
			stop()
		}
		if n > 130 {
			select {
			case <-req.Context().Done():
			case <-time.After(10 * time.Second):
			}
		}
	})
	o := quick(time.Minute)
	o.Timeout = 30 * time.Second
	began := time.Now()
	m := played(ctx, t, c, profile(60), o)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s to end", took)
	}
	if m.Partial != "interrupted" || m.Abandoned == 0 || m.Steps == 0 {
		t.Fatalf("got %+v", m)
	}
	counted := 0
	for _, step := range m.tally.steps {
		for _, n := range step[0].codes {
			counted += int(n)
		}
	}
	if counted == 0 || counted > 130 {
		t.Errorf("%d requests in %d steps, want those before the first that was cut off", counted, m.Steps)
	}
	store := Store{Dir: t.TempDir()}
	if err := store.Keep(m); err != nil {
		t.Fatal(err)
	}
	again, err := store.Load(Before)
	if err != nil {
		t.Fatal(err)
	}
	if len(again) != 1 || again[0].Partial != "interrupted" || again[0].Steps != m.Steps || !again[0].Started.Equal(m.Started) || again[0].Step != m.Step {
		t.Errorf("read back %+v, wrote %+v", again, m)
	}
}

// What is written as telemetry is what was measured.
func TestOpenMetricsHoldsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	m := &Measured{
		Phase: Before, Service: `a"b\c`, Started: time.UnixMilli(1_772_000_000_123).UTC(), Step: Seconds(time.Second),
		tally: newTally(time.Second, 3*time.Second, 2), routes: []Route{{Route: "/a", Method: "GET"}, {Route: "/b\n", Method: "PUT"}},
	}
	for i := range 30 {
		o := outcome{route: i % 2, at: time.Duration(i) * 100 * time.Millisecond, latency: time.Duration(i) * time.Millisecond, code: "200"}
		if i%10 == 9 {
			o.code = codeError
		}
		m.count(&o, false, 0)
	}
	m.conclude()
	var text bytes.Buffer
	if err := m.OpenMetrics(&text); err != nil {
		t.Fatal(err)
	}
	last, times := map[string]float64{}, map[string]int{}
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndex(line, "} ")
		fields := strings.Fields(line[at+1:])
		v, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		if v < last[line[:at+1]] {
			t.Errorf("%s goes down", line[:at+1])
		}
		last[line[:at+1]] = v
		times[fields[1]]++
	}
	if diff := cmp.Diff([]string{"1772000000.123", "1772000001.123", "1772000002.123", "1772000003.123"}, sorted(times)); diff != "" {
		t.Errorf("times (-want +got)\n%s", diff)
	}
	b := `{service="a\"b\\c",http_route="/b\n",http_request_method="PUT",instance="rehearsal"`
	for name, want := range map[string]float64{
		"rehearsal_request_duration_seconds_count" + b + "}":               12, // 15 less the 3 without an answer
		"rehearsal_request_duration_seconds_bucket" + b + `,le="+Inf"}`:    12,
		"rehearsal_request_duration_seconds_bucket" + b + `,le="0.00477"}`: 2, // 1 and 3 ms
		"rehearsal_requests_total" + b + `,code="200"}`:                    12,
		"rehearsal_requests_total" + b + `,code="error"}`:                  3,
	} {
		if got, ok := last[name]; !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if !strings.HasSuffix(text.String(), "# EOF\n") {
		t.Error("no end")
	}
}

// A copy with a certificate of an authority of its own is measured where that is given,
// and fails where it isn't.
func TestCertificatesAreChecked(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	target, err := Aim(t.Context(), s.URL, []string{"127.0.0.1"}, names{})
	if err != nil {
		t.Fatal(err)
	}
	for _, trusted := range []bool{true, false} {
		o := quick(time.Second)
		if trusted {
			o.Roots = x509.NewCertPool()
			o.Roots.AddCert(s.Certificate())
		}
		m, err := Run(t.Context(), target, profile(15), o)
		if err != nil {
			t.Fatal(err)
		}
		if m.Sent == 0 || (m.Failed == 0) != trusted || m.Codes["200"] > 0 != trusted {
			t.Errorf("trusted %t: %+v", trusted, m)
		}
	}
}
