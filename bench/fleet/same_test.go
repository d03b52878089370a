package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"aftershock/detector"
)

// digests are of the worlds as they were at commit 361fcc0. Figures that are
// written down were measured on them, so they must not become others: a new kind
// of world takes its draws from a stream of its own.
var digests = map[string]string{
	"backoff":             "7cd6d3d6d10725e6",
	"errors":              "74f67410381d1fee",
	"latency":             "93ca549d3f3b160d",
	"none":                "fddc4d553a05c38e",
	"none-drift":          "78440981dc63f1fb",
	"none-infrastructure": "20dd1268f5869cc3",
	"none-layout":         "6e2867f0f758a926",
	"none-load":           "6a8de3e47cfe25f4",
	"none-mix":            "6a4cc163d90ed37b",
	"none-thirdparty":     "f0abb40fb350ab06",
	"none-warmup":         "de7866fa575ed5be",
	"pool":                "b3a629cb6fdb2724",
	"rise":                "7e02d98e4573919c",
}

// digest is of everything that a world shows, and of its truth.
func digest(t *testing.T, w *World) string {
	t.Helper()
	sum := sha256.New()
	for _, f := range frames(t, w) {
		fmt.Fprintln(sum, f.Time, f.Step, f.Calls, f.Builds)
		for _, p := range f.Points {
			fmt.Fprintln(sum, p.Indicator.Key(), p.Instance, p.Version, p.Total, p.Bad, p.Hist.Bounds, p.Hist.Counts, p.FirstFailures, p.Retried)
		}
	}
	a := w.Answer()
	var deployed, sure time.Time
	if len(a.Shifted) > 0 {
		deployed, sure = a.Shifted[0].Deployed, a.Shifted[0].Sure
	}
	// The record as it was when the worlds were made: what it may say by now isn't of them.
	u := w.UpgradeRecord()
	type binary struct {
		Name, From, To string
		Selector       map[string]string
		DeployedAt     time.Time
		Instances      []detector.Deployment
		Flags          []string
		SHA256         string
		Inside         *detector.Inside
	}
	var binaries []binary
	for _, b := range u.Binaries {
		binaries = append(binaries, binary{b.Name, b.From, b.To, b.Selector, b.DeployedAt, b.Instances, b.Flags, b.SHA256, b.Inside})
	}
	record := struct {
		ID, Package           string
		StartedAt, FinishedAt time.Time
		Binaries              []binary
		Source                string
		ClosedAt              time.Time
	}{u.ID, u.Package, u.StartedAt, u.FinishedAt, binaries, u.Source, u.ClosedAt}
	fmt.Fprintln(sum, record, deployed, sure, a.Onset, a.Besides)
	if len(a.Culprits) > 0 {
		fmt.Fprintln(sum, a.Culprits)
	}
	for _, s := range a.Shifted {
		fmt.Fprintln(sum, s.Key, s.P99, s.P95, s.Ratio, s.SNR, s.Material, s.Worse, s.Ratios)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

func TestWorldsStayTheSame(t *testing.T) {
	worlds := map[string]*World{"rise": riseOf(t, rises[0].rise, 2)}
	for _, kind := range Kinds() {
		worlds[kind] = small(t, kind, 11)
	}
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := digest(t, w); got != digests[name] {
				t.Errorf("the world is another one: digest %s, want %s", got, digests[name])
			}
		})
	}
}
