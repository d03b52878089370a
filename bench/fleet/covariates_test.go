package fleet

import (
	"strings"
	"testing"
)

// What isn't told is nowhere in the frames, and what is told holds together.
func TestCovariates(t *testing.T) {
	for _, tt := range []Covariates{Usual, {}, {Graph: true, FirstAttempts: true, Builds: true}} {
		w := small(t, Backoff, 5)
		w.Covariates = tt
		calls, builds, versions, firsts := 0, 0, 0, 0
		for _, f := range frames(t, w) {
			calls, builds = calls+len(f.Calls), builds+len(f.Builds)
			for _, p := range f.Points {
				if p.Version != "" {
					versions++
				}
				if p.FirstFailures >= 0 {
					firsts++
					if p.Retried > p.FirstFailures || p.FirstFailures > p.Total || p.Retried > p.Bad {
						t.Fatalf("%v calls, %v failed at first, %v of them retried by %v retries", p.Total, p.FirstFailures, p.Retried, p.Bad)
					}
				}
			}
		}
		if (calls > 0) != tt.Graph || (builds > 0) != tt.Builds || (versions > 0) != tt.Builds || (firsts > 0) != tt.FirstAttempts {
			t.Errorf("%+v: %d calls, %d builds, %d versions, %d first attempts", tt, calls, builds, versions, firsts)
		}
	}
}

// Nor is it anywhere in the files.
func TestCovariatesOfFiles(t *testing.T) {
	for _, tt := range []Covariates{Usual, {}, {Graph: true, FirstAttempts: true, Builds: true}} {
		w := small(t, Backoff, 5)
		w.Covariates = tt
		r := newRecorder(w)
		if err := w.run(r); err != nil {
			t.Fatal(err)
		}
		for metric, told := range map[string]bool{
			"traces_service_graph": tt.Graph, "dten_build_info": tt.Builds, firstMetric: tt.FirstAttempts, retriedMetric: tt.FirstAttempts,
			retryMetric: true, callMetric: true, latencyMetric: true,
		} {
			found := false
			for name := range r.series {
				found = found || strings.HasPrefix(name, metric)
			}
			if found != told {
				t.Errorf("%+v: series of %s: %t", tt, metric, found)
			}
		}
	}
}
