package scripts

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
)

// brief gives findings as "severity rule file:line".
func brief(all []detector.Finding) []string {
	var out []string
	for _, f := range all {
		out = append(out, fmt.Sprintf("%s %s %s:%d", f.Severity, strings.TrimPrefix(f.Rule, "scripts/"), f.Place.File, f.Place.Line))
	}
	return out
}

func berlin(t testing.TB) *time.Location {
	t.Helper()
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

const install = `#!/bin/bash
# installs dten; don't run: rm -rf $HOME/
OLD=sftp-legacy.example.net
sudo cp -r bin/* /opt/dten/
sudo systemctl restart dten-sync.service
systemctl restart dten-checkout
(crontab -l 2>/dev/null; echo "0 3 * * * /opt/dten/scripts/export.sh >/dev/null") | crontab -
cat > /etc/systemd/system/dten-new.service <<EOF
[Service]
ExecStart=/opt/dten/bin/dten-new
EOF
systemctl enable dten-new
systemctl stop dten-report.timer
`

const export = `#!/bin/sh
set -e
HOST=sftp-legacy.example.net
sftp -b - "dten@$HOST" <<EOF
put /var/lib/dten/export.csv
EOF
`

func TestStory(t *testing.T) {
	z := berlin(t)
	host := Host{
		Units: []string{"dten-checkout.service", "dten-report.timer"}, Zone: z, Now: time.Date(2026, 3, 27, 12, 0, 0, 0, z),
		Retired: []string{"sftp-legacy.example.net"},
	}
	got := Check(t.Context(), []Script{
		{Path: "scripts/install.sh", Text: []byte(install), Mode: 0o755},
		{Path: "scripts/export.sh", Text: []byte(export), Mode: 0o755},
	}, host)
	want := []string{
		"blocker retired-host scripts/export.sh:4",
		"risk no-errexit scripts/install.sh:4",
		"risk sudo scripts/install.sh:4",
		"risk unit-missing scripts/install.sh:5",
		"risk retired-host scripts/install.sh:7",
		"note scheduled-run scripts/install.sh:7",
		"risk unit-stopped scripts/install.sh:13",
	}
	if d := cmp.Diff(want, brief(got)); d != "" {
		t.Fatalf("-want +got:\n%s", d)
	}
	unit, gone, runs, stopped := got[3], got[4], got[5], got[6]
	if h := unit.Hypotheses; len(h) != 1 || h[0].Kind != detector.HypothesisOldBuild || h[0].Unit != "dten-sync.service" {
		t.Errorf("the missing unit's hypotheses are %+v", h)
	}
	h := runs.Hypotheses[0]
	var at []string
	for _, r := range h.Runs {
		at = append(at, r.Format(time.RFC3339))
	}
	wantRuns := []string{
		"2026-03-28T03:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00", "2026-03-31T03:00:00+02:00", "2026-04-01T03:00:00+02:00",
	}
	if d := cmp.Diff(wantRuns, at); d != "" {
		t.Errorf("runs: -want +got:\n%s", d)
	}
	if h.Kind != detector.HypothesisRun || h.Schedule != "0 3 * * *" || h.Zone != "Europe/Berlin" {
		t.Errorf("the entry's hypothesis is %+v", h)
	}
	if !strings.Contains(gone.What, "sftp-legacy.example.net") || !strings.Contains(gone.What, "scripts/export.sh line 4") {
		t.Errorf("the retired host's finding says %q", gone.What)
	}
	wantChore := []detector.Chore{{
		Kind: "cron", Name: "0 3 * * * /opt/dten/scripts/export.sh >/dev/null", What: "take the schedule out: it talks to a host that is retired",
		Probe: "cron /opt/dten/scripts/export.sh >/dev/null",
	}}
	if d := cmp.Diff(wantChore, gone.Chores); d != "" {
		t.Errorf("chores: -want +got:\n%s", d)
	}
	if len(stopped.Chores) != 1 || stopped.Chores[0].Kind != "cron" || stopped.Chores[0].Name != "dten-report.timer" {
		t.Errorf("the stopped timer's chores are %+v", stopped.Chores)
	}
}

// The same package with its faults mended has nothing above a note.
func TestMended(t *testing.T) {
	mended := `#!/bin/bash
set -euo pipefail
stage=$(mktemp -d)
trap 'rm -rf "${stage:?}"' EXIT
cp -r bin/* /opt/dten/
systemctl stop dten-report.timer
systemctl restart dten-checkout
cat > /etc/cron.d/dten <<'EOF'
CRON_TZ=UTC
0 3 * * * dten /opt/dten/scripts/export.sh
EOF
systemctl start dten-report.timer
`
	z := berlin(t)
	for _, f := range Check(t.Context(), []Script{
		{Path: "scripts/install.sh", Text: []byte(mended), Mode: 0o755},
		{Path: "scripts/export.sh", Text: []byte(strings.ReplaceAll(export, "sftp-legacy", "sftp")), Mode: 0o755},
	}, Host{Units: []string{"dten-checkout", "dten-report.timer"}, Zone: z, Now: time.Unix(1e9, 0), Retired: []string{"sftp-legacy.example.net"}}) {
		if f.Severity != detector.Note {
			t.Errorf("%+v", f)
		}
		if f.Rule != "scripts/scheduled-run" || f.Place.Line != 10 || f.Hypotheses[0].Zone != "UTC" {
			t.Errorf("got %s in line %d with %+v, want the entry of cron in line 10, in UTC", f.Rule, f.Place.Line, f.Hypotheses)
		}
	}
}

func TestRetired(t *testing.T) {
	lookup := func(_ context.Context, name string) []netip.Addr {
		if name == "moved.example.net" {
			return []netip.Addr{netip.MustParseAddr("10.9.1.7")}
		}
		return nil
	}
	host := Host{Retired: []string{"Old.example.net.", "*.dc1.example.net", "10.9.0.0/16", "192.0.2.7", "2001:db8::/32"}, Lookup: lookup}
	for line, want := range map[string]bool{
		"curl -fsS https://old.example.net/x":                      true,
		"curl -o old.example.net https://new.example.net/":         false,
		"curl old.example.net:8080/health":                         true,
		"wget -q http://user@OLD.example.net/x":                    true,
		"scp a.csv ops@old.example.net:/in/":                       true,
		"scp old.example.net.csv ops@new.example.net:/in/":         false,
		"ssh -p 22 db3.dc1.example.net uptime":                     true,
		"ssh dc1.example.net uptime":                               false,
		"rsync -a /srv/ rsync://a.b.dc1.example.net/x":             true,
		"nc -z 10.9.200.1 22":                                      true,
		"nc -z 10.10.0.1 22":                                       false,
		"psql -h old.example.net -c 'select 1'":                    true,
		"psql 'host=192.0.2.7 dbname=x'":                           true,
		"psql --host=old.example.net":                              true,
		"mysql -hold.example.net -u x":                             true,
		"H=old.example.net; ping -c 1 \"$H\"":                      true,
		"ping -c 1 ${H:-old.example.net}":                          true,
		"echo https://old.example.net is no more":                  true, // a URL anywhere in a word
		"echo old.example.net is no more":                          false,
		"# curl https://old.example.net":                           false,
		"sftp moved.example.net":                                   true,
		"sftp [2001:db8::1]:/x":                                    true,
		"exec 3<>/dev/tcp/old.example.net/80":                      true,
		"for h in a.example.net old.example.net; do sftp $h; done": true,
	} {
		got := false
		for _, f := range Check(t.Context(), []Script{{Path: "x.sh", Text: []byte(line + "\n")}}, host) {
			got = got || f.Rule == "scripts/retired-host"
		}
		if got != want {
			t.Errorf("%s: found %t, want %t", line, got, want)
		}
	}
}

func TestTimer(t *testing.T) {
	z := berlin(t)
	timer := "[Unit]\nDescription=x\n[Timer]\n# daily\nOnCalendar=Mon..Fri \\\n  02:30 UTC\nUnit=dten-x.service\n"
	got := Check(t.Context(), []Script{
		{Path: "units/dten.timer", Text: []byte(timer)},
		{Path: "units/dten-x.service", Text: []byte("[Service]\nType=oneshot\nExecStart=-/usr/bin/curl https://old.example.net/push\n")},
	}, Host{Zone: z, Now: time.Date(2026, 3, 27, 12, 0, 0, 0, z), Retired: []string{"old.example.net"}})
	want := []string{"risk retired-host units/dten-x.service:3", "risk retired-host units/dten.timer:5", "note scheduled-run units/dten.timer:5"}
	if d := cmp.Diff(want, brief(got)); d != "" {
		t.Fatalf("-want +got:\n%s", d)
	}
	if r := got[2].Hypotheses[0].Runs; len(r) != 5 || !r[0].Equal(time.Date(2026, 3, 30, 2, 30, 0, 0, time.UTC)) {
		t.Errorf("the timer runs at %v", r)
	}
}
