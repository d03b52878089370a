package upgrades

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const contractRecord = `{
 "id": "dten-4.2.0",
 "package": "Full-upgrade-package-dten.zip",
 "started_at": "2026-03-06T09:00:00Z",
 "finished_at": "2026-03-06T09:26:00Z",
 "binaries": [
  {"name": "dten-checkout", "from": "4.1.3", "to": "4.2.0",
   "selector": {"service": "checkout"}, "deployed_at": "2026-03-06T09:13:00Z"}
 ]
}`

func TestParseRecord(t *testing.T) {
	tests := []struct {
		name, in string
		want     detector.Upgrade
	}{
		{"the contract's example", contractRecord, detector.Upgrade{
			ID: "dten-4.2.0", Package: "Full-upgrade-package-dten.zip", Source: "record",
			StartedAt: at(0), FinishedAt: at(26),
			Binaries: []detector.Binary{{
				Name: "dten-checkout", From: "4.1.3", To: "4.2.0",
				Selector: map[string]string{"service": "checkout"}, DeployedAt: at(13),
			}},
		}},
		{"the least, in YAML", "started_at: 2026-03-06T09:00:00Z\nbinaries: [{name: dten-payments}]\n", detector.Upgrade{
			ID: "dten-payments-20260306T090000Z", Source: "record", StartedAt: at(0),
			Binaries: []detector.Binary{{Name: "dten-payments"}},
		}},
		{"a deployment's time is enough", `{"binaries": [{"name": "a", "to": "v2", "deployed_at": "2026-03-06T10:13:00+01:00"}]}`, detector.Upgrade{
			ID: "a-v2-20260306T091300Z", Source: "record", StartedAt: at(13),
			Binaries: []detector.Binary{{Name: "a", To: "v2", DeployedAt: at(13)}},
		}},
		{"an instance's time is enough", "binaries:\n- name: a\n  instances:\n  - {instance: y, at: 2026-03-06T09:05:00Z}\n  - {instance: x, at: 2026-03-06T09:04:00Z}\n", detector.Upgrade{
			ID: "a-20260306T090400Z", Source: "record", StartedAt: at(4),
			Binaries: []detector.Binary{{Name: "a", Instances: []detector.Deployment{{Instance: "x", At: at(4)}, {Instance: "y", At: at(5)}}}},
		}},
		{"versions stay as they are written", "id: 7\nstarted_at: \"2026-03-06T09:00:00Z\"\nbinaries: [{name: a, from: 4.10, to: 4.20}]\n", detector.Upgrade{
			ID: "7", Source: "record", StartedAt: at(0),
			Binaries: []detector.Binary{{Name: "a", From: "4.10", To: "4.20"}},
		}},
		{"nulls are left out", `{"id": null, "finished_at": null, "started_at": "2026-03-06T09:00:00Z", "binaries": [{"name": "a", "selector": null}]}`, detector.Upgrade{
			ID: "a-20260306T090000Z", Source: "record", StartedAt: at(0), Binaries: []detector.Binary{{Name: "a"}},
		}},
		{"planned", `{"planned_start":"2026-03-06T09:00:00Z","planned_minutes":90,"buffer_minutes":30,"binaries":[{"name":"a"}]}`, detector.Upgrade{
			ID: "a-20260306T090000Z", Source: "record", Binaries: []detector.Binary{{Name: "a"}},
			Plan: detector.Plan{PlannedStart: at(0), PlannedMinutes: 90, BufferMinutes: 30},
		}},
		{"the window holds its binaries", `{"id":"x","started_at":"2026-03-06T09:10:00Z","finished_at":"2026-03-06T09:20:00Z","binaries":[{"name":"a","deployed_at":"2026-03-06T09:05:00Z"},{"name":"b","deployed_at":"2026-03-06T09:30:00Z"}]}`, detector.Upgrade{
			ID: "x", Source: "record", StartedAt: at(5), FinishedAt: at(30),
			Binaries: []detector.Binary{{Name: "a", DeployedAt: at(5)}, {Name: "b", DeployedAt: at(30)}},
		}},
		{"JSON with tabs, a byte order mark and a pair of surrogates", "\ufeff{\n\t\"id\": \"\\ud83d\\ude80\",\n\t\"started_at\": \"2026-03-06T09:00:00Z\",\n\t\"binaries\": [{\"name\": \"a\"}]\n}\n", detector.Upgrade{
			ID: "🚀", Source: "record", StartedAt: at(0), Binaries: []detector.Binary{{Name: "a"}},
		}},
		{"one name under two selectors", `{"id":"x","started_at":"2026-03-06T09:00:00Z","binaries":[{"name":"envoy","selector":{"service":"a"}},{"name":"envoy","selector":{"service":"b"}}]}`, detector.Upgrade{
			ID: "x", Source: "record", StartedAt: at(0),
			Binaries: []detector.Binary{{Name: "envoy", Selector: map[string]string{"service": "a"}}, {Name: "envoy", Selector: map[string]string{"service": "b"}}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRecord([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("upgrade (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRecordRefuses(t *testing.T) {
	const start = `"started_at": "2026-03-06T09:00:00Z"`
	tests := []struct {
		name, in string
		want     []string // all in the error
	}{
		{"nothing", "", []string{"is empty"}},
		{"a comment alone", "# later\n", []string{"is empty"}},
		{"not text", "\xff\xfe", []string{"isn't UTF-8"}},
		{"a list", "[]", []string{"record: want fields, got a list"}},
		{"a word", "upgrade", []string{`record: want fields, got "upgrade"`}},
		{"unknown fields", "id: x\nstarted_at: 2026-03-06T09:00:00Z\nbinaries:\n- name: a\n  versoin: 4\nfinnished_at: x\n", []string{
			`binaries[0].versoin: unknown field "versoin" (line 5)`, `finnished_at: unknown field "finnished_at" (line 6)`,
		}},
		{"an unknown field in JSON", "{" + start + ",\n \"binaries\": [\n  {\"name\": \"a\",\n   \"sha\": 1}]}", []string{`binaries[0].sha: unknown field "sha" (line 4)`}},
		{"a field twice", "{" + start + ",\n" + start + `,"binaries":[{"name":"a"}]}`, []string{"started_at: comes twice (line 2)"}},
		{"no binaries", "{" + start + "}", []string{"binaries: want at least one"}},
		{"no binaries at all", "{" + start + `, "binaries": []}`, []string{"binaries: want at least one"}},
		{"no name", "{" + start + `, "binaries": [{"to": "1"}]}`, []string{"binaries[0].name: is missing"}},
		{"no time", `{"binaries": [{"name": "a"}]}`, []string{"started_at: no time at all"}},
		{"a bad time", `{"started_at": "6 March", "binaries": [{"name": "a"}]}`, []string{`started_at: want a time such as 2026-03-06T09:00:00Z, got "6 March"`}},
		{"a time without its zone", `{"started_at": "2026-03-06T09:00:00", "binaries": [{"name": "a"}]}`, []string{"started_at: want a time"}},
		{"a time as a number", `{"started_at": 1772787600, "binaries": [{"name": "a"}]}`, []string{`started_at: want a time such as 2026-03-06T09:00:00Z, got "1772787600"`}},
		{"an empty time", `{"started_at": "", "binaries": [{"name": "a"}]}`, []string{"started_at: want a time such as 2026-03-06T09:00:00Z, got nothing"}},
		{"the year 1", `{"started_at": "0001-01-01T00:00:00Z", "binaries": [{"name": "a"}]}`, []string{"started_at: want a time after 1970"}},
		{"an end before the start", "{" + start + `, "finished_at": "2026-03-06T08:59:00Z", "binaries": [{"name": "a"}]}`, []string{"finished_at: 2026-03-06T08:59:00Z is before the start, 2026-03-06T09:00:00Z"}},
		{"a plan of no length", "{" + start + `, "planned_minutes": 0, "binaries": [{"name": "a"}]}`, []string{`planned_minutes: want a whole number of minutes from 1 to 44640, got "0"`}},
		{"a plan in hours", "{" + start + `, "planned_minutes": "2h", "binaries": [{"name": "a"}]}`, []string{"planned_minutes: want a whole number"}},
		{"a buffer of nothing", "{" + start + `, "buffer_minutes": 5, "binaries": [{"name": "a"}]}`, []string{"buffer_minutes: goes with planned_minutes"}},
		{"the end of what is planned", `{"planned_start": "2026-03-06T09:00:00Z", "finished_at": "2026-03-06T10:00:00Z", "binaries": [{"name": "a"}]}`, []string{"finished_at: what only has a planned_start hasn't begun"}},
		{"a binary twice", "{" + start + `, "binaries": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}`, []string{`binaries[2]: "a" is binaries[0] already`}},
		{"an instance without its time", "{" + start + `, "binaries": [{"name": "a", "instances": [{"instance": "x"}]}]}`, []string{"binaries[0].instances[0].at: is missing"}},
		{"a bad digest", "{" + start + `, "binaries": [{"name": "a", "sha256": "abc"}]}`, []string{"binaries[0].sha256: want 64 hexadecimal digits"}},
		{"a path for an ID", "{" + start + `, "id": "../etc", "binaries": [{"name": "a"}]}`, []string{"id: want an ID without slashes"}},
		{"text turned about", "{" + start + `, "binaries": [{"name": "a\u202etxt.exe"}]}`, []string{"binaries[0].name: holds a control character"}},
		{"a line separator", "{" + start + `, "id": "a\u2028b", "binaries": [{"name": "a"}]}`, []string{"id: holds a control character"}},
		{"a name of spaces", "{" + start + `, "binaries": [{"name": "  "}]}`, []string{"binaries[0].name: is missing"}},
		{"a control character", "{" + start + `, "binaries": [{"name": "a\u0000"}]}`, []string{"binaries[0].name: holds a control character"}},
		{"a long name", "{" + start + `, "binaries": [{"name": "` + strings.Repeat("a", 300) + `"}]}`, []string{"binaries[0].name: has 300 bytes, want at most 256"}},
		{"a selector that isn't one", "{" + start + `, "binaries": [{"name": "a", "selector": "service=x"}]}`, []string{`binaries[0].selector: want label values by name, got "service=x"`}},
		{"two documents", "a: 1\n---\nb: 2\n", []string{"more than one document"}},
		{"two values", `{"a": 1} {"b": 2}`, []string{"line 1"}},
		{"cut off", "{\"id\":\n \"x\",", []string{"line 2: ends in the middle"}},
		{"aliases", "started_at: 2026-03-06T09:00:00Z\nbinaries:\n- &a {name: a}\n- *a\n", []string{"binaries[1]: want fields, got an alias"}},
		{"deep", strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50), []string{"unknown field"}},
		{"many problems", "{" + strings.Repeat(`"x": 1,`, 100) + `"y": 1}`, []string{"and more"}},
		{"too large", "{" + strings.Repeat(" ", MaxRecordSize) + "}", []string{"larger than 1048576 bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRecord([]byte(tt.in))
			if err == nil {
				t.Fatalf("got %v, want an error", got)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q\nlacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 4000 {
				t.Errorf("error isn't one line of sensible length: %q", err)
			}
		})
	}
}

func TestReadRecord(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "up.json")
	if err := os.WriteFile(path, []byte(contractRecord), 0o600); err != nil {
		t.Fatal(err)
	}
	if u, err := ReadRecord(path); err != nil || u.ID != "dten-4.2.0" {
		t.Errorf("got %q and error %v, want dten-4.2.0", u.ID, err)
	}
	for _, path := range []string{filepath.Join(dir, "none.json"), dir} {
		if _, err := ReadRecord(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got error %v, want one that names %s", err, path)
		}
	}
}

// What is read can be written in either form and read again as the same.
func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(contractRecord))
	f.Add([]byte("started_at: 2026-03-06T09:00:00Z\nbinaries: [{name: a, instances: [{instance: x, at: 2026-03-06T09:00:00.5Z}], flags: [f]}]\n"))
	f.Add([]byte("{id: x, binaries: [{name: a, deployed_at: 2026-03-06T09:00:00Z}]}"))
	f.Add([]byte("- &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := ParseRecord(data)
		if err != nil {
			return
		}
		if u.ID == "" || u.StartedAt.IsZero() || len(u.Binaries) == 0 {
			t.Fatalf("parsed without ID, start or binaries: %+v", u)
		}
		for name, marshal := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "YAML": yaml.Marshal} {
			again, err := marshal(u)
			if err != nil {
				t.Fatal(err)
			}
			if len(again) > MaxRecordSize {
				continue
			}
			v, err := ParseRecord(again)
			if err != nil {
				t.Fatalf("%s form isn't read again: %v\n%s", name, err, again)
			}
			if !equal(u, v) {
				t.Fatalf("%s form reads differently:\n%s", name, cmp.Diff(u, v))
			}
		}
	})
}

func TestMakeIDBounds(t *testing.T) {
	long := []detector.Binary{{Name: strings.Repeat("é/", 200)}, {Name: "b"}, {Name: "c"}, {Name: "d"}, {Name: "e"}}
	id := makeID(long, at(0))
	if len(id) > maxID || strings.ContainsAny(id, "/ é") {
		t.Errorf("got %q of %d bytes", id, len(id))
	}
	long[0].Name += "x"
	long[0].Name = "a" + long[0].Name
	if makeID(long, at(0)) == id {
		t.Errorf("different binaries share the ID %s", id)
	}
	if got, want := makeID(long[1:], at(0).Add(time.Second)), "b+c+d+1more-20260306T090001Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRecordWithACulprit: what alerts told of an upgrade is passed over when its record comes
// back, as the API gives it.
func TestRecordWithACulprit(t *testing.T) {
	u, err := ParseRecord([]byte(`{"id": "x", "started_at": "2026-03-06T09:00:00Z", "culprit": "pay", "binaries": [{"name": "pay"}]}`))
	if err != nil || u.Culprit != "" {
		t.Errorf("got %+v, %v", u, err)
	}
}
