package upgrades

import (
	"testing"
	"time"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
)

func TestMerge(t *testing.T) {
	const settle = 30 * time.Minute
	found := detector.Upgrade{
		ID: "found", Source: "build-info", StartedAt: at(9), FinishedAt: at(20),
		Binaries: []detector.Binary{
			{
				Name: "dten-payments", From: "4.1.3", To: "4.2.0", Selector: map[string]string{"service": "payments"}, DeployedAt: at(10),
				Instances: []detector.Deployment{{Instance: "a", At: at(10)}, {Instance: "b", At: at(20)}},
			},
			{Name: "dten-checkout", From: "4.1.3", To: "4.2.0", Selector: map[string]string{"service": "checkout"}, DeployedAt: at(15)},
		},
	}
	record := func(start int, b ...detector.Binary) detector.Upgrade {
		return detector.Upgrade{ID: "mine", Package: "p.zip", Source: "record", StartedAt: at(start), Binaries: b}
	}
	tests := []struct {
		name   string
		record detector.Upgrade
		want   string // as line gives it; "" for two upgrades
	}{
		{
			"a name and a time are enough", record(5, detector.Binary{Name: "dten-payments"}),
			"5..20 record, build-info; dten-payments 4.1.3>4.2.0 @10 a:10 b:20; dten-checkout 4.1.3>4.2.0 @15",
		},
		{
			"the record's times win", record(5, detector.Binary{Name: "dten-payments", DeployedAt: at(11)}),
			"5..20 record, build-info; dten-payments 4.1.3>4.2.0 @11 a:10 b:20; dten-checkout 4.1.3>4.2.0 @15",
		},
		{
			"a record that comes late is widened", record(12, detector.Binary{Name: "dten-payments", To: "v4.2.0"}),
			"9..20 record, build-info; dten-payments 4.1.3>v4.2.0 @10 a:10 b:20; dten-checkout 4.1.3>4.2.0 @15",
		},
		{
			"the same selector under another name", record(5, detector.Binary{Name: "payments", Selector: map[string]string{"service": "payments"}}),
			"5..20 record, build-info; payments 4.1.3>4.2.0 @10 a:10 b:20; dten-checkout 4.1.3>4.2.0 @15",
		},
		{"another target", record(5, detector.Binary{Name: "dten-payments", To: "4.3.0"}), ""},
		{"another binary", record(5, detector.Binary{Name: "dten-gateway"}), ""},
		{"another service of the same binary", record(5, detector.Binary{Name: "dten-payments", Selector: map[string]string{"service": "x"}}), ""},
		{"long before", record(-60, detector.Binary{Name: "dten-payments"}), ""},
		{
			"long before, to the same version and without an end", record(-60, detector.Binary{Name: "dten-payments", To: "4.2.0"}),
			"-60..20 record, build-info; dten-payments 4.1.3>4.2.0 @10 a:10 b:20; dten-checkout 4.1.3>4.2.0 @15",
		},
		{"long after", record(51, detector.Binary{Name: "dten-payments", To: "4.2.0"}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := clone(tt.record)
			got, ok := Merge(tt.record, found, settle)
			if diff := cmp.Diff(before, tt.record); diff != "" {
				t.Errorf("merging changed the record:\n%s", diff)
			}
			if tt.want == "" {
				if ok || !equal(got, tt.record) {
					t.Errorf("got %s, %t, want the record as it is and false", line(got), ok)
				}
				return
			}
			if !ok || got.ID != "mine" || got.Package != "p.zip" || line(got) != tt.want {
				t.Errorf("got  %s %t %s\nwant %s", got.ID, ok, line(got), tt.want)
			}
			again, ok := Merge(got, found, settle)
			if !ok || !equal(again, got) {
				t.Errorf("merging again gives %s, %t", line(again), ok)
			}
		})
	}
}
