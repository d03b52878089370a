package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// maxPayload bounds a webhook message, in bytes, and maxPayloads their number.
const (
	maxPayload  = 1 << 20
	maxPayloads = 10000
)

// notice is one alert of a webhook message in Alertmanager's form.
type notice struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Fingerprint string            `json:"fingerprint"`
	At          time.Time         `json:"received_at"`
}

// blames is the binary that the alert puts the shift down to, or "".
func (n notice) blames() string {
	if n.Labels["cause"] != "binary" {
		return ""
	}
	return n.Labels["binary"]
}

// receiver takes the daemon's webhook messages and keeps them, in memory and
// one a line in a file.
type receiver struct {
	server *http.Server
	url    string
	served chan error
	file   *os.File

	mu      sync.Mutex
	notices []notice
	news    chan struct{} // closed and made anew at each message
}

func newReceiver(file string) (*receiver, error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("keep webhook messages: %w", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("listen for webhook messages: %w", err)
	}
	r := &receiver{file: f, url: "http://" + ln.Addr().String() + "/alerts", news: make(chan struct{}), served: make(chan error, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /alerts", r.take)
	r.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { r.served <- r.server.Serve(ln) }()
	return r, nil
}

func (r *receiver) close() {
	_ = r.server.Close()
	if err := <-r.served; !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "demo: the webhook receiver ended early:", err)
	}
	_ = r.file.Close()
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxPayload))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var message struct {
		Alerts []notice `json:"alerts"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.file.Write(append(body, '\n')) // a copy for people; the story reads memory
	for _, n := range message.Alerts {
		if len(r.notices) < maxPayloads {
			n.At = time.Now()
			r.notices = append(r.notices, n)
		}
	}
	close(r.news)
	r.news = make(chan struct{})
	w.WriteHeader(http.StatusOK)
}

// all is every notice so far, and what is closed when there are more.
func (r *receiver) all() ([]notice, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notices[:len(r.notices):len(r.notices)], r.news
}

// firing holds the last notice of each alert that fires.
func firing(notices []notice) map[string]notice {
	open := map[string]notice{}
	for _, n := range notices {
		delete(open, n.Fingerprint)
		if n.Status == "firing" {
			open[n.Fingerprint] = n
		}
	}
	return open
}

// await waits until cond, given all notices so far, is content or fails.
func (r *receiver) await(ctx context.Context, missing string, cond func([]notice) (bool, error)) error {
	for {
		notices, news := r.all()
		if ok, err := cond(notices); ok || err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%s (%d webhook messages came): %w", missing, len(notices), context.Cause(ctx))
		}
	}
}
