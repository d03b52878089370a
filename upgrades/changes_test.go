package upgrades

import (
	"slices"
	"testing"
	"time"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
)

// TestChanges plays one upgrade of payments at minute 10, with a record at some
// minute or none.
func TestChanges(t *testing.T) {
	record := func(id string) *detector.Upgrade {
		return &detector.Upgrade{ID: id, Source: "record", StartedAt: at(8), Binaries: []detector.Binary{{Name: "dten-payments"}}}
	}
	const foundID = "dten-payments-4.2.0-20260306T090900Z"
	tests := []struct {
		name     string
		record   *detector.Upgrade
		at       int
		detect   bool
		answer   string
		want     map[string]string // what was told last, by ID
		closedID string
	}{
		{"found alone", nil, 0, true, "", map[string]string{foundID: "9..10 build-info; dten-payments 4.1.3>4.2.0 @10 a:10"}, ""},
		{
			"recorded before", record("mine"), 5, true, "8..open record; dten-payments > @open",
			map[string]string{"mine": "8..10 record, build-info; dten-payments 4.1.3>4.2.0 @10 a:10"},
			"",
		},
		{
			"recorded after", record("mine"), 15, true, "8..open record, build-info; dten-payments 4.1.3>4.2.0 @10 a:10",
			map[string]string{
				"mine":  "8..10 record, build-info; dten-payments 4.1.3>4.2.0 @10 a:10",
				foundID: "9..open build-info; dten-payments 4.1.3>4.2.0 @10 a:10",
			},
			foundID,
		},
		{
			"recorded after, under the ID that was found", record(foundID), 15, true, "8..open record, build-info; dten-payments 4.1.3>4.2.0 @10 a:10",
			map[string]string{foundID: "8..10 record, build-info; dten-payments 4.1.3>4.2.0 @10 a:10"},
			"",
		},
		{"not looked for", record("mine"), 15, false, "8..open record; dten-payments > @open", map[string]string{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conf := Config{Detect: tt.detect, Settle: model.Duration(30 * time.Minute)}
			c, err := New(conf)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			var closed []string
			for m := 0; m <= 60; m++ {
				if tt.record != nil && m == tt.at {
					if answer := line(c.Record(*tt.record)); answer != tt.answer {
						t.Errorf("record answers\n     %s\nwant %s", answer, tt.answer)
					}
				}
				version := "4.1.3"
				if m >= 10 {
					version = "4.2.0"
				}
				for _, u := range c.Observe(detector.Frame{Time: at(m), Step: time.Minute, Builds: []detector.Build{payments("a", version)}}) {
					got[u.ID] = line(u)
					if !u.ClosedAt.IsZero() {
						closed = append(closed, u.ID)
					}
				}
				data, err := c.Save()
				if err != nil {
					t.Fatal(err)
				}
				if c, err = New(conf); err != nil {
					t.Fatal(err)
				}
				if err := c.Restore(data); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if tt.closedID != "" && !slices.Equal(closed, []string{tt.closedID}) || tt.closedID == "" && len(closed) > 0 {
				t.Errorf("closed %v, want %q", closed, tt.closedID)
			}
		})
	}
}

func TestChangesForgets(t *testing.T) {
	c, err := New(Config{Settle: model.Duration(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxKnown {
		b := detector.Binary{Name: "b"}
		c.Record(detector.Upgrade{ID: makeID([]detector.Binary{b}, at(i)), StartedAt: at(i), Binaries: []detector.Binary{b}})
	}
	if len(c.known) != maxKnown || !c.known[0].Told.StartedAt.Equal(at(2*maxKnown)) {
		t.Errorf("remembers %d upgrades from %s on, want the last %d", len(c.known), c.known[0].Told.StartedAt, maxKnown)
	}
}

func TestChangesRestoreRefuses(t *testing.T) {
	for _, data := range []string{``, `{"known":[null]}`, `{"known":[{}]}`, `{"detector":{"format":9},"known":[]}`} {
		c, err := New(Config{Detect: true, Settle: model.Duration(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Restore([]byte(data)); err == nil {
			t.Errorf("Restore(%s): no error", data)
		}
	}
}
