package fleet

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/klauspost/compress/zstd"
)

// WriteFiles simulates the world and writes it to a folder, which it makes:
// telemetry.om.zst, upgrade.json and answer.json.
func (w *World) WriteFiles(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the world's folder: %w", err)
	}
	r := newRecorder(w)
	if err := w.run(r); err != nil {
		return err
	}
	if err := r.write(filepath.Join(dir, "telemetry.om.zst")); err != nil {
		return fmt.Errorf("write telemetry: %w", err)
	}
	for name, v := range map[string]any{"upgrade.json": w.UpgradeRecord(), "answer.json": w.Answer()} {
		text, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// recorder keeps every sample of every series.
type recorder struct {
	w      *World
	t      int
	series map[string]*record
	sums   map[sumKey]*tally // what the process has counted so far
	known  map[recordsKey][]*record
	edges  map[[2]int]int
	order  int
}

func newRecorder(w *World) *recorder {
	return &recorder{w: w, series: make(map[string]*record), sums: make(map[sumKey]*tally), known: make(map[recordsKey][]*record), edges: make(map[[2]int]int)}
}

type recordsKey struct {
	process string
	slot    *slot
	layout  *layout
}

type sumKey struct {
	instance *instance
	slot     *slot
}

// record is a series in the making. Series are written by metric, then in order
// of their making.
type record struct {
	name         string
	metric, rank int
	times        []int32
	values       []float64
}

const (
	latencyFamily = iota
	requestFamily
	callFamily
	retryFamily
	firstFamily
	retriedFamily
	graphFamily
	infoFamily
)

func (r *recorder) begin(t int)   { r.t = t }
func (r *recorder) end(int) error { return nil }

func (r *recorder) find(metric int, name string) *record {
	s := r.series[name]
	if s == nil {
		r.order++
		s = &record{name: name, metric: metric, rank: r.order}
		r.series[name] = s
	}
	return s
}

func (r *recorder) put(s *record, v float64) {
	s.times = append(s.times, int32(r.t))
	s.values = append(s.values, v)
}

func (r *recorder) called(client, server, count int) {
	r.edges[[2]int{client, server}] += count
	name := fmt.Sprintf("traces_service_graph_request_total{client=%q,server=%q}", r.w.services[client].name, r.w.services[server].name)
	r.put(r.find(graphFamily, name), float64(r.edges[[2]int{client, server}]))
}

func (r *recorder) scraped(p process, counts []counted, _ bool) {
	version := oldVersion
	if p.upgraded {
		version = newVersion
	}
	if r.w.Covariates.Builds {
		name := fmt.Sprintf("dten_build_info{service=%q,instance=%q,binary=%q,version=%q}", p.service.name, p.name, p.service.binary(), version)
		r.put(r.find(infoFamily, name), 1)
	}
	for i := range counts {
		c := &counts[i]
		key := sumKey{p.instance, c.slot}
		sum := r.sums[key]
		if sum == nil || p.began {
			sum = &tally{}
			r.sums[key] = sum
		}
		sum.add(&c.tally)
		r.counter(p, c.slot, sum)
	}
}

// counter puts down an indicator's counters, in the order of records.
func (r *recorder) counter(p process, s *slot, sum *tally) {
	to := r.records(p, s)
	switch s.kind {
	case "latency":
		below, n := uint64(0), len(p.layout.bounds)
		for b := range n {
			below += sum.hist[b]
			r.put(to[b], float64(below))
		}
		r.put(to[n], float64(sum.total))
		r.put(to[n+1], round(sum.sum))
	case "error":
		r.put(to[0], float64(sum.total-sum.bad))
		r.put(to[1], float64(sum.bad))
	default:
		r.put(to[0], float64(sum.total))
		r.put(to[1], float64(sum.bad))
		if r.w.Covariates.FirstAttempts {
			r.put(to[2], float64(sum.first))
			r.put(to[3], float64(sum.retried))
		}
	}
}

// records are the series of an indicator on a process.
func (r *recorder) records(p process, s *slot) []*record {
	key := recordsKey{p.name, s, p.layout}
	if known := r.known[key]; known != nil {
		return known
	}
	labels := fmt.Sprintf("service=%q", p.service.name)
	if s.route >= 0 {
		labels += fmt.Sprintf(",http_route=%q", r.w.routes[s.route].name)
	}
	if s.peer >= 0 {
		labels += fmt.Sprintf(",peer=%q", r.w.peers[s.peer].name)
	}
	labels += fmt.Sprintf(",instance=%q", p.name)
	var out []*record
	add := func(family int, metric, more string) {
		out = append(out, r.find(family, metric+"{"+labels+more+"}"))
	}
	switch s.kind {
	case "latency":
		for b, bound := range p.layout.bounds {
			le := "+Inf"
			if b < len(p.layout.bounds)-1 {
				le = strconv.FormatFloat(bound, 'g', -1, 64)
			}
			add(latencyFamily, latencyMetric+"_bucket", `,le="`+le+`"`)
		}
		add(latencyFamily, latencyMetric+"_count", "")
		add(latencyFamily, latencyMetric+"_sum", "")
	case "error":
		add(requestFamily, errorMetric, `,status="200"`)
		add(requestFamily, errorMetric, `,status="500"`)
	default:
		add(callFamily, callMetric, "")
		add(retryFamily, retryMetric, "")
		if r.w.Covariates.FirstAttempts {
			add(firstFamily, firstMetric, "")
			add(retriedFamily, retriedMetric, "")
		}
	}
	r.known[key] = out
	return out
}

var families = [...]string{
	latencyFamily: "# TYPE http_server_request_duration_seconds histogram\n# UNIT http_server_request_duration_seconds seconds\n# HELP http_server_request_duration_seconds Duration of HTTP server requests.\n",
	requestFamily: "# TYPE http_server_requests counter\n# HELP http_server_requests HTTP requests by status.\n",
	callFamily:    "# TYPE thirdparty_client_requests counter\n# HELP thirdparty_client_requests Calls to third-party APIs.\n",
	retryFamily:   "# TYPE thirdparty_client_retries counter\n# HELP thirdparty_client_retries Retries of calls to third-party APIs.\n",
	firstFamily:   "# TYPE thirdparty_client_first_attempt_failures counter\n# HELP thirdparty_client_first_attempt_failures Calls to third-party APIs whose first attempt failed.\n",
	retriedFamily: "# TYPE thirdparty_client_retried_calls counter\n# HELP thirdparty_client_retried_calls Calls to third-party APIs with a retry.\n",
	graphFamily:   "# TYPE traces_service_graph_request counter\n# HELP traces_service_graph_request Requests from one service to another.\n",
	infoFamily:    "# TYPE dten_build info\n# HELP dten_build Version of the running binary.\n",
}

func (r *recorder) write(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	z, err := zstd.NewWriter(f)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(z, 1<<20)
	all := make([]*record, 0, len(r.series))
	for _, s := range r.series {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *record) int {
		return cmp.Or(cmp.Compare(a.metric, b.metric), cmp.Compare(a.rank, b.rank))
	})
	family := -1
	var line []byte
	for _, s := range all {
		if s.metric != family {
			family = s.metric
			if _, err := out.WriteString(families[family]); err != nil {
				return err
			}
		}
		for i, t := range s.times {
			line = append(append(line[:0], s.name...), ' ')
			line = strconv.AppendFloat(line, s.values[i], 'f', -1, 64)
			line = append(line, ' ')
			line = strconv.AppendInt(line, r.w.Time(int(t)+1).Unix(), 10)
			if _, err := out.Write(append(line, '\n')); err != nil {
				return err
			}
		}
	}
	if _, err := out.WriteString("# EOF\n"); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return z.Close()
}
