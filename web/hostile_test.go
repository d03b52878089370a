package web_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"buf.build/gen/go/open-feature/flagd/grpc/go/flagd/sync/v1/syncv1grpc"
	syncv1 "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/sync/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"aftershock/flags/feed"
	"aftershock/web/webtest"
)

// Streams are told that the daemon stops, and don't hold the stop up.
func TestStopEndsStreams(t *testing.T) {
	s := webtest.Start(t)
	events := listen(t, s.URL+feed.EventsPath)
	<-events
	conn := dial(t, s)
	st, err := subscribe(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.Stop(); err != nil {
		t.Errorf("the stop: %v", err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if _, err := st.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "the daemon is stopping") {
		t.Errorf("the sync stream ended with %v", err)
	}
	if data, ok := <-events; ok {
		t.Errorf("the event stream went on with %s", data)
	}
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// frame is one of HTTP/2: length, kind, flags, stream, payload.
func frame(kind, flags byte, stream uint32, payload string) string {
	n := len(payload)
	head := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}
	return string(head) + payload
}

// What is no HTTP/2 costs whoever sends it the connection, and nobody else
// anything.
func TestBrokenHTTP2(t *testing.T) {
	s := webtest.Start(t)
	settings := frame(4, 0, 0, "")
	noise := make([]byte, 1<<16)
	_, _ = rand.Read(noise)
	for name, sent := range map[string]string{
		"half a preface":          preface[:20] + "xxxxxxxx\r\n\r\n",
		"noise":                   preface + string(noise),
		"settings on a stream":    preface + frame(4, 0, 1, ""),
		"a frame too long":        preface + settings + "\xff\xff\xff\x00\x00\x00\x00\x00\x01",
		"headers on stream 0":     preface + settings + frame(1, 5, 0, "\x82"),
		"broken header block":     preface + settings + frame(1, 5, 1, "\xff\xff\xff\xff\xff\xff"),
		"a window of 0":           preface + settings + frame(8, 0, 0, "\x00\x00\x00\x00"),
		"a window too large":      preface + settings + strings.Repeat(frame(8, 0, 0, "\x7f\xff\xff\xff"), 2),
		"continuation of nothing": preface + settings + frame(9, 4, 1, "\x82"),
		"data of nothing":         preface + settings + frame(0, 1, 1, "x"),
		"endless continuation":    preface + settings + frame(1, 1, 1, "\x83\x86\x84") + strings.Repeat(frame(9, 0, 1, strings.Repeat("\x40\x01a\x01b", 3000)), 200),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() { _, _ = io.WriteString(conn, sent) }()
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if n, err := io.Copy(io.Discard, bufio.NewReader(conn)); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("the connection is still open after %d bytes: %v", n, err)
			}
			if _, err := evaluate(t.Context(), s.URL); err != nil {
				t.Errorf("evaluation beside it: %v", err)
			}
		})
	}
}

// gRPC that is none, and requests that begin and never end.
func TestBrokenGRPC(t *testing.T) {
	s := webtest.Start(t)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer client.CloseIdleConnections()
	for _, tt := range []struct{ method, path, body string }{
		{"POST", "/flagd.sync.v1.FlagSyncService/SyncFlags", ""},
		{"POST", "/flagd.sync.v1.FlagSyncService/SyncFlags", "\x00\xff\xff\xff\xff"},
		{"POST", "/flagd.sync.v1.FlagSyncService/SyncFlags", "\x01\x00\x00\x00\x01x"},
		{"POST", "/flagd.sync.v1.FlagSyncService/SyncFlags", "\x00\x00\x00\x00\x03\xff\xff\xff"},
		{"POST", "/flagd.sync.v1.FlagSyncService/FetchAllFlags", strings.Repeat("\x00", 1<<20)},
		{"POST", "/flagd.sync.v1.FlagSyncService/Nothing", "\x00\x00\x00\x00\x00"},
		{"POST", "/", "\x00\x00\x00\x00\x00"},
		{"GET", "/flagd.sync.v1.FlagSyncService/SyncFlags", ""},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		req, err := http.NewRequestWithContext(ctx, tt.method, s.URL+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/grpc")
		res, err := client.Do(req)
		if err != nil {
			t.Errorf("%s %s %.10q: %v", tt.method, tt.path, tt.body, err)
			cancel()
			continue
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		cancel()
		if code := res.Header.Get("Grpc-Status") + res.Trailer.Get("Grpc-Status"); code == "0" || code == "" && res.StatusCode == 200 || err != nil {
			t.Errorf("%s %s %.10q: status %d, gRPC status %q, %v", tt.method, tt.path, tt.body, res.StatusCode, code, err)
		}
	}
}

// More streams than the bounds allow: those within are served on.
func TestThousandsOfStreams(t *testing.T) {
	s := webtest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const callers, beyond = 5000, 200 // the default of flags.sync.max_streams
	var mu sync.Mutex
	counts := map[codes.Code]int{}
	var streams []stream
	var all sync.WaitGroup
	for range 13 {
		conn := dial(t, s)
		all.Go(func() {
			for range (callers + beyond) / 13 {
				st, err := subscribe(ctx, conn)
				mu.Lock()
				counts[status.Code(err)]++
				if err == nil {
					streams = append(streams, st)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if counts[codes.OK] != callers || counts[codes.ResourceExhausted] != beyond {
		t.Errorf("got %v, want %d served and %d refused", counts, callers, beyond)
	}
	_, err := syncv1grpc.NewFlagSyncServiceClient(dial(t, s)).FetchAllFlags(ctx, &syncv1.FetchAllFlagsRequest{})
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), fmt.Sprint(callers)) {
		t.Errorf("one more: %v", err)
	}
	if _, err := evaluate(ctx, s.URL); err != nil {
		t.Errorf("evaluation meanwhile: %v", err)
	}
	flip(t, s, "tuned")
	for _, st := range streams {
		if m, err := st.Recv(); err != nil || !serves(m.GetFlagConfiguration(), "tuned") {
			t.Fatalf("a stream wasn't told: %v", err)
		}
	}
}
