package upgrades

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)

// fleet is what runs, in the words of the tests: instance -> build.
type fleet map[string]detector.Build

func at(minute int) time.Time { return epoch.Add(time.Duration(minute) * time.Minute) }

func payments(instance, version string) detector.Build {
	return detector.Build{
		Binary: "dten-payments", Labels: map[string]string{"service": "payments", "namespace": "shop"},
		Instance: instance, Version: version,
	}
}

func checkout(instance, version string) detector.Build {
	b := payments(instance, version)
	b.Binary, b.Labels = "dten-checkout", map[string]string{"job": "checkout"}
	return b
}

// story is a fleet's builds by minute; each holds until the next.
type story map[int][]detector.Build

// play shows the story to the detector up to the minute and gives the last
// report of each upgrade, in order of ID.
func play(t *testing.T, d *Detector, s story, until int) []detector.Upgrade {
	t.Helper()
	byID := map[string]detector.Upgrade{}
	var now []detector.Build
	for m := 0; m <= until; m++ {
		if b, ok := s[m]; ok {
			now = b
		}
		for _, u := range d.Observe(detector.Frame{Time: at(m), Step: time.Minute, Builds: now}) {
			byID[u.ID] = u
		}
	}
	out := []detector.Upgrade{}
	for _, id := range sortedKeys(byID) {
		out = append(out, byID[id])
	}
	return out
}

