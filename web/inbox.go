package web

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftershock/upgrades/inbox"
)

// What the senders of the inbox may tell together: a roll-out of a whole cluster
// at once, and little on average. Each event may begin a watch.
const (
	inboxRate  = 10  // messages a second
	inboxBurst = 200 // messages
	// busyRetry is when to try again, in seconds.
	busyRetry = 30
)

// outcome is what became of one event, as its sender is told.
type outcome struct {
	Upgrade string `json:"upgrade,omitempty"`
	Ignored string `json:"ignored,omitempty"`
}

// receive takes in a message of a deployment tool.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) error {
	sender := r.PathValue("sender")
	if sender != "" && !inbox.Known(sender) {
		return problem{http.StatusNotFound, "there is no such sender: want one of " + strings.Join(inbox.Senders(), ", ")}
	}
	all, err := s.takeIn(w, r, sender)
	if err != nil {
		return err
	}
	out := make([]outcome, 0, len(all))
	for _, one := range all {
		out = append(out, outcome{one.Upgrade.ID, one.Ignored})
	}
	return answer(w, http.StatusAccepted, listed(out, ""))
}

// receiveChange is receive at the path, and with the answer, that clients of
// PagerDuty's change events know.
func (s *Server) receiveChange(w http.ResponseWriter, r *http.Request) error {
	all, err := s.takeIn(w, r, "pagerduty")
	if err != nil {
		return err
	}
	said := "Change event processed"
	for _, one := range all {
		if one.Ignored != "" {
			said = "Change event ignored: " + one.Ignored
		}
	}
	return answer(w, http.StatusAccepted, map[string]any{"status": "success", "message": said, "links": []string{}})
}

// takeIn reads a message and puts it down: all of it, or nothing with an error.
func (s *Server) takeIn(w http.ResponseWriter, r *http.Request, sender string) ([]inbox.Report, error) {
	if _, err := query(r); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, badBody(err)
	}
	m := inbox.Message{Sender: sender, Header: r.Header, Body: body, Now: time.Now()}
	if err := s.o.Inbox.Vouched(m, bearerOf(r), s.onCall); err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="aftershock"`)
		s.received.WithLabelValues("refused").Inc()
		return nil, problem{http.StatusUnauthorized, err.Error()}
	}
	if !s.inbox.Allow() {
		w.Header().Set("Retry-After", strconv.Itoa(busyRetry))
		s.received.WithLabelValues("rationed").Inc()
		return nil, problem{http.StatusTooManyRequests, "too many messages: the inbox takes 10 a second, and 200 at once"}
	}
	all, err := s.o.Inbox.Read(m)
	if err != nil {
		s.received.WithLabelValues("malformed").Inc()
		return nil, BadRequest(err.Error())
	}
	told := slices.DeleteFunc(slices.Clone(all), func(one inbox.Report) bool { return one.Ignored != "" })
	if len(told) > 0 {
		if err := s.o.Loop.Report(r.Context(), told); err != nil {
			return nil, s.notKept(w, err)
		}
	}
	s.received.WithLabelValues("accepted").Add(float64(len(told)))
	s.received.WithLabelValues("ignored").Add(float64(len(all) - len(told)))
	return all, nil
}

// notKept tells a sender to deliver it again.
func (s *Server) notKept(w http.ResponseWriter, err error) error {
	w.Header().Set("Retry-After", strconv.Itoa(busyRetry))
	s.received.WithLabelValues("failed").Inc()
	if errors.Is(err, ErrBusy) {
		return problem{http.StatusServiceUnavailable, err.Error()}
	}
	s.o.Log.WithError(err).Error("what a deployment tool told can't be put down; it was told to try again")
	return problem{http.StatusServiceUnavailable, "it can't be put down at present: deliver it again"}
}

// bearerOf is the token that a request brings, "" for none.
func bearerOf(r *http.Request) string {
	scheme, got, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return got
}
