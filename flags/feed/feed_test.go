package feed

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"buf.build/gen/go/open-feature/flagd/grpc/go/flagd/sync/v1/syncv1grpc"
	syncv1 "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/sync/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// press is a source that a test writes editions of.
type press struct {
	now    atomic.Pointer[Edition]
	key    string
	writes atomic.Int64
	mu     sync.Mutex
}

func (p *press) Edition() *Edition { return p.now.Load() }

func (p *press) Admits(r *http.Request) bool {
	return p.key == "" || r.Header.Get("Authorization") == "Bearer "+p.key
}

func (p *press) publish(revision int64, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.now.Load()
	p.now.Store(NewEdition(revision, "mine", func() ([]byte, error) {
		p.writes.Add(1)
		return []byte(text), nil
	}))
	if old != nil {
		old.Supersede()
	}
}

// start serves a feed as the daemon does; the listener's own bounds are short.
func start(t *testing.T, c Config) (*Feed, *press, string) {
	t.Helper()
	p := &press{}
	p.publish(1, `{"flags":{}}`)
	f, err := New(c, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+DefinitionsPath, f.ServeDefinitions)
	mux.HandleFunc("GET "+EventsPath, f.ServeEvents)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if IsGRPC(r) {
			f.ServeGRPC(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	server.Config.RegisterOnShutdown(f.Close)
	server.Start()
	t.Cleanup(func() { f.Close(); server.Close() })
	return f, p, server.URL
}

func client(t *testing.T, url string, options ...grpc.DialOption) syncv1grpc.FlagSyncServiceClient {
	t.Helper()
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	c, err := grpc.NewClient(strings.TrimPrefix(url, "http://"), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return syncv1grpc.NewFlagSyncServiceClient(c)
}

// next is the definitions that a stream gives next.
func next(t *testing.T, s grpc.ServerStreamingClient[syncv1.SyncFlagsResponse]) string {
	t.Helper()
	m, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return m.GetFlagConfiguration()
}

// Streams outlive the listener's own bounds, and each revision is written once.
func TestSyncFlags(t *testing.T) {
	_, p, url := start(t, Config{})
	c := client(t, url)
	var streams []grpc.ServerStreamingClient[syncv1.SyncFlagsResponse]
	for range 5 {
		s, err := c.SyncFlags(t.Context(), &syncv1.SyncFlagsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got := next(t, s); got != `{"flags":{}}` {
			t.Errorf("got %s first", got)
		}
		streams = append(streams, s)
	}
	time.Sleep(700 * time.Millisecond) // the listener's bounds are over
	for revision := range int64(3) {
		want := fmt.Sprintf(`{"flags":{},"n":%d}`, revision)
		p.publish(revision+2, want)
		for _, s := range streams {
			if got := next(t, s); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	if got := p.writes.Load(); got != 4 {
		t.Errorf("4 revisions for 5 clients were written %d times", got)
	}
	all, err := c.FetchAllFlags(t.Context(), &syncv1.FetchAllFlagsRequest{})
	if err != nil || all.GetFlagConfiguration() != `{"flags":{},"n":2}` {
		t.Errorf("fetched %v, %v", all, err)
	}
	m, err := c.GetMetadata(t.Context(), &syncv1.GetMetadataRequest{}) //nolint:staticcheck // clients still call it
	if err != nil || m.GetMetadata() == nil {
		t.Errorf("metadata: %v, %v", m, err)
	}
}

func TestSelector(t *testing.T) {
	_, _, url := start(t, Config{})
	c := client(t, url)
	for _, tt := range []struct {
		header, field string
		code          codes.Code
		want          string
	}{
		{"", "", codes.OK, ""},
		{"", "flagSetId=mine", codes.OK, ""},
		{"flagSetId=mine", "flagSetId=other", codes.OK, ""},
		{"flagSetId=other", "", codes.InvalidArgument, "select it by flagSetId=mine"},
		{"", "source=x", codes.InvalidArgument, `selector "source=x" selects nothing`},
		{"", strings.Repeat("ü", 3000), codes.InvalidArgument, "long or no text"},
	} {
		ctx := t.Context()
		if tt.header != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "flagd-selector", tt.header)
		}
		_, err := c.FetchAllFlags(ctx, &syncv1.FetchAllFlagsRequest{Selector: tt.field}) //nolint:staticcheck // clients still send it
		if status.Code(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("header %q, field %.30q: got %v", tt.header, tt.field, err)
		}
	}
	res := get(t, url+DefinitionsPath, "Flagd-Selector", "flagSetId=other")
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("HTTP with a foreign selector: %s", res.Status)
	}
}

func TestKey(t *testing.T) {
	_, p, url := start(t, Config{})
	p.key = "open sesame"
	c := client(t, url)
	_, err := c.FetchAllFlags(t.Context(), &syncv1.FetchAllFlagsRequest{})
	if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "needs a key") || strings.Contains(err.Error(), p.key) {
		t.Errorf("without a key: %v", err)
	}
	with := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+p.key)
	if _, err = c.FetchAllFlags(with, &syncv1.FetchAllFlagsRequest{}); err != nil {
		t.Errorf("with the key: %v", err)
	}
	if res := get(t, url+DefinitionsPath); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("HTTP without a key: %s", res.Status)
	}
	if res := get(t, url+DefinitionsPath, "Authorization", "Bearer "+p.key); res.StatusCode != http.StatusOK {
		t.Errorf("HTTP with the key: %s", res.Status)
	}
}

