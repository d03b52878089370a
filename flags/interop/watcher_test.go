package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"aftershock/flags"
)

// A toggle reaches the official clients by itself: flagd's provider over sync,
// the OFREP provider for browsers over the event stream.
func TestOfficialClientsLearnOfToggles(t *testing.T) {
	install(t)
	s, url := serve(t, []byte(`{"flags":{
		"backoff":{"state":"ENABLED","defaultVariant":"a","variants":{"a":"a","b":"b","new":"new"}},
		"broken":{"state":"MAYBE","defaultVariant":"a","variants":{"a":"a"}}}}`))
	host, port := address(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "watcher.mjs", url, host, fmt.Sprint(port), "backoff")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	await := func(want string, began time.Time, delays map[string][]time.Duration) {
		t.Helper()
		for seen := map[string]bool{}; len(seen) < 2; {
			var told struct{ Client, Value string }
			if !lines.Scan() {
				t.Fatalf("the clients ended while %q was awaited\n%s", want, stderr.String())
			}
			if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
				t.Fatal(err)
			}
			if told.Value == want && !seen[told.Client] {
				seen[told.Client] = true
				delays[told.Client] = append(delays[told.Client], time.Since(began))
			}
		}
	}
	await("a", time.Now(), map[string][]time.Duration{})
	delays := map[string][]time.Duration{}
	for n := range 20 {
		want := []string{"b", "new"}[n%2]
		began := time.Now()
		if _, err := s.Set(ctx, flags.Request{Flag: "backoff", Variant: want, Reason: "measured", Actor: "test"}); err != nil {
			t.Fatal(err)
		}
		await(want, began, delays)
	}
	for client, all := range delays {
		slices.Sort(all)
		t.Logf("%s: delay from set to the npm client's new value: median %s, worst %s", client, all[len(all)/2], all[len(all)-1])
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the clients: %v\n%s", err, stderr.String())
	}
}
