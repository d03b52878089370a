package rehearsal

import (
	"container/heap"
	"fmt"
	"net/http"
	"time"
)

// plan is what arrives: each route, and each flow with its steps.
type plan struct {
	kinds   []Route // by method and route, as telemetry tells them apart
	entries []entryPlan
}

// entryPlan is what an arrival begins: one request, or a flow's.
type entryPlan struct {
	legs []leg
	flow string // its name
}

// leg is one request.
type leg struct {
	step *Exchange
	kind int // its place among the kinds
}

// kinds are the routes that the profile has, those of flows' steps included.
func (p *Profile) kinds() []Route {
	pl := p.plan()
	return pl.kinds
}

func (p *Profile) plan() plan {
	var pl plan
	places := map[[2]string]int{}
	add := func(s *Exchange) leg {
		key := [2]string{s.Method, s.Route.Route}
		at, known := places[key]
		if !known {
			at = len(pl.kinds)
			places[key] = at
			pl.kinds = append(pl.kinds, s.Route)
		}
		return leg{s, at}
	}
	for i := range p.Routes {
		pl.entries = append(pl.entries, entryPlan{legs: []leg{add(&Exchange{Route: p.Routes[i]})}})
	}
	for i := range p.Flows {
		e := entryPlan{flow: p.Flows[i].Flow}
		for k := range p.Flows[i].Steps {
			e.legs = append(e.legs, add(&p.Flows[i].Steps[k]))
		}
		pl.entries = append(pl.entries, e)
	}
	return pl
}

// shares are the rates at which the entries arrive: routes, then flows.
func (p *Profile) shares() []float64 {
	var out []float64
	for i := range p.Routes {
		out = append(out, p.Routes[i].Rate)
	}
	for i := range p.Flows {
		out = append(out, p.Flows[i].Rate)
	}
	return out
}

// job is one request on its way, of an arrival.
type job struct {
	Arrival
	entry   *entryPlan
	n       int // which of the entry's legs
	session *session
	vars    map[string]string // what the flow's answers told
	broken  error             // why the flow can't go on
}

func (j *job) leg() leg { return j.entry.legs[j.n] }

// later are jobs that are due once they are, a heap.
type later []*job

func (l later) Len() int           { return len(l) }
func (l later) Less(a, b int) bool { return l[a].At < l[b].At }
func (l later) Swap(a, b int)      { l[a], l[b] = l[b], l[a] }

// Push is heap.Interface's.
func (l *later) Push(x any) { *l = append(*l, x.(*job)) }

// Pop is heap.Interface's.
func (l *later) Pop() any {
	old := *l
	x := old[len(old)-1]
	*l = old[:len(old)-1]
	return x
}

// answered looks into an answer: the session's cookies, and what the steps after need.
func (r *run) answered(j *job, req *http.Request, res *http.Response) {
	if j.session != nil {
		j.session.take(req.URL, res)
	}
	s := j.leg().step
	if len(s.Capture) == 0 || res.StatusCode >= 400 {
		return
	}
	j.broken = errUnread
	keep := func(body []byte) { j.broken = captureAll(s.Capture, res, body, j.vars) }
	if !inBody(s.Capture) {
		keep(nil)
		return
	}
	res.Body = &captured{ReadCloser: res.Body, done: keep}
}

var errUnread = fmt.Errorf("its answer wasn't read")

// flows counts what became of flows.
type flows struct {
	underWay, begun, completed, broken int
	reasons                            map[string]int
}

// goOn has the flow of a job that was answered go on, or end. end is when its answer
// was read, since the beginning.
func (r *run) goOn(j *job, code int, end time.Duration) {
	if code > 0 && j.session != nil && r.profile.Sessions.ends(code) {
		r.pool.end(r.stopping, j.session)
	}
	if len(j.entry.legs) == 1 && j.entry.flow == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := j.n == len(j.entry.legs)-1
	why := ""
	switch {
	case code == 0:
		why = "wasn't answered"
	case code >= 400:
		why = fmt.Sprintf("was answered %d", code)
	case j.broken != nil:
		why = "went wrong: " + j.broken.Error()
	case !last:
		next := *j
		next.n++
		next.broken = nil
		think := next.leg().step.Think
		// From half of it to one and a half times, the same in every phase.
		x := float64((j.Draw+uint64(next.n))*0x9e3779b97f4a7c15>>11) / (1 << 53)
		next.At = end + time.Duration((0.5+x)*float64(think))
		if next.At < r.o.Warmup+r.o.Length {
			heap.Push(&r.later, &next)
			r.nudge()
			return
		}
	}
	r.flows.underWay--
	r.nudge()
	if j.First < r.o.Warmup {
		return
	}
	switch {
	case why != "":
		r.flows.broken++
		s := j.leg().step
		key := fmt.Sprintf("%s %s %s", s.Method, s.Route.Route, why)
		if r.flows.reasons == nil {
			r.flows.reasons = map[string]int{}
		}
		if r.flows.reasons[key] > 0 || len(r.flows.reasons) < 100 {
			r.flows.reasons[key]++
		}
	case last:
		r.flows.completed++
	}
}

// nudge wakes whoever waits for the next request.
func (r *run) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// manyBroken is the share of broken flows from which on they are doubted.
const manyBroken = 0.02

// tell puts down what became of the flows.
func (f *flows) tell(m *Measured) {
	m.Flows, m.FlowsCompleted, m.FlowsBroken = f.begun, f.completed, f.broken
	if float64(f.broken) <= manyBroken*float64(f.begun) {
		return
	}
	most := ""
	for _, key := range sorted(f.reasons) {
		if f.reasons[key] > f.reasons[most] {
			most = key
		}
	}
	m.Doubts = append(m.Doubts, fmt.Sprintf("%d of %d flows ended before their last step, %d of them since %s", f.broken, f.begun, f.reasons[most], most))
}
