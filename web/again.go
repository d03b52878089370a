package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/journal"
)

// keyHeader is where a write has the key by which it is known when it is sent again, as
// draft-ietf-httpapi-idempotency-key-header has it.
const keyHeader = "Idempotency-Key"

// maxKey bounds a key, and keyTimeout what is put down of it.
const (
	maxKey     = 255
	keyTimeout = 10 * time.Second
)

// keyed are the writes with a key that this daemon is at.
type keyed struct {
	mu  sync.Mutex
	all map[string]bool
}

// begin says whether nobody is at it yet, and is.
func (k *keyed) begin(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil {
		k.all = map[string]bool{}
	}
	there := k.all[id]
	k.all[id] = true
	return !there
}

func (k *keyed) end(id string) { k.mu.Lock(); defer k.mu.Unlock(); delete(k.all, id) }

// buffered keeps an answer until it is known to be whole.
type buffered struct {
	under  http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

// buffer is a place for an answer that isn't given yet.
func buffer(w http.ResponseWriter) *buffered {
	return &buffered{under: w, header: http.Header{}, status: http.StatusOK}
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) WriteHeader(status int)      { b.status = status }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }

// Unwrap lets http.ResponseController reach the connection.
func (b *buffered) Unwrap() http.ResponseWriter { return b.under }

// send gives the answer.
func (b *buffered) send() {
	maps.Copy(b.under.Header(), b.header)
	b.under.WriteHeader(b.status)
	_, _ = b.under.Write(b.body.Bytes())
}

// keyOf is the key of a request: a string of RFC 9651, or bare.
func keyOf(r *http.Request) (string, error) {
	values := r.Header.Values(keyHeader)
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if len(key) >= 2 && strings.HasPrefix(key, `"`) && strings.HasSuffix(key, `"`) {
		key = key[1 : len(key)-1]
	}
	strange := strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
	if len(values) > 1 || key == "" || len(key) > maxKey || strange {
		return "", BadRequest(fmt.Sprintf("header %s: want one key of 1 to %d visible ASCII characters without quotes inside", keyHeader, maxKey))
	}
	return key, nil
}

// digest is what tells a request from others.
func digest(r *http.Request, body []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %q\n", r.Method, r.URL.RequestURI())
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// again is a write that, sent again by the same caller under the same key within a day,
// isn't done again but answered as it was, also by the next daemon after a crash.
func (s *Server) again(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		key, err := keyOf(r)
		if err != nil {
			return err
		}
		if key == "" {
			return h(w, r)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return badBody(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		now := time.Now()
		claim := journal.Answer{Caller: s.caller(r).Name, Key: key, At: now, Digest: digest(r, body), Toggle: flags.NewID(now)}
		id := claim.Caller + "\n" + key
		if !s.keyed.begin(id) {
			w.Header().Set("Retry-After", "1")
			return problem{http.StatusConflict, "a request with this " + keyHeader + " is under way: ask again when it is done"}
		}
		defer s.keyed.end(id)
		there, claimed, err := s.o.Journal.ClaimAnswer(r.Context(), claim)
		switch {
		case err != nil:
			return err
		case there.Digest != claim.Digest:
			return problem{http.StatusUnprocessableEntity, "another request had this " + keyHeader + ": a new request takes a new key"}
		case there.Status != 0:
			return repeated(w, there)
		case !claimed:
			if done, err := s.cutOff(w, r, there); done || err != nil {
				return err
			}
			if err := s.o.Journal.DropAnswer(r.Context(), there); err != nil {
				return err
			}
			if _, _, err := s.o.Journal.ClaimAnswer(r.Context(), claim); err != nil {
				return err
			}
		}
		return s.first(w, r, claim, h)
	}
}

// first answers a request with a key, and puts down how. What failed inside, or may go
// well another time, isn't kept. It goes on when the caller is gone.
func (s *Server) first(w http.ResponseWriter, r *http.Request, a journal.Answer, h handler) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), toggleTimeout)
	defer cancel()
	r = r.WithContext(flags.WithID(ctx, a.Toggle))
	whole := buffer(w)
	if err := h(whole, r); err != nil {
		s.fail(whole, r, err)
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(r.Context()), keyTimeout)
	defer cancel()
	var err error
	if whole.status >= http.StatusInternalServerError {
		// Where it isn't known whether the toggle was made, it is looked up when it is asked again.
		var made bool
		if _, made, err = s.made(ctx, a); err == nil && !made {
			err = s.o.Journal.DropAnswer(ctx, a)
		}
	} else {
		a.Status, a.Body = whole.status, whole.body.Bytes()
		a.Type, a.Location = whole.header.Get("Content-Type"), whole.header.Get("Location")
		err = s.o.Journal.PutAnswer(ctx, a)
	}
	if err != nil {
		s.o.Log.WithError(err).WithField("path", r.URL.Path).Warn("couldn't put down what a request with a key was answered")
	}
	whole.send()
	return nil
}

// repeated answers as before.
func repeated(w http.ResponseWriter, a journal.Answer) error {
	w.Header().Set("Content-Type", a.Type)
	w.Header().Set("Idempotency-Replayed", "true")
	if a.Location != "" {
		w.Header().Set("Location", a.Location)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
	return nil
}

// made is the toggle that a request made, if it made one that didn't fail.
func (s *Server) made(ctx context.Context, a journal.Answer) (t detector.Toggle, ok bool, err error) {
	states, err := s.o.Journal.ToggleHistory(ctx, a.Toggle)
	if errors.Is(err, journal.ErrNotFound) {
		return t, false, nil
	}
	if err != nil {
		return t, false, err
	}
	t = states[len(states)-1]
	return t, t.State != detector.ToggleFailed, nil
}

// cutOff answers a request that a daemon was at when it ended with the toggle that it
// made. Where it made none, it isn't done: what else can be written does no more when it
// is done again.
func (s *Server) cutOff(w http.ResponseWriter, r *http.Request, a journal.Answer) (done bool, err error) {
	t, ok, err := s.made(r.Context(), a)
	if err != nil || !ok {
		return false, err
	}
	if t.State == detector.TogglePlanned || t.State == detector.ToggleApplied {
		w.Header().Set("Retry-After", "5")
		return true, problem{http.StatusConflict, "the daemon ended while it was at this request, and concludes it: ask again in some seconds"}
	}
	w.Header().Set("Idempotency-Replayed", "true")
	return true, toggled(w, t, nil)
}
