package fleet

import (
	"fmt"
	"slices"
	"time"
)

// Kinds of worlds. In the first four a binary is to blame, in the last two are.
const (
	Backoff        = "backoff" // other constants in a binary's client of a third party
	Latency        = "latency" // a slower path through a binary
	Pool           = "pool"    // queueing in a binary above some load
	Errors         = "errors"  // a binary fails more often
	None           = "none"
	ThirdParty     = "none-thirdparty"     // a third party gets worse around the upgrade
	Load           = "none-load"           // a surge of load
	Infrastructure = "none-infrastructure" // everything gets slower
	Drift          = "none-drift"          // a service that got slower all the time before, too
	Layout         = "none-layout"         // other bucket bounds in the new builds
	WarmUp         = "none-warmup"         // long cold caches after the restarts
	Mix            = "none-mix"            // other shares of routes in the traffic
	TwoCulprits    = "two-culprits"        // two binaries have a fault of the first four kinds each
)

// Kinds lists the kinds of worlds with one culprit or none, in the order of
// reports. What is measured over all kinds is measured over these.
func Kinds() []string {
	return []string{Backoff, Latency, Pool, Errors, None, ThirdParty, Load, Infrastructure, Drift, Layout, WarmUp, Mix}
}

// AllKinds lists all kinds of worlds.
func AllKinds() []string { return append(Kinds(), TwoCulprits) }

// Guilty says whether a binary is to blame in worlds of the kind.
func Guilty(kind string) bool { return kind == TwoCulprits || slices.Contains(Kinds()[:4], kind) }

// World is a simulated fleet over some days, with one upgrade.
type World struct {
	Kind string
	Seed uint64
	// Start is the beginning of the first minute. Minutes is how many there
	// are, and Upgrade the one in which the upgrade begins.
	Start            time.Time
	Minutes, Upgrade int
	// Covariates is what the telemetry tells beside the indicators.
	Covariates Covariates

	rand     source
	services []*service
	routes   []*route
	peers    []*peer
	deploys  []deploy
	trouble  []trouble
	ills     []string // what the faults are of
	faults   []*fault // each of another binary
	// coldness is how slow a restarted process is, coldFor how long.
	coldness, coldFor float64
	renames           bool // instances change their names at the upgrade
	counted           bool // requests are counted by status
	gaps              [][2]int
	missed            float64
	course            course
	quiet             *quiet
}

type service struct {
	name      string
	instances []*instance
	layout    *layout
	routeless bool // its latencies don't tell routes apart
	client    client
	infra     float64 // how much it suffers from the infrastructure
	steep     float64 // how much slower it is at its usual peak of load
	noise     [3]wobble
	storms    float64 // GC storms a day
	spikes    float64 // a day
	errors    float64 // share of requests that it fails
	usual     float64 // requests a minute at the usual daily peak
}

type instance struct {
	slot     int
	skill    float32 // how slow it is, about 1
	restarts []int   // minutes, ascending
	upgraded int     // the restart that brought the new build; -1: none
	layout   *layout // of the new build
}

// route is what a request asks for: a path through services.
type route struct {
	name   string
	path   []int // services, from the gateway
	hops   []hop
	rate   float64 // requests a minute, mean over a week
	phase  float64 // hours
	swing  float64
	noise  [2]wobble
	peer   int // third party, -1: none
	caller int // hop that calls it
	heavy  float64
	weight float32 // of heavy requests
}

// hop is what a service does for a route.
type hop struct {
	own, miss *shape
	missing   float64 // share of cache misses
	pausing   float64 // share of requests that meet a collector's pause
	pause     float32 // mean pause, seconds
}

// client is how a service calls third parties.
type client struct {
	attempts           int
	base, factor, most float32 // sleeps, seconds
	timeout            float32
}

type peer struct {
	name           string
	ok             *shape
	failing        float64 // share of failed first attempts
	hold           float64 // how surely an attempt right after a failure fails
	fade           float32 // seconds
	bursts         float64 // a day
	outages, slows float64 // a day
	noise          [2]wobble
}

type deploy struct {
	service int
	at      int
}

// trouble is something that befalls the fleet and is no binary's fault.
type trouble struct {
	kind     string
	from, to int
	on       int
	size     float64
	slow     float64
}

// New plans the world of a kind and a seed.
func New(kind string, seed uint64) (*World, error) { return NewOf(kind, seed, 0) }

// NewOf plans the world of a kind and a seed in which so many binaries change, or
// as many as there are. 0 means two to four.
func NewOf(kind string, seed uint64, binaries int) (*World, error) {
	if !slices.Contains(AllKinds(), kind) || binaries < 0 {
		return nil, fmt.Errorf("plan a world: unknown kind %q of %d binaries; there are %v", kind, binaries, AllKinds())
	}
	root := source(mix(seed*golden + 12345))
	w := &World{Kind: kind, Seed: seed, rand: *root.fork(1), Covariates: Usual}
	w.setIlls(root.fork(7))
	w.plan(root.fork(2))
	w.roll(root.fork(3), binaries)
	w.setTrouble(root.fork(4))
	w.course = w.draw(root.fork(5))
	luck := root.fork(6)
	for _, ill := range w.ills {
		w.addFault(luck, ill)
	}
	return w, nil
}

// setIlls says what the faults are of. It has a stream of its own.
func (w *World) setIlls(r *source) {
	switch {
	case w.Kind == TwoCulprits:
		w.ills = []string{pick(r, Kinds()[:4]), pick(r, Kinds()[:4])}
	case Guilty(w.Kind):
		w.ills = []string{w.Kind}
	}
}

// Binary is the name of a service's program.
func (s *service) binary() string { return "dten-" + s.name }

// version says whether the instance runs the new build in a minute, and since
// when the process has been running.
func (i *instance) version(t int) (upgraded bool, since int) {
	since = -1 << 20
	for _, r := range i.restarts {
		if r <= t {
			since = r
		}
	}
	return i.upgraded >= 0 && i.upgraded <= t, since
}

func (i *instance) name(s *service, upgraded, renames bool) string {
	switch {
	case !renames || i.upgraded < 0:
		return fmt.Sprintf("%s-%d", s.name, i.slot)
	case upgraded:
		return fmt.Sprintf("%s-b41d-%d", s.name, i.slot)
	}
	return fmt.Sprintf("%s-7c9f-%d", s.name, i.slot)
}

func (s *service) layoutOf(i *instance, upgraded bool) *layout {
	if upgraded && i.layout != nil {
		return i.layout
	}
	return s.layout
}

// Time is the beginning of a minute.
func (w *World) Time(minute int) time.Time { return w.Start.Add(time.Duration(minute) * time.Minute) }
