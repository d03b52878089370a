package scrape

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// endpoint is what identifies a target: where it is asked and the labels that
// its series get. Two endpoints with equal keys are one target.
type endpoint struct {
	url    string
	labels labels.Labels
}

// key is unique for the endpoint.
func (e endpoint) key() string { return e.url + "\xff" + e.labels.String() }

// secretWords are what a parameter's name holds when its value isn't for
// everybody's eyes.
var secretWords = []string{"token", "secret", "pass", "pwd", "key", "auth", "sig", "cred", "session"}

// shown is the URL for logs and pages: without the values of parameters that
// are secrets by their names. The others tell targets apart.
func (e endpoint) shown() string {
	path, query, has := strings.Cut(e.url, "?")
	if !has {
		return e.url
	}
	pairs := strings.Split(query, "&")
	for i, p := range pairs {
		name, _, _ := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		name = strings.ToLower(name)
		if slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(name, w) }) {
			pairs[i] = url.QueryEscape(name) + "=xxxxx"
		}
	}
	return path + "?" + strings.Join(pairs, "&")
}

// offset spreads the targets over the interval, the same way at every start.
func (e endpoint) offset(interval time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(e.key()))
	return time.Duration(h.Sum64() % uint64(interval))
}

// endpoints makes the targets of a group. The group must be valid.
func (c *Config) endpoints(g Group) []endpoint {
	es := make([]endpoint, 0, len(g.Targets))
	for _, addr := range g.Targets {
		scheme, path := c.Scheme, c.MetricsPath
		b := labels.NewScratchBuilder(len(g.Labels) + 2)
		query := url.Values{}
		own := map[string]bool{}
		for n, v := range g.Labels {
			switch {
			case n == model.SchemeLabel:
				scheme = v
			case n == model.MetricsPathLabel:
				path = v
			case strings.HasPrefix(n, model.ParamLabelPrefix):
				query.Set(strings.TrimPrefix(n, model.ParamLabelPrefix), v)
			case strings.HasPrefix(n, model.ReservedLabelPrefix), v == "":
			default:
				b.Add(n, v)
				own[n] = true
			}
		}
		if !own[model.JobLabel] {
			b.Add(model.JobLabel, c.Job)
		}
		if !own[model.InstanceLabel] {
			b.Add(model.InstanceLabel, addr)
		}
		b.Sort()
		if len(query) > 0 {
			path, _, _ = strings.Cut(path, "?")
			path += "?" + query.Encode()
		}
		es = append(es, endpoint{url: scheme + "://" + addr + path, labels: b.Labels()})
	}
	return es
}

// unique drops endpoints that are named twice and puts the rest in order. It
// fails when there are more than the daemon takes.
func unique(es []endpoint) ([]endpoint, error) {
	seen := make(map[string]bool, len(es))
	out := es[:0:0]
	for _, e := range es {
		if k := e.key(); !seen[k] {
			seen[k] = true
			out = append(out, e)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].key() < out[j].key() })
	if len(out) > maxTargets {
		return out[:maxTargets], fmt.Errorf("%d targets are listed, the first %d are scraped: split them over several daemons", len(out), maxTargets)
	}
	return out, nil
}

// TargetStatus is how a target does, for people to look at.
type TargetStatus struct {
	// URL is where the target is asked, without secrets, Labels what its series carry.
	URL    string
	Labels map[string]string
	// Up says that the last scrape succeeded; false before the first.
	Up bool
	// LastScrape is when the last scrape began (zero before the first), Duration
	// how long it took, Samples how many samples the answer held.
	LastScrape time.Time
	Duration   time.Duration
	Samples    int
	// Error is why the last scrape failed and what to do, "" when it didn't.
	Error string
	// Since is when the target came up or went down.
	Since time.Time
}