func newDetector(t testing.TB) *Detector {
	t.Helper()
	var c Config
	c.SetDefaults()
	c.Settle = model.Duration(30 * time.Minute)
	d, err := NewDetector(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// line is an upgrade in one line: window, source, and per binary its versions
// and the minutes at which its instances switched.
func line(u detector.Upgrade) string {
	minute := func(t time.Time) string {
		if t.IsZero() {
			return "open"
		}
		return fmt.Sprint(t.Sub(epoch).Minutes())
	}
	s := fmt.Sprintf("%s..%s %s", minute(u.StartedAt), minute(u.FinishedAt), u.Source)
	for _, b := range u.Binaries {
		s += fmt.Sprintf("; %s %s>%s @%s", b.Name, b.From, b.To, minute(b.DeployedAt))
		for _, d := range b.Instances {
			s += fmt.Sprintf(" %s:%s", d.Instance, minute(d.At))
		}
	}
	return s
}

func TestDetector(t *testing.T) {
	started := func(b detector.Build, minute float64) detector.Build {
		b.Started = epoch.Add(time.Duration(minute * float64(time.Minute)))
		return b
	}
	tests := []struct {
		name  string
		story story
		until int
		want  []string
	}{
		{
			name:  "what runs at first is no upgrade",
			story: story{0: {payments("a", "4.1.3"), payments("b", "4.2.0")}},
			until: 60,
		},
		{
			name: "a rolling upgrade is one window",
			story: story{
				0:  {payments("a", "4.1.3"), payments("b", "4.1.3")},
				10: {payments("a", "4.2.0"), payments("b", "4.1.3")},
				20: {payments("a", "4.2.0"), payments("b", "4.2.0")},
			},
			until: 60,
			want:  []string{"9..20 build-info; dten-payments 4.1.3>4.2.0 @10 a:10 b:20"},
		},
		{
			name: "the window stays open until it has settled",
			story: story{
				0:  {payments("a", "4.1.3"), payments("b", "4.1.3")},
				10: {payments("a", "4.2.0"), payments("b", "4.1.3")},
			},
			until: 39,
			want:  []string{"9..open build-info; dten-payments 4.1.3>4.2.0 @10 a:10"},
		},
		{
			name: "binaries that switch within the settling time join",
			story: story{
				0:  {payments("a", "4.1.3"), checkout("c", "4.1.3")},
				10: {payments("a", "4.2.0"), checkout("c", "4.1.3")},
				35: {payments("a", "4.2.0"), checkout("c", "4.2.0")},
			},
			until: 70,
			want:  []string{"9..35 build-info; dten-checkout 4.1.3>4.2.0 @35 c:35; dten-payments 4.1.3>4.2.0 @10 a:10"},
		},
		{
			name: "those that switch later don't",
			story: story{
				0:  {payments("a", "4.1.3"), checkout("c", "4.1.3")},
				10: {payments("a", "4.2.0"), checkout("c", "4.1.3")},
				45: {payments("a", "4.2.0"), checkout("c", "4.2.0")},
			},
			until: 80,
			want: []string{
				"44..45 build-info; dten-checkout 4.1.3>4.2.0 @45 c:45",
				"9..10 build-info; dten-payments 4.1.3>4.2.0 @10 a:10",
			},
		},
		{
			name: "new names with a new build are switches",
			story: story{
				0:  {payments("a", "4.1.3"), payments("b", "4.1.3")},
				10: {payments("b", "4.1.3"), payments("x", "4.2.0")},
				12: {payments("x", "4.2.0"), payments("y", "4.2.0")},
			},
			until: 60,
			want:  []string{"9..12 build-info; dten-payments 4.1.3>4.2.0 @10 x:10 y:12"},
		},
		{
			name: "scaling up and restarting is nothing",
			story: story{
				0:  {payments("a", "4.1.3")},
				10: {payments("a", "4.1.3"), payments("b", "4.1.3")},
				20: {payments("c", "4.1.3"), payments("b", "4.1.3")},
			},
			until: 60,
		},
		{
			name: "scaling up after the upgrade is nothing more",
			story: story{
				0:  {payments("a", "4.1.3")},
				10: {payments("a", "4.2.0")},
				50: {payments("a", "4.2.0"), payments("b", "4.2.0")},
			},
			until: 90,
			want:  []string{"9..10 build-info; dten-payments 4.1.3>4.2.0 @10 a:10"},
		},
		{
			name: "a new service is no upgrade",
			story: story{
				0:  {payments("a", "4.1.3")},
				10: {payments("a", "4.1.3"), checkout("c", "4.2.0")},
			},
			until: 60,
		},
		{
			name: "a rollback of the canary soon after is a second upgrade",
			story: story{
				0:  {payments("a", "4.1.3"), payments("b", "4.1.3")},
				10: {payments("a", "4.2.0"), payments("b", "4.1.3")},
				20: {payments("a", "4.1.3"), payments("b", "4.1.3")},
			},
			until: 90,
			want: []string{
				"19..20 build-info, rollback; dten-payments 4.2.0>4.1.3 @20 a:20",
				"9..10 build-info, rolled back; dten-payments 4.1.3>4.2.0 @10 a:10",
			},
		},
		{
			name: "a rollback by new names soon after",
			story: story{
				0:  {payments("a", "4.1.3"), payments("b", "4.1.3")},
				10: {payments("x", "4.2.0"), payments("y", "4.2.0")},
				20: {payments("p", "4.1.3"), payments("y", "4.2.0")},
				21: {payments("p", "4.1.3"), payments("q", "4.1.3")},
			},
			until: 90,
			want: []string{
				"19..21 build-info, rollback; dten-payments 4.2.0>4.1.3 @20 p:20 q:21",
				"9..10 build-info, rolled back; dten-payments 4.1.3>4.2.0 @10 x:10 y:10",
			},
		},
		{
			name: "a rollback long after is an upgrade that says so",
			story: story{
				0:   {payments("a", "4.1.3")},
				10:  {payments("a", "4.2.0")},
				100: {payments("a", "4.1.3")},
			},
			until: 140,
			want: []string{
				"99..100 build-info, rollback; dten-payments 4.2.0>4.1.3 @100 a:100",
				"9..10 build-info; dten-payments 4.1.3>4.2.0 @10 a:10",
			},
		},
		{
			name: "a hotfix on top is an upgrade of its own",
			story: story{
				0:  {payments("a", "4.1.3")},
				10: {payments("a", "4.2.0")},
				20: {payments("a", "4.2.1")},
			},
			until: 60,
			want: []string{
				"9..10 build-info; dten-payments 4.1.3>4.2.0 @10 a:10",
				"19..20 build-info; dten-payments 4.2.0>4.2.1 @20 a:20",
			},
		},
		{
			name: "both versions of an instance for five minutes, the later wins",
			story: story{
				0:  {payments("a", "4.1.3")},
				10: {payments("a", "4.1.3"), payments("a", "4.2.0")},
				15: {payments("a", "4.2.0")},
			},
			until: 60,
			want:  []string{"9..10 build-info; dten-payments 4.1.3>4.2.0 @10 a:10"},
		},
		{
			name: "both versions, and the later missing for a moment",
			story: story{
				0:  {payments("a", "4.1.3")},
				10: {payments("a", "4.1.3"), payments("a", "4.2.0")},
				12: {payments("a", "4.1.3")},
				14: {payments("a", "4.1.3"), payments("a", "4.2.0")},
				16: {payments("a", "4.2.0")},
			},
			until: 60,
			want:  []string{"9..10 build-info; dten-payments 4.1.3>4.2.0 @10 a:10"},
		},
		{
			name: "both versions at first sight, the process that started last wins",
			story: story{
				0:  {started(payments("a", "4.2.0"), -90), started(payments("a", "4.1.3"), -5)},
				10: {started(payments("a", "4.1.3"), -5)},
			},
			until: 60,
		},
		{
			name: "the process start says when",
			story: story{
				0:  {started(payments("a", "4.1.3"), -100)},
				10: {started(payments("a", "4.2.0"), 9.5)},
			},
			until: 60,
			want:  []string{"9..9.5 build-info; dten-payments 4.1.3>4.2.0 @9.5 a:9.5"},
		},
		{
			name: "gone for hours and back with another version",
			story: story{
				0:   {payments("a", "4.1.3"), checkout("c", "1.0.0")},
				10:  {checkout("c", "1.0.0")},
				300: {payments("a", "4.2.0"), checkout("c", "1.0.0")},
			},
			until: 340,
			want:  []string{"9..300 build-info; dten-payments 4.1.3>4.2.0 @300 a:300"},
		},
		{
			name: "one that missed the upgrade and comes back with it is nothing new",
			story: story{
				0:   {payments("a", "4.1.3"), payments("b", "4.1.3")},
				5:   {payments("a", "4.1.3")},
				10:  {payments("a", "4.2.0")},
				300: {payments("a", "4.2.0"), payments("b", "4.2.0")},
			},
			until: 340,
			want:  []string{"9..10 build-info; dten-payments 4.1.3>4.2.0 @10 a:10"},
		},
		{
			name: "a canary, and the rest by new names hours later",
			story: story{
				0:   {payments("a", "4.1.3"), payments("b", "4.1.3")},
				10:  {payments("x", "4.2.0"), payments("b", "4.1.3")},
				200: {payments("x", "4.2.0"), payments("b", "4.1.3"), payments("y", "4.2.0")},
				201: {payments("x", "4.2.0"), payments("y", "4.2.0")},
			},
			until: 260,
			want: []string{
				"9..10 build-info; dten-payments 4.1.3>4.2.0 @10 x:10",
				"199..200 build-info; dten-payments 4.1.3>4.2.0 @200 y:200",
			},
		},
		{
			name: "a node drain beside a canary is nothing",
			story: story{
				0:   {payments("a", "4.1.3"), payments("b", "4.1.3")},
				10:  {payments("x", "4.2.0"), payments("b", "4.1.3")},
				200: {payments("x", "4.2.0"), payments("d", "4.1.3")},
			},
			until: 260,
			want:  []string{"9..10 build-info; dten-payments 4.1.3>4.2.0 @10 x:10"},
		},
		{
			name: "a failing scrape of the canary is no rollback",
			story: story{
				0:  {payments("a", "4.1.3"), payments("b", "4.1.3")},
				10: {payments("a", "4.2.0"), payments("b", "4.1.3")},
				15: {payments("b", "4.1.3")},
				25: {payments("a", "4.2.0"), payments("b", "4.1.3")},
			},
			until: 60,
			want:  []string{"9..10 build-info; dten-payments 4.1.3>4.2.0 @10 a:10"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, u := range play(t, newDetector(t), tt.story, tt.until) {
				got = append(got, line(u))
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("upgrades (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDetectorNamesBuilds(t *testing.T) {
	b := func(version, revision, toolchain string) detector.Build {
		b := payments("a", version)
		b.Revision, b.Toolchain = revision, toolchain
		return b
	}
	tests := []struct {
		name          string
		before, after detector.Build
		want          string
	}{
		{"version", b("4.1.3", "aaa", "go1.25"), b("4.2.0", "bbb", "go1.26"), "9..10 build-info; dten-payments 4.1.3>4.2.0 @10 a:10"},
		{"revision", b("4.1.3", "aaa", ""), b("4.1.3", "0123456789abcdef", ""), "9..10 build-info; dten-payments 4.1.3 (aaa)>4.1.3 (0123456789ab) @10 a:10"},
		{"revision alone", b("(devel)", "aaa", ""), b("unknown", "bbb", ""), "9..10 build-info; dten-payments aaa>bbb @10 a:10"},
		{"toolchain", b("4.1.3", "aaa", "go1.25"), b("4.1.3", "aaa", "go1.26"), "9..10 toolchain; dten-payments 4.1.3 (go1.25)>4.1.3 (go1.26) @10 a:10"},
		{"less known", b("4.1.3", "aaa", "go1.25"), b("4.1.3", "", ""), ""},
		{"more known", b("4.1.3", "", ""), b("4.1.3", "aaa", "go1.25"), ""},
		{"nothing known", b("4.1.3", "", ""), b("unknown", "", ""), ""},
		{"the compiler alone known", b("4.1.3", "", "go1.25"), b("", "", "go1.26"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, u := range play(t, newDetector(t), story{0: {tt.before}, 10: {tt.after}}, 60) {
				got += line(u)
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDetectorSelectorAndID(t *testing.T) {
	other := payments("b", "4.1.3")
	other.Labels = map[string]string{"service": "payments", "namespace": "test"}
	tests := []struct {
		name  string
		story story
		id    string
		want  map[string]string
	}{
		{
			"the service label is enough",
			story{0: {payments("a", "4.1.3")}, 10: {payments("a", "4.2.0")}},
			"dten-payments-4.2.0-20260306T090900Z",
			map[string]string{"service": "payments"},
		},
		{
			"the same service in two namespaces",
			story{0: {payments("a", "4.1.3"), other}, 10: {payments("a", "4.2.0"), other}},
			"dten-payments-4.2.0-20260306T090900Z",
			map[string]string{"service": "payments", "namespace": "shop"},
		},
		{
			"two at once share the ID",
			story{0: {payments("a", "4.1.3"), checkout("c", "4.1.3")}, 10: {payments("a", "4.2.0"), checkout("c", "4.2.0")}},
			"dten-checkout+dten-payments-4.2.0-20260306T090900Z",
			map[string]string{"job": "checkout"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := play(t, newDetector(t), tt.story, 60)
			if len(got) != 1 {
				t.Fatalf("got %d upgrades, want 1", len(got))
			}
			if got[0].ID != tt.id {
				t.Errorf("got ID %s, want %s", got[0].ID, tt.id)
			}
			if diff := cmp.Diff(tt.want, got[0].Binaries[0].Selector); diff != "" {
				t.Errorf("selector (-want +got):\n%s", diff)
			}
		})
	}
}

// A canary that flaps opens at most three upgrades until it has come to rest:
// there, back, and what it came to rest on.
func TestDetectorFlapping(t *testing.T) {
	for period := 1; period < 30; period++ {
		s := story{0: {payments("a", "4.1.3"), payments("b", "4.1.3")}}
		version := "4.1.3"
		for m := 10; m < 1000; m += period {
			if version = "4.2.0"; (m-10)/period%2 == 1 {
				version = "4.1.3"
			}
			s[m] = []detector.Build{payments("a", version), payments("b", "4.1.3")}
		}
		got := play(t, newDetector(t), s, 1100)
		if len(got) == 0 || len(got) > 3 {
			t.Errorf("period %d min: got %d upgrades, want 1 to 3", period, len(got))
		}
		last := slices.MaxFunc(got, func(a, b detector.Upgrade) int { return a.StartedAt.Compare(b.StartedAt) })
		if to := last.Binaries[0].To; to != version && period > graceSteps {
			t.Errorf("period %d min: the last upgrade is to %s, want what it came to rest on, %s", period, to, version)
		}
		for _, u := range got {
			if u.FinishedAt.IsZero() {
				t.Errorf("period %d min: %s is still open", period, u.ID)
			}
		}
	}
}

// A version that is another one at every look, as with a build time in its
// place, opens no endless row of upgrades, keeps nobody else's upgrade from
// being told apart, and counts again once it has come to rest.
func TestDetectorEndlessVersions(t *testing.T) {
	const rest, last = 3000, 3100
	s := story{}
	for m := range rest {
		other := "4.1.3"
		if m >= 2000 {
			other = "4.2.0"
		}
		s[m] = []detector.Build{payments("a", fmt.Sprintf("1.0.%d", m)), checkout("c", other)}
	}
	s[last] = []detector.Build{payments("a", "2.0.0"), checkout("c", "4.2.0")}
	flapping, reports := 0, 0
	var whole []string
	d := newDetector(t)
	byID := map[string]detector.Upgrade{}
	for m := range last + 100 {
		f := detector.Frame{Time: at(m), Step: time.Minute, Builds: s[min(m, rest-1)]}
		if m >= last {
			f.Builds = s[last]
		}
		for _, u := range d.Observe(f) {
			byID[u.ID] = u
			reports++
		}
	}
	for _, id := range sortedKeys(byID) {
		u := byID[id]
		if len(u.Binaries) == 1 && u.Binaries[0].Name == "dten-payments" && u.Binaries[0].To != "2.0.0" {
			flapping++
			continue
		}
		if u.FinishedAt.IsZero() {
			t.Errorf("%s is still open", id)
		}
		whole = append(whole, id)
	}
	want := []string{"dten-checkout-4.2.0-20260307T181900Z", "dten-payments-2.0.0-20260308T123900Z"}
	if diff := cmp.Diff(want, whole); diff != "" {
		t.Errorf("upgrades besides the flapping ones (-want +got):\n%s", diff)
	}
	if flapping != maxOpen {
		t.Errorf("got %d upgrades of the flapping service, want %d", flapping, maxOpen)
	}
	if reports > 20 {
		t.Errorf("upgrades were told of %d times, want at most 20", reports)
	}
}

// randomStory draws a fleet that switches, scales, vanishes and comes back.
func randomStory(r *rapid.T) []detector.Frame {
	var frames []detector.Frame
	now := epoch
	running := fleet{}
	versions := []string{"1.0.0", "1.1.0", "1.1.1"}
	names := []string{"a", "b", "c", "d"}
	for range rapid.IntRange(1, 60).Draw(r, "frames") {
		now = now.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 1, 1, 5, 60}).Draw(r, "gap")) * time.Minute)
		for range rapid.IntRange(0, 2).Draw(r, "acts") {
			name := rapid.SampledFrom(names).Draw(r, "name")
			version := rapid.SampledFrom(versions).Draw(r, "version")
			switch rapid.IntRange(0, 3).Draw(r, "act") {
			case 0:
				delete(running, "p"+name)
			case 1:
				running["c"+name] = checkout(name, version)
			default:
				running["p"+name] = payments(name, version)
			}
		}
		f := detector.Frame{Time: now, Step: time.Minute}
		for _, k := range sortedKeys(running) {
			f.Builds = append(f.Builds, running[k])
		}
		if rapid.IntRange(0, 9).Draw(r, "stale") == 0 && len(f.Builds) > 0 {
			stale := f.Builds[0]
			stale.Version = rapid.SampledFrom(versions).Draw(r, "old")
			f.Builds = append(f.Builds, stale)
		}
		frames = append(frames, f)
	}
	return frames
}

func TestDetectorOrderAndRestart(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		frames := randomStory(r)
		shuffle := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		plain, other := newDetector(t), newDetector(t)
		for _, f := range frames {
			want := plain.Observe(f)
			f.Builds = slices.Clone(f.Builds)
			shuffle.Shuffle(len(f.Builds), func(i, j int) { f.Builds[i], f.Builds[j] = f.Builds[j], f.Builds[i] })
			if shuffle.IntN(3) == 0 {
				data, err := other.Save()
				if err != nil {
					r.Fatal(err)
				}
				other = newDetector(t)
				if err := other.Restore(data); err != nil {
					r.Fatal(err)
				}
			}
			if diff := cmp.Diff(want, other.Observe(f)); diff != "" {
				r.Fatalf("frame %s (-in order, uninterrupted +shuffled, restarted):\n%s", f.Time, diff)
			}
		}
	})
}

// What every upgrade promises, whatever happens.
func TestDetectorInvariants(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := newDetector(t)
		ended := map[string]bool{}
		for _, f := range randomStory(r) {
			for _, u := range d.Observe(f) {
				if ended[u.ID] {
					r.Fatalf("%s was finished and is reported again", u.ID)
				}
				ended[u.ID] = !u.FinishedAt.IsZero()
				if ended[u.ID] && u.FinishedAt.Before(u.StartedAt) {
					r.Fatalf("%s: %s", u.ID, line(u))
				}
				for _, b := range u.Binaries {
					if b.From == b.To || b.From == "" || b.DeployedAt.IsZero() || len(b.Instances) == 0 || len(b.Selector) == 0 {
						r.Fatalf("%s: %s", u.ID, line(u))
					}
					if b.DeployedAt.Before(u.StartedAt) || b.DeployedAt.After(f.Time) {
						r.Fatalf("%s: %s is outside its window", u.ID, b.Name)
					}
				}
			}
		}
	})
}

func TestDetectorLeavesOutOldFrames(t *testing.T) {
	d := newDetector(t)
	d.Observe(detector.Frame{Time: at(5), Step: time.Minute, Builds: []detector.Build{payments("a", "4.1.3")}})
	if got := d.Observe(detector.Frame{Time: at(4), Step: time.Minute, Builds: []detector.Build{payments("a", "4.2.0")}}); got != nil {
		t.Errorf("got %v of a frame before the last, want nothing", got)
	}
}

func TestRestoreRefuses(t *testing.T) {
	for _, data := range []string{``, `{`, `{"format":2}`, `{"format":1,"services":[null]}`, `{"format":1,"services":[{"instances":{"a":null}}]}`, `{"format":1,"open":[null]}`, `{"format":1,"open":[{"entries":[null]}]}`} {
		d := newDetector(t)
		d.Observe(detector.Frame{Time: at(1), Builds: []detector.Build{payments("a", "1")}})
		if err := d.Restore([]byte(data)); err == nil {
			t.Errorf("Restore(%s): no error", data)
		}
		if len(d.services) != 1 {
			t.Errorf("Restore(%s) failed and changed the detector", data)
		}
	}
}

func FuzzRestore(f *testing.F) {
	d := newDetector(f)
	d.Observe(detector.Frame{Time: at(1), Step: time.Minute, Builds: []detector.Build{payments("a", "1")}})
	d.Observe(detector.Frame{Time: at(2), Step: time.Minute, Builds: []detector.Build{payments("a", "2")}})
	data, err := d.Save()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDetector(t)
		if err := d.Restore(data); err != nil {
			return
		}
		d.Observe(detector.Frame{Time: at(10), Step: time.Minute, Builds: []detector.Build{payments("a", "3"), payments("b", "1")}})
		if _, err := d.Save(); err != nil && d.last.Year() < 9999 {
			t.Logf("save: %v", err) // times beyond JSON's are refused, not written wrongly
		}
	})
}
