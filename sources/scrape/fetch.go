package scrape

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Protobuf comes first where native histograms are wanted, because nothing else
// carries them; OpenMetrics before text, because it has start times. No escaping
// is asked for, so names come in the classic characters.
const (
	acceptText  = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
	acceptProto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6," + acceptText
)

// maxBodies bounds the answers that are in memory at a time, in bytes, so that
// many large ones don't come together; the first freeBody bytes of each are free,
// so that ordinary targets don't feel the large ones.
const (
	maxBodies = 512 << 20
	freeBody  = 1 << 20
)

var errNoRoom = errors.New("no room for the answer")

// charged counts what it reads beyond freeBody into held.
type charged struct {
	r    io.Reader
	n    int64
	held *hold
}

// hold is one answer's share of what all answers hold together.
type hold struct {
	total *atomic.Int64
	n     int64
}

func (c *charged) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if more := c.n - freeBody - c.held.n; more > 0 {
		c.held.n += more
		if c.held.total.Add(more) > maxBodies {
			return n, errNoRoom
		}
	}
	return n, err
}

func (h *hold) release() {
	h.total.Add(-h.n)
	h.n = 0
}

// fetch asks the target and reads its answer into buf, within the time left in
// ctx and the limit of the body's size, and returns the answer's type. held must
// be released when buf is no longer in use.
func fetch(ctx context.Context, set *settings, url string, buf *bytes.Buffer, held *hold) (contentType string, f *failure) {
	req, err := newRequest(url)
	if err != nil {
		return "", fail(outcomeUnreachable, "correct the target", "make the request: %w", clipped{err})
	}
	req.Header.Set("Accept", set.accept)
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(set.timeout.Seconds(), 'f', -1, 64))
	resp, err := set.client.Do(req.WithContext(ctx))
	if err != nil {
		return "", failTransport(err, set.timeout)
	}
	defer func() {
		// What is left of a short answer is read, so that the connection can
		// be used again; more than that isn't worth it.
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		_ = resp.Body.Close()
	}()
	if resp.StatusCode != http.StatusOK {
		return "", failStatus(resp.StatusCode)
	}
	var body io.Reader = resp.Body
	switch enc := resp.Header.Get("Content-Encoding"); strings.ToLower(enc) {
	case "", "identity":
	case "gzip":
		// Also bounded before decompression: empty gzip members can go on for ever.
		z, err := gzip.NewReader(io.LimitReader(resp.Body, set.bodyLimit+1))
		if err != nil {
			return "", failBody(err, set.timeout)
		}
		body = z
	default:
		return "", fail(outcomeMalformed, "let the target answer plainly or in gzip", "answer is encoded in %q", clip(enc))
	}
	n, err := buf.ReadFrom(&charged{r: io.LimitReader(body, set.bodyLimit+1), held: held})
	if errors.Is(err, errNoRoom) {
		return "", fail(outcomeTooLarge, "expose less, or scrape large targets with another daemon",
			"answers that are being read hold more than %d MiB together", maxBodies>>20)
	}
	if err != nil {
		return "", failBody(err, set.timeout)
	}
	if n > set.bodyLimit {
		return "", fail(outcomeTooLarge, "expose less, or raise body_size_limit",
			"answer is larger than %d bytes", set.bodyLimit)
	}
	return resp.Header.Get("Content-Type"), nil
}

func newRequest(url string) (*http.Request, error) {
	return http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
}

func failStatus(code int) *failure {
	advice := "see the target's own log"
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		advice = "give credentials in http_client"
	case http.StatusNotFound:
		advice = "correct metrics_path (or the label __metrics_path__)"
	}
	return fail(outcomeStatus, advice, "target answers with status %d %s", code, http.StatusText(code))
}

// failBody explains why the answer ended before its end.
func failBody(err error, timeout time.Duration) *failure {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return fail(outcomeMalformed, "see what the target (or a proxy before it) sends", "answer isn't valid gzip: %w", clipped{err})
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fail(outcomeMalformed, "see whether the target (or a proxy before it) gives up while it writes", "answer ends too early")
	}
	return failTransport(err, timeout)
}
