package rehearsal

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// largest is how much of an answer is read.
const largest = 16 << 20

// transport sends requests to the one address of the target and to nothing else,
// whatever a URL says, by no proxy, and counts those under way.
type transport struct {
	target   *Target
	inner    *http.Transport
	cut      context.Context // ends what is under way
	inFlight atomic.Int64
	run      *run
}

func newTransport(cut context.Context, r *run) *transport {
	t, o := r.target, r.o
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &transport{
		target: t, cut: cut, run: r,
		inner: &http.Transport{
			Proxy: nil,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", t.addr.String())
			},
			TLSClientConfig:        &tls.Config{ServerName: t.host, RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			MaxIdleConns:           CeilingInFlight,
			MaxIdleConnsPerHost:    CeilingInFlight,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			DisableCompression:     true, // as the profile's headers have it
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 1 << 20,
		},
	}
}

// errElsewhere is that of a request that would go elsewhere, which can't be.
var errElsewhere = errors.New("the request isn't for the target")

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != t.target.url.Host || req.URL.Scheme != t.target.url.Scheme {
		return nil, errElsewhere
	}
	t.inFlight.Add(1)
	ctx, stop := context.WithCancel(req.Context())
	unlink := context.AfterFunc(t.cut, stop)
	done := func() { unlink(); stop(); t.inFlight.Add(-1) }
	req = req.WithContext(ctx)
	req.Header = req.Header.Clone()
	req.Header.Del("X-Vegeta-Seq")
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", t.run.o.Agent)
	}
	req.Header.Set("X-Aftershock-Rehearsal", t.run.o.Phase)
	res, err := t.inner.RoundTrip(req)
	if err != nil {
		done()
		return nil, err
	}
	res.Body = &body{Reader: io.LimitReader(res.Body, largest), closer: res.Body, done: done}
	if j := t.run.jobOf(req.URL.Fragment); j != nil {
		t.run.answered(j, req, res)
	}
	return res, nil
}

// body is an answer's, of which no more than largest is read.
type body struct {
	io.Reader
	closer io.Closer
	done   func()
}

func (b *body) Close() error {
	err := b.closer.Close()
	if b.done != nil {
		b.done()
		b.done = nil
	}
	return err
}
