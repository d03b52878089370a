package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// An upgrade that takes longer than its buffer is told to the people on call, and what began
// is told to those outside: once, also after a crash.
func TestDaemonTellsThoseOutside(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[string]int{} // by the idempotency key and the summary
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var p struct{ CommonAnnotations map[string]string }
		_ = json.Unmarshal(b, &p)
		mu.Lock()
		defer mu.Unlock()
		got[r.Header.Get("Idempotency-Key")+" "+p.CommonAnnotations["summary"]]++
	}))
	t.Cleanup(hook.Close)
	f := newFleet(t)
	h := newHome(t, config("", f.scraped(), fmt.Sprintf(`[{name: hook, webhook: {url: "%s"}}]`, hook.URL))+"status: {receivers: [hook]}\n")
	h.file("flags.json", definitions)
	p := h.start()
	began := time.Now().UTC().Add(-20 * time.Minute).Truncate(time.Second)
	record := fmt.Sprintf(`{"id":"slow","started_at":"%s","planned_minutes":10,"buffer_minutes":5,"binaries":[{"name":"nobody"}]}`, began.Format(time.RFC3339))
	told := func() error {
		mu.Lock()
		defer mu.Unlock()
		var begun, gone int
		for key := range got {
			begun += strings.Count(key, "slow: Upgrade under way")
			gone += strings.Count(key, "Upgrade slow isn't known to be done")
		}
		if begun != 1 || gone != 1 || len(got) != 2 {
			return fmt.Errorf("told %v", got)
		}
		return nil
	}
	if status, answer := p.post("/api/v1/upgrades", record, "Authorization", "Bearer "+p.token); status != http.StatusAccepted {
		t.Fatalf("record: %d %s", status, answer)
	}
	wait(t, 60*time.Second, "the begin and the end of the buffer to be told", told)
	p.kill()
	p = h.start()
	wait(t, 30*time.Second, "a step after the crash", func() error {
		if p.metric("aftershock_watch_frames_total") < 1 {
			return fmt.Errorf("none yet")
		}
		return nil
	})
	if err := told(); err != nil {
		t.Errorf("after a crash: %v", err)
	}
}
