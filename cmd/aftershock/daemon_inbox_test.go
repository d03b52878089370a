package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aftershock/detector"
)

// withInbox adds the inbox to a daemon's configuration, and lets what is told
// within ten minutes be of one upgrade.
func withInbox(config, inbox string) string {
	return strings.Replace(config, "settle: 10s}", "settle: 10m, "+inbox+"}", 1)
}

// post sends a message to the inbox; headers are names and values in turn. The
// status is 0 where no answer came.
func (p *process) post(path, body string, headers ...string) (status int, answer string) {
	req, err := http.NewRequest(http.MethodPost, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// sampleNow is a sample of package inbox with its day and hour moved so that
// what it tells of is over by a few minutes.
func sampleNow(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "upgrades", "inbox", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	text, shift := string(b), time.Since(time.Date(2026, 3, 6, 9, 35, 0, 0, time.UTC))
	for minute := range 36 {
		for second := range 60 {
			at := time.Date(2026, 3, 6, 9, minute, second, 0, time.UTC)
			const layout = "2006-01-02T15:04:05"
			// A letter keeps what was moved from being moved again.
			text = strings.ReplaceAll(text, at.Format(layout), "@"+at.Add(shift).Format(layout))
		}
	}
	return strings.ReplaceAll(text, "@20", "20")
}

// The samples of all senders, posted to the real daemon as their senders would.
func TestDaemonInbox(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	home := newHome(t, withInbox(config("", f.scraped(), "[{name: log, log: {}}]"),
		"inbox: {token_file: inbox.token, github_secret_file: github.secret, names: {Hello-World: hello}}"))
	home.file("flags.json", definitions)
	home.file("inbox.token", "inbox-token-of-20-bytes\n")
	home.file("github.secret", "a-secret-of-the-webhook\n")
	p := home.start()
	p.watching(4)
	token := []string{"Authorization", "Bearer inbox-token-of-20-bytes"}
	status := sampleNow(t, "github-deployment_status.json")
	mac := hmac.New(sha256.New, []byte("a-secret-of-the-webhook"))
	mac.Write([]byte(status))
	for _, tc := range []struct {
		path, body string
		headers    []string
	}{
		{"/api/v1/inbox/argocd", sampleNow(t, "argocd-running.json"), token},
		{"/api/v1/inbox/argocd", sampleNow(t, "argocd-succeeded.json"), token},
		{"/api/v1/inbox/cdevents", sampleNow(t, "cdevents-service-deployed.json"), token},
		{"/api/v1/inbox", sampleNow(t, "cdevents-structured.json"), append([]string{"Content-Type", "application/cloudevents+json"}, token...)},
		{"/api/v1/inbox/flux", sampleNow(t, "flux-kustomization.json"), token},
		{"/api/v1/inbox/flux", sampleNow(t, "flux-helmrelease.json"), token},
		{"/api/v1/inbox/github", status, []string{"X-GitHub-Event", "deployment_status", "X-Hub-Signature-256", "sha256=" + hex.EncodeToString(mac.Sum(nil))}},
		{"/v2/change/enqueue", strings.Replace(sampleNow(t, "pagerduty-deploy.json"), "samplekeyhere", "inbox-token-of-20-bytes", 1), nil},
	} {
		for range 2 { // each is delivered twice
			if got, answer := p.post(tc.path, tc.body, tc.headers...); got != http.StatusAccepted {
				t.Errorf("POST %s: got %d %s, want 202", tc.path, got, answer)
			}
		}
	}
	if got, answer := p.post("/api/v1/inbox/argocd", "{}"); got != http.StatusUnauthorized {
		t.Errorf("without a token: got %d %s, want 401", got, answer)
	}
	// payments is what the telemetry calls dten-payments: CDEvents and PagerDuty
	// tell of one change.
	want := []string{"dten-checkout", "dten-payments", "hello", "my-app+store", "mySubject123", "podinfo"}
	var list string
	wait(t, 20*time.Second, "the upgrades", func() error {
		all := must[items[detector.Upgrade]](p, "/api/v1/upgrades").Items
		if len(all) < len(want) {
			return fmt.Errorf("got %d upgrades", len(all))
		}
		return nil
	})
	all := must[items[detector.Upgrade]](p, "/api/v1/upgrades").Items
	byName := map[string]detector.Upgrade{}
	for _, u := range all {
		var names []string
		for _, b := range u.Binaries {
			names = append(names, b.Name)
		}
		byName[strings.Join(names, "+")] = u
	}
	for _, name := range want {
		if _, ok := byName[name]; !ok {
			t.Errorf("there is no upgrade of %s", name)
		}
	}
	if len(all) != len(want) {
		t.Errorf("got %d upgrades, want %d: %+v", len(all), len(want), all)
	}
	if u := byName["dten-checkout"]; u.FinishedAt.Sub(u.StartedAt) != 4*time.Minute+30*time.Second || u.Binaries[0].To != "4.2.0" {
		t.Errorf("Argo CD's begin and end: got %+v, want one window of 4m30s to 4.2.0", u)
	}
	if u := byName["dten-payments"]; !strings.Contains(u.Source, "cdevents/production") || !strings.Contains(u.Source, "pagerduty/production") || u.Binaries[0].Selector["service"] != "payments" {
		t.Errorf("payments: got %+v, want one upgrade from both senders with the series of the service", u)
	}
	cmd := exec.Command(binary(t), "upgrades", "list", "--server", p.url)
	out, err := cmd.CombinedOutput()
	if list = string(out); err != nil || !strings.Contains(list, "dten-checkout") || !strings.Contains(list, "podinfo") {
		t.Errorf("aftershock upgrades list: %v\n%s", err, list)
	}
	p.stop()
}

// What a tool reports and what the telemetry shows is one upgrade.
func TestDaemonInboxAndTelemetryTellOfOneUpgrade(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	home := newHome(t, config("", f.scraped(), "[{name: log, log: {}}]"))
	home.file("flags.json", definitions)
	p := home.start()
	p.watching(4)
	began := time.Now().UTC()
	body := func(phase string, end time.Time) string {
		finished := ""
		if !end.IsZero() {
			finished = end.Format(time.RFC3339Nano)
		}
		return fmt.Sprintf(`{"app":"payments","phase":%q,"started_at":%q,"finished_at":%q,"images":["x/dten-payments:4.2.0"]}`, phase, began.Format(time.RFC3339Nano), finished)
	}
	own := []string{"Authorization", "Bearer " + p.token}
	if got, answer := p.post("/api/v1/inbox/argocd", body("Running", time.Time{}), own...); got != http.StatusAccepted {
		t.Fatalf("got %d %s", got, answer)
	}
	f.upgrade(time.Second)
	if got, answer := p.post("/api/v1/inbox/argocd", body("Succeeded", time.Now().UTC()), own...); got != http.StatusAccepted {
		t.Fatalf("got %d %s", got, answer)
	}
	wait(t, 30*time.Second, "one upgrade with both instances", func() error {
		all := must[items[detector.Upgrade]](p, "/api/v1/upgrades").Items
		if len(all) != 1 || len(all[0].Binaries) != 1 || len(all[0].Binaries[0].Instances) != 2 {
			return fmt.Errorf("got %+v", all)
		}
		b := all[0].Binaries[0]
		if b.Name != "dten-payments" || b.From != "4.1.3" || b.To != "4.2.0" || !strings.HasPrefix(all[0].ID, "argocd-payments-") || !strings.Contains(all[0].Source, "build-info") {
			return fmt.Errorf("got %+v", all[0])
		}
		return nil
	})
	p.stop()
}

// The daemon is killed at random instants while tools report to it: whatever
// was acknowledged is there in the end, once.
func TestDaemonInboxIsKilled(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	home := newHome(t, config("", f.scraped(), "[{name: log, log: {}}]"))
	home.file("flags.json", definitions)
	p := home.start()
	rng := rand.New(rand.NewPCG(3, uint64(time.Now().UnixNano())))
	acked := map[string]string{} // binary by ID
	n := 0
	tell := func(p *process) {
		n++
		name := fmt.Sprintf("app-%d", n)
		body := fmt.Sprintf(`{"app":%q,"phase":"Running","started_at":%q}`, name, time.Now().UTC().Format(time.RFC3339Nano))
		for range 1 + rng.IntN(2) { // some are delivered twice
			status, answer := p.post("/api/v1/inbox/argocd", body, "Authorization", "Bearer "+p.token)
			if status == http.StatusAccepted {
				_, rest, _ := bytes.Cut([]byte(answer), []byte(`"upgrade":"`))
				id, _, _ := bytes.Cut(rest, []byte(`"`))
				acked[string(id)] = name
			} else if status != 0 && status != http.StatusServiceUnavailable {
				t.Errorf("got %d %s", status, answer)
			}
		}
	}
	kills := 0
	// A loaded machine acknowledges little between two kills.
	for began := time.Now(); kills < 8 || len(acked) < 20 && time.Since(began) < time.Minute; kills++ {
		lives := time.Duration(100+rng.IntN(1500)) * time.Millisecond // before the chance is the teller's
		var group sync.WaitGroup
		stop := make(chan struct{})
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					tell(p)
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
		time.Sleep(lives)
		p.kill()
		close(stop)
		group.Wait()
		p = home.start()
	}
	if len(acked) < 20 {
		t.Fatalf("only %d of %d were acknowledged in a minute: that tests little", len(acked), n)
	}
	wait(t, 30*time.Second, "all that was acknowledged", func() error {
		missing := errors.New("")
		seen := map[string]int{}
		for after := ""; ; {
			page := must[items[detector.Upgrade]](p, "/api/v1/upgrades?limit=500&after="+after)
			for _, u := range page.Items {
				seen[u.Binaries[0].Name]++
				if want, ok := acked[u.ID]; ok && want != u.Binaries[0].Name {
					t.Fatalf("upgrade %s is of %s, and was acknowledged of %s", u.ID, u.Binaries[0].Name, want)
				}
			}
			if after = page.Next; after == "" {
				break
			}
		}
		for id, name := range acked {
			switch seen[name] {
			case 1:
			case 0:
				missing = errors.Join(missing, fmt.Errorf("%s was acknowledged and isn't there", id))
			default:
				t.Fatalf("%s is there %d times", name, seen[name])
			}
		}
		if missing.Error() != "" {
			return missing
		}
		return nil
	})
	t.Logf("%d messages, %d acknowledged, %d kills", n, len(acked), kills)
	p.stop()
}

// What dpkg replaces on this machine is seen once it is in its log.
func TestDaemonReadsDpkgLog(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	home := newHome(t, withInbox(config("", f.scraped(), "[{name: log, log: {}}]"), "packages: {dpkg_log: dpkg.log, time_zone: Europe/Vienna}"))
	home.file("flags.json", definitions)
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	line := func(at time.Time, text string) string {
		return at.In(vienna).Format("2006-01-02 15:04:05 ") + text + "\n"
	}
	earlier, began := time.Now().Add(-2*time.Hour), time.Now().UTC().Truncate(time.Second)
	log := home.file("dpkg.log", line(earlier, "upgrade dten-catalog:amd64 4.1.2-1 4.1.3-1")+line(earlier.Add(time.Second), "status installed dten-catalog:amd64 4.1.3-1"))
	p := home.start()
	p.watching(4)
	appended, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer appended.Close()
	if _, err := io.WriteString(appended, line(began, "upgrade libssl3:amd64 3.0.15-1 3.0.16-1")+
		line(began, "upgrade dten-payments:amd64 4.1.3-1 4.2.0-1")+line(began.Add(time.Second), "status installed libssl3:amd64 3.0.16-1")+
		line(began.Add(2*time.Second), "status installed dten-payments:amd64 4.2.0-1")); err != nil {
		t.Fatal(err)
	}
	seen := func(p *process) {
		t.Helper()
		wait(t, 20*time.Second, "both upgrades", func() error {
			all := must[items[detector.Upgrade]](p, "/api/v1/upgrades").Items
			if len(all) != 2 || len(all[0].Binaries) != 1 || all[0].Binaries[0].Name != "dten-payments" || all[1].Binaries[0].Name != "dten-catalog" {
				return fmt.Errorf("got %+v", all)
			}
			if u := all[0]; !u.StartedAt.Equal(began) || !u.FinishedAt.Equal(began.Add(2*time.Second)) || u.Binaries[0].From != "4.1.3 (4.1.3-1)" || u.Source != "dpkg" {
				return fmt.Errorf("got %+v", u)
			}
			return nil
		})
	}
	seen(p)
	p.kill()
	p = home.start()
	p.watching(4)
	seen(p)
	out, err := exec.Command(binary(t), "upgrades", "list", "--server", p.url).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "dpkg-"+began.Format("20060102T150405Z")) {
		t.Errorf("aftershock upgrades list: %v\n%s", err, out)
	}
	p.stop()
}
