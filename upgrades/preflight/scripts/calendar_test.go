package scripts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var inUTC = regexp.MustCompile(`(?m)\(in UTC\): (.*) UTC$|(?:Next elapse|Iter\. #\d+): (.*) UTC$`)

// systemd gives the next runs of a calendar event as systemd itself reckons them.
func systemd(t testing.TB, event, zone string, after time.Time, n int) []string {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "systemd-analyze", "calendar", fmt.Sprintf("--iterations=%d", n),
		"--base-time="+after.In(time.UTC).Format("2006-01-02 15:04:05 UTC"), event)
	cmd.Env = append(os.Environ(), "TZ="+zone, "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze calendar %q: %v: %s", event, err, out)
	}
	var all []string
	for _, m := range inUTC.FindAllStringSubmatch(string(out), -1) {
		all = append(all, m[1]+m[2])
	}
	return all
}

func ours(c calendar, zone *time.Location, after time.Time, n int) []string {
	var all []string
	for _, r := range c.next(after, zone, n) {
		all = append(all, r.UTC().Format("Mon 2006-01-02 15:04:05"))
	}
	return all
}

// Calendar events against systemd, over both changes of the clock.
func TestCalendar(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze isn't installed")
	}
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "UTC", "Asia/Kolkata"} {
		z, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range []string{
			"daily", "hourly", "weekly", "monthly", "quarterly", "*-*-* 02:30:00", "*:0/20", "Mon..Fri 03:00", "Sat,Sun *-*-* 01:15", "*-*-01..07 04:00",
			"Sun *-*-1..7 1:00:00", "2027-02-28 00:00", "*-02-29 12:00:00", "*-*~01 23:00", "*-*~03 05:00", "02:30 UTC", "*-*-* 0/6:00:00", "Fri..Sun 12:00",
			"*-01,07-15 10:20:30", "*:*:00/20", "Mon", "12-24", "2..4:30",
		} {
			for _, from := range []string{"2026-03-28T11:00:00Z", "2026-10-24T11:00:00Z", "2026-12-31T22:59:59Z"} {
				after, _ := time.Parse(time.RFC3339, from)
				c, own, err := parseCalendar(event)
				if err != nil {
					t.Errorf("%q: %v", event, err)
					continue
				}
				in := z
				if own != nil {
					in = own
				}
				if d := cmp.Diff(systemd(t, event, zone, after, 6), ours(c, in, after, 6)); d != "" {
					t.Errorf("%q in %s after %s: -systemd +ours:\n%s", event, zone, from, d)
				}
			}
		}
	}
}

// Where no clock changes, a cron expression is a calendar event; systemd reckons it.
func TestCron(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze isn't installed")
	}
	after := time.Date(2026, 1, 30, 13, 7, 11, 0, time.UTC)
	for cron, event := range map[string]string{
		"0 3 * * *": "03:00", "*/15 * * * *": "*:0/15", "5-55/10 * * * *": "*:5..55/10", "30 4 1,15 * *": "*-*-1,15 04:30", "0 22 * * 1-5": "Mon..Fri 22:00",
		"0 0 * * 7": "Sun 00:00", "0 0 * * sun": "Sun 00:00", "15 2 28 FEB *": "*-2-28 02:15", "@weekly": "Sun 00:00", "@hourly": "*:00", "0 0 29 2 *": "*-2-29",
		"0 9-17/4 * * *": "9..17/4:00", "7 6 31 * *": "*-*-31 06:07", "0 12 */10 * 1": "Mon *-*-1/10 12:00",
	} {
		c, err := parseCron(cron)
		if err != nil {
			t.Errorf("%q: %v", cron, err)
			continue
		}
		if d := cmp.Diff(systemd(t, event, "UTC", after, 6), ours(c, time.UTC, after, 6)); d != "" {
			t.Errorf("%q: -systemd +ours:\n%s", cron, d)
		}
	}
}

// What cron does that systemd doesn't: crontab(5) and cron(8) of Debian.
func TestCronItself(t *testing.T) {
	z := berlin(t)
	for _, tt := range []struct {
		cron, after string
		want        []string
	}{
		// Either day is enough: the 13th, and Fridays.
		{"0 12 13 * 5", "2026-11-01T00:00:00Z", []string{"2026-11-06T12:00:00+01:00", "2026-11-13T12:00:00+01:00", "2026-11-20T12:00:00+01:00"}},
		{"0 12 13 * 1", "2026-11-08T00:00:00Z", []string{"2026-11-09T12:00:00+01:00", "2026-11-13T12:00:00+01:00", "2026-11-16T12:00:00+01:00"}},
		// 02:30 doesn't come on 29 March: right after the change; on 25 October it comes twice: once.
		{"30 2 * * *", "2026-03-28T12:00:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"30 2 * * *", "2026-10-24T12:00:00Z", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		// A star follows the clock.
		{"30 * * * *", "2026-03-29T00:00:00Z", []string{"2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"}},
		{"30 * * * *", "2026-10-25T00:00:00Z", []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"}},
		{"0 0 30 2 *", "2026-10-25T00:00:00Z", nil},
	} {
		c, err := parseCron(tt.cron)
		if err != nil {
			t.Fatal(err)
		}
		after, _ := time.Parse(time.RFC3339, tt.after)
		var got []string
		for _, r := range c.next(after, z, max(len(tt.want), 1)) {
			got = append(got, r.Format(time.RFC3339))
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%q after %s: -want +got:\n%s", tt.cron, tt.after, d)
		}
	}
	for _, bad := range []string{"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5/10 * * * *", "9-5 * * * *", "a * * * *", "*/0 * * * *", "-1 * * * *", "1- * * * *"} {
		if _, err := parseCron(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// Whatever the expression, its runs come in order, after the instant, and their minutes are in the set.
func TestRunsInOrder(t *testing.T) {
	z := berlin(t)
	rapid.Check(t, func(t *rapid.T) {
		expr := fmt.Sprintf("%s %s %s %s %s", rapid.SampledFrom([]string{"*", "*/7", "0", "30", "5,59"}).Draw(t, "m"),
			rapid.SampledFrom([]string{"*", "2", "1-3", "*/5", "23"}).Draw(t, "h"), rapid.SampledFrom([]string{"*", "29", "*/3", "1,31"}).Draw(t, "d"),
			rapid.SampledFrom([]string{"*", "3", "10", "2"}).Draw(t, "mon"), rapid.SampledFrom([]string{"*", "0", "1-5"}).Draw(t, "w"))
		c, err := parseCron(expr)
		if err != nil {
			t.Fatal(err)
		}
		after := time.Unix(rapid.Int64Range(1.7e9, 2e9).Draw(t, "after"), 0)
		runs := c.next(after, z, 5)
		last := after
		for _, r := range runs {
			if !r.After(last) {
				t.Fatalf("%s: %v isn't after %v", expr, r, last)
			}
			if !has(c.months, int(r.Month())) {
				t.Fatalf("%s: %v is in another month", expr, r)
			}
			last = r
		}
		if len(runs) == 0 && !strings.Contains(expr, "1,31 2") {
			t.Fatalf("%s never runs", expr)
		}
	})
}