func get(t *testing.T, url string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func TestDefinitions(t *testing.T) {
	_, p, url := start(t, Config{})
	res := get(t, url+DefinitionsPath)
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != `{"flags":{}}` || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s, %s, %v", body, res.Header, err)
	}
	tag := res.Header.Get("ETag")
	if again := get(t, url+DefinitionsPath, "If-None-Match", tag); again.StatusCode != http.StatusNotModified {
		t.Errorf("the same again: %s", again.Status)
	}
	p.publish(2, `{"flags":{"a":{}}}`)
	if changed := get(t, url+DefinitionsPath, "If-None-Match", tag); changed.StatusCode != http.StatusOK || changed.Header.Get("ETag") == tag {
		t.Errorf("changed: %s, ETag %s", changed.Status, changed.Header.Get("ETag"))
	}
}

func TestEvents(t *testing.T) {
	f, p, url := start(t, Config{Keepalive: time.Second})
	lines := bufio.NewScanner(get(t, url+EventsPath).Body)
	event := func() string {
		var text []string
		for lines.Scan() && lines.Text() != "" {
			text = append(text, lines.Text())
		}
		return strings.Join(text, "|")
	}
	if got := event(); got != "retry: 1000" {
		t.Errorf("first: %s", got)
	}
	want := func(revision int) {
		t.Helper()
		got := event()
		if !strings.HasPrefix(got, fmt.Sprintf(`id: %d|event: message|data: {"type":"refetchEvaluation","etag":"\"`, revision)) {
			t.Errorf("got %s, want the event of revision %d", got, revision)
		}
	}
	want(1)
	if got := event(); got != ":" { // beyond the listener's own bounds
		t.Errorf("got %s, want a sign of life", got)
	}
	p.publish(2, "{}")
	want(2)
	resumed := bufio.NewScanner(get(t, url+EventsPath, "Last-Event-ID", "2").Body)
	for range 2 {
		resumed.Scan() // retry and the empty line
	}
	p.publish(3, "{ }")
	if resumed.Scan(); resumed.Text() != "id: 3" {
		t.Errorf("after resuming at 2: %s, want the event of 3 at once", resumed.Text())
	}
	want(3)
	f.Close()
	if lines.Scan() {
		t.Errorf("after the end: %s", lines.Text())
	}
	if res := get(t, url+EventsPath); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a stream after the end: %s", res.Status)
	}
}

func TestLimitAndEnd(t *testing.T) {
	f, _, url := start(t, Config{MaxStreams: 2})
	c := client(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := c.SyncFlags(ctx, &syncv1.SyncFlagsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next(t, s)
	events := get(t, url+EventsPath)
	_, err = c.FetchAllFlags(ctx, &syncv1.FetchAllFlagsRequest{})
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "flags.sync.max_streams") {
		t.Errorf("a third stream: %v", err)
	}
	if res := get(t, url+EventsPath); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("a third stream: %s", res.Status)
	}
	events.Body.Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err = c.FetchAllFlags(ctx, &syncv1.FetchAllFlagsRequest{}); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the place isn't given back: %v", err)
		}
	}
	f.Close()
	if _, err := s.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("at the end: %v", err)
	}
	if _, err = c.FetchAllFlags(ctx, &syncv1.FetchAllFlagsRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("after the end: %v", err)
	}
}

func TestStreamDeadline(t *testing.T) {
	_, _, url := start(t, Config{StreamDeadline: time.Second})
	s, err := client(t, url).SyncFlags(t.Context(), &syncv1.SyncFlagsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next(t, s)
	if _, err := s.Recv(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v, want an end by the deadline", err)
	}
}

// A caller that doesn't read is cut off; those beside it are served meanwhile,
// and whoever publishes isn't held up.
func TestSlowReader(t *testing.T) {
	f, p, url := start(t, Config{WriteTimeout: 500 * time.Millisecond})
	big := func(n int64) string { return fmt.Sprintf(`{"n":%d,"x":%q}`, n, strings.Repeat("x", 3<<20)) }
	slow := client(t, url, grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10))
	if _, err := slow.SyncFlags(t.Context(), &syncv1.SyncFlagsRequest{}); err != nil {
		t.Fatal(err)
	}
	quick, err := client(t, url).SyncFlags(t.Context(), &syncv1.SyncFlagsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next(t, quick)
	for n := range int64(5) {
		text := big(n)
		began := time.Now()
		p.publish(n+2, text)
		if took := time.Since(began); took > 400*time.Millisecond {
			t.Errorf("publishing took %s", took)
		}
		if got := next(t, quick); got != text {
			t.Errorf("the quick one got %.20s, want %.20s", got, text)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		f.mu.Lock()
		open := f.streams
		f.mu.Unlock()
		if open == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are open, want the slow one's closed", open)
		}
	}
}

func TestWriteFails(t *testing.T) {
	_, p, url := start(t, Config{})
	p.now.Store(NewEdition(2, "", func() ([]byte, error) { return nil, io.ErrUnexpectedEOF }))
	if _, err := client(t, url).FetchAllFlags(t.Context(), &syncv1.FetchAllFlagsRequest{}); status.Code(err) != codes.Internal {
		t.Errorf("got %v", err)
	}
	if res := get(t, url+DefinitionsPath); res.StatusCode != http.StatusInternalServerError {
		t.Errorf("got %s", res.Status)
	}
	if _, err := io.ReadAll(get(t, url+EventsPath).Body); err != nil {
		t.Errorf("events: %v", err)
	}
}

func TestConfig(t *testing.T) {
	c := Config{MaxStreams: -1, Keepalive: time.Millisecond, WriteTimeout: time.Hour, StreamDeadline: -1}
	if errs := c.Validate("x"); len(errs) != 4 {
		t.Errorf("got %v", errs)
	}
	if _, err := New(c, &press{}, nil); err == nil {
		t.Error("a wrong configuration was taken")
	}
}
