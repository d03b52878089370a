package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/access"
	"aftershock/web/webtest"
)

const backoff = "/api/v1/flags/payments-backoff"

// What is undone twice is not the same as what is undone once.
const (
	quarter = `{"variant":"legacy","reason":"x","percent":25}`
	undone  = `{"reason":"over"}`
)

// toggles puts so many toggles into force.
func toggles(t *testing.T, s *webtest.Server, n int) {
	t.Helper()
	for i := range n {
		_, err := s.Board.Set(t.Context(), flags.Request{
			Flag: "payments-backoff", Variant: "tuned", Reason: "x", Actor: "ana", Scope: detector.Scope{Percent: float64(10 + i)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func under(key string, headers ...string) []string {
	return append([]string{"Authorization", bearer, "Idempotency-Key", key}, headers...)
}

func inForce(t *testing.T, s *webtest.Server) int {
	t.Helper()
	v, err := s.Board.Show("payments-backoff")
	if err != nil {
		t.Fatal(err)
	}
	return v.Toggles
}

func TestAWriteWithAKeyIsDoneOnce(t *testing.T) {
	s := story(t)
	first := ask(t, "PUT", s.URL+backoff, quarter, under(`"k-1"`)...)
	again := ask(t, "PUT", s.URL+backoff, quarter, under("k-1")...)
	if first.StatusCode != 200 || again.StatusCode != 200 || first.body != again.body || again.Header.Get("Content-Type") != "application/json" {
		t.Errorf("first %d %s, again %d %s", first.StatusCode, first.body, again.StatusCode, again.body)
	}
	if first.Header.Get("Idempotency-Replayed") != "" || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Error("the second answer alone is to say that it is the first again")
	}
	if n := inForce(t, s); n != 1 {
		t.Fatalf("%d toggles in force, want 1", n)
	}
	other := strings.Replace(quarter, "25", "26", 1)
	for name, got := range map[string]reply{
		"another body": ask(t, "PUT", s.URL+backoff, other, under("k-1")...),
		"another path": ask(t, "POST", s.URL+backoff+"/undo", quarter, under("k-1")...),
	} {
		if got.StatusCode != 422 || !strings.Contains(got.body, "new key") {
			t.Errorf("%s under the key: %d %s", name, got.StatusCode, got.body)
		}
	}
	if got := ask(t, "PUT", s.URL+backoff, other, under("k-2")...); got.StatusCode != 200 || inForce(t, s) != 2 {
		t.Errorf("another key: %d, %d toggles in force", got.StatusCode, inForce(t, s))
	}
	for range 2 {
		if got := ask(t, "POST", s.URL+backoff+"/undo", undone, under("undo")...); got.StatusCode != 200 || inForce(t, s) != 1 {
			t.Errorf("undone: %d, %d toggles in force", got.StatusCode, inForce(t, s))
		}
	}
	// What was refused stays refused under its key, and a record keeps its place.
	refused := ask(t, "PUT", s.URL+backoff, `{"variant":"nope","reason":"x"}`, under("k-3")...)
	if got := ask(t, "PUT", s.URL+backoff, `{"variant":"nope","reason":"x"}`, under("k-3")...); got.StatusCode != 400 || got.body != refused.body || got.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("refused again: %d %s", got.StatusCode, got.body)
	}
	record := `{"id":"next","started_at":"` + time.Now().UTC().Format(time.RFC3339) + `","binaries":[{"name":"dten-cart"}]}`
	for range 2 {
		if got := ask(t, "POST", s.URL+"/api/v1/upgrades", record, under("k-4")...); got.StatusCode != 202 || got.Header.Get("Location") != "/api/v1/upgrades/next" {
			t.Errorf("recorded: %d %v", got.StatusCode, got.Header)
		}
	}
	if recorded, _ := s.Loop.Told(); len(recorded) != 1 {
		t.Errorf("the watch was told %d times", len(recorded))
	}
}

func TestKeysOfCallers(t *testing.T) {
	path, tokens := people(t)
	s := story(t, func(o *web.Options) { o.Config.Access.TokensFile = path })
	toggles(t, s, 5)
	as := func(role access.Role) int {
		return ask(t, "POST", s.URL+backoff+"/undo", undone, "Authorization", "Bearer "+tokens[role], "Idempotency-Key", "k").StatusCode
	}
	if olga, ada, vera := as(access.OnCall), as(access.Admin), as(access.Viewer); olga != 200 || ada != 200 || vera != 403 {
		t.Errorf("on call %d, admin %d, viewer %d", olga, ada, vera)
	}
	if n := inForce(t, s); n != 3 {
		t.Errorf("%d toggles in force, want 3: one undone for each caller", n)
	}
	for _, key := range []string{"", `""`, "a b", "a\tb", "é", `a"b`, strings.Repeat("k", 256)} {
		got := ask(t, "PUT", s.URL+backoff, quarter, "Authorization", "Bearer "+tokens[access.Admin], "Idempotency-Key", key)
		if got.StatusCode != 400 || !strings.Contains(got.body, "Idempotency-Key") {
			t.Errorf("key %q: %d %s", key, got.StatusCode, got.body)
		}
	}
}

// slow holds the reading of upgrades until it is let go, and fails it if it is to.
type slow struct {
	*journal.Journal
	asked, goOn chan struct{}
	fail        bool
}

func (s *slow) Upgrade(ctx context.Context, id string) (detector.Upgrade, error) {
	s.asked <- struct{}{}
	<-s.goOn
	if s.fail {
		return detector.Upgrade{}, errors.New("the disk is full")
	}
	return s.Journal.Upgrade(ctx, id)
}

func TestAKeyWhileItsWriteIsUnderWay(t *testing.T) {
	j := &slow{asked: make(chan struct{}), goOn: make(chan struct{}), fail: true}
	s := story(t, func(o *web.Options) { j.Journal = o.Journal.(*journal.Journal); o.Journal = j })
	send := func() reply {
		return ask(t, "POST", s.URL+"/api/v1/upgrades/"+webtest.UpgradeID+"/close", "", under("k")...)
	}
	first := make(chan reply)
	go func() { first <- send() }()
	<-j.asked
	if got := send(); got.StatusCode != 409 || got.Header.Get("Retry-After") == "" || !strings.Contains(got.body, "under way") {
		t.Errorf("meanwhile: %d %s", got.StatusCode, got.body)
	}
	j.goOn <- struct{}{}
	if got := <-first; got.StatusCode != 500 {
		t.Errorf("the first: %d %s", got.StatusCode, got.body)
	}
	// What failed inside may go well when it is asked again.
	j.fail = false
	go func() { <-j.asked; j.goOn <- struct{}{} }()
	if got := send(); got.StatusCode != 202 {
		t.Errorf("after the failure: %d %s", got.StatusCode, got.body)
	}
	if _, closed := s.Loop.Told(); len(closed) != 1 {
		t.Errorf("closed %d times", len(closed))
	}
}

// undo undoes the last toggle under a key.
func undo(t *testing.T, s *webtest.Server) reply {
	t.Helper()
	return ask(t, "POST", s.URL+backoff+"/undo", undone, under("k")...)
}

// TestAKeyOverACrash: a daemon put down the claim and made the toggle, and was killed
// before it could answer. The next one doesn't make it again.
func TestAKeyOverACrash(t *testing.T) {
	s := story(t)
	toggles(t, s, 4)
	lost := undo(t, s)
	var made detector.Toggle
	lost.decode(t, &made)
	claim := journal.Answer{Key: "k", At: time.Now(), Digest: "?", Toggle: made.ID}
	there, _, err := s.Journal.ClaimAnswer(t.Context(), claim)
	if err != nil || there.Toggle != made.ID {
		t.Fatalf("the claim names toggle %q, want %q; %v", there.Toggle, made.ID, err)
	}
	forget := func(toggle string) {
		t.Helper()
		there.Status, there.Body, there.Toggle = 0, nil, toggle
		if err := s.Journal.PutAnswer(t.Context(), there); err != nil {
			t.Fatal(err)
		}
	}
	forget(made.ID)
	var again detector.Toggle
	got := undo(t, s)
	got.decode(t, &again)
	if got.StatusCode != 200 || again.ID != made.ID || inForce(t, s) != 3 || got.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%d, toggle %s of %s, %d in force", got.StatusCode, again.ID, made.ID, inForce(t, s))
	}
	for state, want := range map[detector.ToggleState]int{detector.TogglePlanned: 409, detector.ToggleApplied: 409, detector.ToggleWaiting: 202} {
		cut := made
		cut.ID, cut.State = fmt.Sprintf("cut-off-%s", state), state
		if err := s.Journal.AuditToggle(t.Context(), cut); err != nil {
			t.Fatal(err)
		}
		forget(cut.ID)
		if got := undo(t, s); got.StatusCode != want || inForce(t, s) != 3 {
			t.Errorf("cut off %s: %d %s, want %d", state, got.StatusCode, got.body, want)
		}
	}
	// It was cut off before the toggle was put down, or the toggle came to nothing: it is made now.
	forget(flags.NewID(time.Now()))
	if got := undo(t, s); got.StatusCode != 200 || inForce(t, s) != 2 {
		t.Errorf("cut off before: %d %s, %d in force", got.StatusCode, got.body, inForce(t, s))
	}
	failed := made
	failed.ID, failed.State = "failed", detector.ToggleFailed
	if err := s.Journal.AuditToggle(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	forget(failed.ID)
	if got := undo(t, s); got.StatusCode != 200 || inForce(t, s) != 1 {
		t.Errorf("cut off and failed: %d %s, %d in force", got.StatusCode, got.body, inForce(t, s))
	}
}

// TestWritesTakeAKey: the description names the key where it holds, and nowhere else.
func TestWritesTakeAKey(t *testing.T) {
	s := story(t)
	paths, _ := description()["paths"].(node)
	seen := 0
	for path, methods := range paths {
		for _, method := range []string{"post", "put"} {
			op, ok := methods.(node)[method].(node)
			// A link that signs in is put down nowhere, and so isn't answered twice.
			if !ok || !strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/api/v1/inbox") || path == "/api/v1/sign-in" {
				continue
			}
			seen++
			named := false
			parameters, _ := op["parameters"].([]any)
			for _, p := range parameters {
				named = named || resolved(p.(node))["name"] == "Idempotency-Key"
			}
			target := s.URL + strings.NewReplacer("{key}", "x", "{id}", "x").Replace(path)
			got := ask(t, strings.ToUpper(method), target, "{}", under("a b")...)
			if !named || got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, "Idempotency-Key") {
				t.Errorf("%s %s: named in the description: %v; with a key that is none: %d %s", method, path, named, got.StatusCode, got.body)
			}
		}
	}
	if seen < 12 {
		t.Errorf("%d writes were looked at", seen)
	}
}
