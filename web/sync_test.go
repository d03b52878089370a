package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"buf.build/gen/go/open-feature/flagd/grpc/go/flagd/sync/v1/syncv1grpc"
	syncv1 "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/sync/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"aftershock/flags"
	"aftershock/web/webtest"
)

// dial opens a connection of its own to the server.
func dial(t testing.TB, s *webtest.Server) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

type stream = grpc.ServerStreamingClient[syncv1.SyncFlagsResponse]

// subscribe opens a stream and reads its first message.
func subscribe(ctx context.Context, c *grpc.ClientConn) (stream, error) {
	st, err := syncv1grpc.NewFlagSyncServiceClient(c).SyncFlags(ctx, &syncv1.SyncFlagsRequest{ProviderId: "test"})
	if err != nil {
		return nil, err
	}
	_, err = st.Recv()
	return st, err
}

// flip sets payments-backoff to a variant and says when that was begun.
func flip(t testing.TB, s *webtest.Server, variant string) time.Time {
	t.Helper()
	began := time.Now()
	_, err := s.Board.Set(context.Background(), flags.Request{Flag: "payments-backoff", Variant: variant, Reason: "measured", Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return began
}

// serves says whether a synced definition serves the variant to everyone.
func serves(definitions, variant string) bool {
	return strings.Contains(definitions, fmt.Sprintf(`"defaultVariant":%q`, variant))
}

var turn = []string{"legacy", "tuned"}

// A thousand sync clients have a toggle within a second of its being asked for,
// whether they share connections or not.
func TestThousandSyncClients(t *testing.T) {
	const clients, rounds = 1000, 5
	for _, connections := range []int{50, clients} {
		t.Run(fmt.Sprintf("%d connections", connections), func(t *testing.T) {
			s := webtest.Start(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			conns := make([]*grpc.ClientConn, connections)
			for n := range conns {
				conns[n] = dial(t, s)
			}
			served := make(chan time.Time, clients)
			var all sync.WaitGroup
			began := time.Now()
			for n := range clients {
				st, err := subscribe(ctx, conns[n%connections])
				if err != nil {
					t.Fatalf("client %d: %v", n, err)
				}
				all.Go(func() {
					for round := range rounds {
						for {
							m, err := st.Recv()
							if err != nil {
								return
							}
							if serves(m.GetFlagConfiguration(), turn[round%2]) {
								break
							}
						}
						served <- time.Now()
					}
				})
			}
			t.Logf("%d clients connected in %s", clients, time.Since(began).Round(time.Millisecond))
			var lasts []time.Duration
			for round := range rounds {
				began := flip(t, s, turn[round%2])
				var last time.Time
				for range clients {
					if at := <-served; at.After(last) {
						last = at
					}
				}
				lasts = append(lasts, last.Sub(began))
			}
			slices.Sort(lasts)
			t.Logf("the last of %d clients was served after %s to %s, median %s", clients, lasts[0], lasts[rounds-1], lasts[rounds/2])
			if most := slower * time.Second; lasts[rounds/2] > most {
				t.Errorf("the last client was served after %s, want %s at most", lasts[rounds/2], most)
			}
			cancel()
			all.Wait()
		})
	}
}

// How long a toggle takes from its being asked for to the client's new value.
func TestDelayOfToggles(t *testing.T) {
	const rounds = 100
	for _, way := range []struct {
		name  string
		watch func(t *testing.T, s *webtest.Server, seen chan<- string)
	}{
		{"OFREP, asked all the time", watchByAsking},
		{"OFREP event stream and one question", watchEvents},
		{"gRPC sync", watchSync},
	} {
		t.Run(way.name, func(t *testing.T) {
			s := webtest.Start(t)
			seen := make(chan string, 1000)
			way.watch(t, s, seen)
			var delays []time.Duration
			for round := range rounds {
				want := turn[round%2]
				answered := make(chan time.Duration, 1)
				began := time.Now()
				go func() {
					for variant := range seen {
						if variant == want {
							answered <- time.Since(began)
							return
						}
					}
				}()
				flip(t, s, want)
				delays = append(delays, <-answered)
			}
			slices.Sort(delays)
			t.Logf("delay from set to the client's new value: median %s, p99 %s", delays[rounds/2], delays[rounds*99/100])
			if most := slower * 50 * time.Millisecond; delays[rounds/2] > most { // 10 ms is aimed at on an idle machine
				t.Errorf("the median delay is %s, want %s at most", delays[rounds/2], most)
			}
		})
	}
}

// evaluate asks for the flag over OFREP, on a connection that it keeps.
func evaluate(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/ofrep/v1/evaluate/flags/payments-backoff",
		strings.NewReader(`{"context":{"targetingKey":"u"}}`))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ Variant string }
	err = json.NewDecoder(resp.Body).Decode(&answer)
	return answer.Variant, err
}

// listen opens the event stream and gives the data of its events until it ends.
func listen(t testing.TB, url string, headers ...string) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || ct != "text/event-stream" {
		t.Fatalf("the event stream answered %s, %s", resp.Status, ct)
	}
	events := make(chan string, 1000)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- data
			}
		}
	}()
	return events
}

func watchByAsking(t *testing.T, s *webtest.Server, seen chan<- string) {
	go func() {
		last := ""
		for t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
			variant, err := evaluate(t.Context(), s.URL)
			if err != nil {
				return
			}
			if variant != last {
				last = variant
				seen <- variant
			}
		}
	}()
}

func watchEvents(t *testing.T, s *webtest.Server, seen chan<- string) {
	events := listen(t, s.URL+"/ofrep/v1/events")
	<-events // what is served now
	go func() {
		for range events {
			variant, err := evaluate(t.Context(), s.URL)
			if err != nil {
				return
			}
			seen <- variant
		}
	}()
}

func watchSync(t *testing.T, s *webtest.Server, seen chan<- string) {
	st, err := subscribe(t.Context(), dial(t, s))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			m, err := st.Recv()
			if err != nil {
				return
			}
			var set struct {
				Flags map[string]struct{ DefaultVariant string }
			}
			if json.Unmarshal([]byte(m.GetFlagConfiguration()), &set) == nil {
				seen <- set.Flags["payments-backoff"].DefaultVariant
			}
		}
	}()
}
