package rehearsal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"
)

// session is one login: the cookies and variables that it brought. Its variables don't
// change any more.
type session struct {
	place int
	vars  map[string]string

	mu    sync.Mutex
	jar   *cookiejar.Jar
	known map[string]bool // cookies in it, by name, path and domain
}

// maxCookies bounds the cookies of a session.
const maxCookies = 100

func newSession(place int, secrets map[string]string) *session {
	jar, _ := cookiejar.New(nil) // never fails without options
	s := &session{place: place, vars: map[string]string{}, jar: jar, known: map[string]bool{}}
	for name, v := range secrets {
		s.vars[name] = v
	}
	return s
}

// cookies are those to be sent to a URL, as a header has them.
func (s *session) cookies(u *url.URL) string {
	var list []string
	for _, c := range s.jar.Cookies(u) {
		list = append(list, c.Name+"="+c.Value)
	}
	return strings.Join(list, "; ")
}

// take keeps the cookies of an answer, as far as there is room.
func (s *session) take(u *url.URL, res *http.Response) {
	var kept []*http.Cookie
	s.mu.Lock()
	for _, c := range res.Cookies() {
		key := c.Name + ";" + c.Path + ";" + c.Domain
		if len(key)+len(c.Value) <= maxText && (s.known[key] || len(s.known) < maxCookies) {
			s.known[key] = true
			kept = append(kept, c)
		}
	}
	s.mu.Unlock()
	s.jar.SetCookies(u, kept)
}

// pool are the sessions of a run. They are taken in turn, those that are over passed by
// until they are renewed.
type pool struct {
	sessions *Sessions
	secrets  []map[string]string
	target   *Target
	client   *http.Client
	limit    *limiter
	gate     chan struct{} // of logins at once

	wg     sync.WaitGroup
	mu     sync.Mutex
	places []place
	turn   int
	logins int
	failed int
	why    error // of the last login that failed
}

type place struct {
	session *session
	over    bool
	since   time.Time     // of the last login
	wait    time.Duration // before the next
}

// A login goes on at most so many at a time, and a session that doesn't last is renewed
// ever less often, a second to half a minute apart.
const (
	loginsAtOnce = 4
	leastWait    = time.Second
	mostWait     = 30 * time.Second
)

// newPool logs all sessions in; the error says which couldn't be, and why.
func newPool(ctx context.Context, s *Sessions, t *Target, client *http.Client, limit *limiter) (*pool, error) {
	secrets, err := s.resolve()
	if err != nil {
		return nil, err
	}
	l := &pool{sessions: s, secrets: secrets, target: t, client: client, limit: limit, gate: make(chan struct{}, loginsAtOnce), places: make([]place, s.Size)}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	for i := range l.places {
		l.wg.Go(func() {
			if err := l.renew(ctx, i); err != nil {
				fail(fmt.Errorf("log in session %d of %d: %w", i+1, len(l.places), err))
			}
		})
	}
	l.wg.Wait()
	return l, context.Cause(ctx)
}

// renew logs a place in anew.
func (l *pool) renew(ctx context.Context, i int) error {
	select {
	case l.gate <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.gate }()
	s := newSession(i, l.secrets[i])
	err := l.login(ctx, s)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places[i].since = time.Now()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.logins++
	if err != nil {
		l.failed++
		l.why = err
		return err
	}
	l.places[i].session, l.places[i].over = s, false
	return nil
}

// login sends the requests of a login. Errors name request and status, and nothing of
// what was sent or answered.
func (l *pool) login(ctx context.Context, s *session) error {
	for i := range l.sessions.Login {
		step := &l.sessions.Login[i]
		name := step.Method + " " + step.Route.Route
		if err := l.limit.wait(ctx); err != nil {
			return err
		}
		q := step.request(uint64(s.place)).filled(s.vars)
		req, err := http.NewRequestWithContext(ctx, q.Method, l.target.at(q.Target), strings.NewReader(q.Body))
		if err != nil {
			return fmt.Errorf("%s can't be sent: its path is none", name)
		}
		for k, v := range q.Headers {
			req.Header.Set(k, v)
		}
		if err := l.exchange(req, s, step); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (l *pool) exchange(req *http.Request, s *session, step *Exchange) error {
	addCookies(req.Header, s.cookies(req.URL))
	res, err := l.client.Do(req)
	var sent *url.Error
	if errors.As(err, &sent) {
		err = sent.Err // without the URL, which may hold what nobody may see
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxCaptured))
	if err != nil {
		return errors.New("its answer can't be read")
	}
	_, _ = io.Copy(io.Discard, res.Body) // so that the connection can be used again
	if res.StatusCode >= 400 {
		return fmt.Errorf("it was answered %d", res.StatusCode)
	}
	s.take(req.URL, res)
	return captureAll(step.Capture, res, body, s.vars)
}

// addCookies puts cookies beside those that a header has.
func addCookies(h http.Header, cookies string) {
	if own := h.Get("Cookie"); own != "" && cookies != "" {
		cookies = own + "; " + cookies
	}
	if cookies != "" {
		h.Set("Cookie", cookies)
	}
}

// take is the session whose turn it is. Where all are over, one of those: traffic waits
// for nobody.
func (l *pool) take() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range l.places {
		l.turn++
		if p := &l.places[l.turn%len(l.places)]; !p.over {
			return p.session
		}
	}
	l.turn++
	return l.places[l.turn%len(l.places)].session
}

// end says that a session is over, and has it renewed; once, however many of its requests
// were refused.
func (l *pool) end(ctx context.Context, s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.places[s.place]
	if p.session != s || p.over {
		return
	}
	p.over = true
	if time.Since(p.since) > 2*mostWait {
		p.wait = 0
	}
	l.wg.Go(func() {
		for {
			l.mu.Lock()
			wait := p.wait
			p.wait = min(max(leastWait, 2*p.wait), mostWait)
			l.mu.Unlock()
			if Pause(ctx, wait) != nil || l.renew(ctx, s.place) == nil || ctx.Err() != nil {
				return
			}
		}
	})
}

// tell puts down how often sessions were logged in.
func (l *pool) tell(m *Measured) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.Logins, m.LoginsFailed = l.logins, l.failed
	if l.failed > 0 {
		m.Doubts = append(m.Doubts, fmt.Sprintf("%d of %d logins failed, the last because %v", l.failed, l.logins, l.why))
	}
}

// captured is the body of an answer that is looked into once it was read.
type captured struct {
	io.ReadCloser
	text bytes.Buffer
	done func(body []byte)
}

func (c *captured) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.text.Write(p[:min(n, maxCaptured-c.text.Len())])
	return n, err
}

func (c *captured) Close() error {
	if c.done != nil {
		c.done(c.text.Bytes())
		c.done = nil
	}
	return c.ReadCloser.Close()
}
