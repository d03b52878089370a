package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"aftershock/flags"
	"aftershock/flags/tuning"
	"aftershock/journal"
)

// problem is an error that its reader may see, in the form of RFC 9457.
type problem struct {
	status int
	detail string
}

func (p problem) Error() string { return p.detail }

// BadRequest is an error that tells the caller what was wrong with a request.
func BadRequest(detail string) error { return problem{http.StatusBadRequest, detail} }

// statusOf is the HTTP status for an error and what its reader may know.
func statusOf(err error) (int, string) {
	var p problem
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p.status, p.detail
	case errors.As(err, &tooBig):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is over %d bytes", tooBig.Limit)
	case errors.Is(err, journal.ErrNotFound), errors.Is(err, flags.ErrUnknown):
		return http.StatusNotFound, err.Error()
	case errors.Is(err, flags.ErrInvalid), errors.Is(err, flags.ErrUnchanged), errors.Is(err, journal.ErrInvalid):
		return http.StatusBadRequest, err.Error()
	case errors.Is(err, tuning.ErrConstants):
		return http.StatusBadRequest, err.Error()
	case errors.Is(err, tuning.ErrNoData):
		return http.StatusUnprocessableEntity, err.Error()
	case errors.Is(err, flags.ErrConflict), errors.Is(err, flags.ErrFull), errors.Is(err, flags.ErrFrozen), errors.Is(err, journal.ErrConflict):
		return http.StatusConflict, err.Error()
	case errors.Is(err, flags.ErrReadOnly) && !flags.Refused(err):
		return http.StatusUnprocessableEntity, err.Error()
	case errors.Is(err, flags.ErrNotReady), errors.Is(err, flags.ErrBusy):
		return http.StatusServiceUnavailable, err.Error()
	case errors.Is(err, flags.ErrSlow):
		return http.StatusGatewayTimeout, err.Error()
	case errors.Is(err, flags.ErrBackend), errors.Is(err, flags.ErrReadOnly), errors.Is(err, flags.ErrNotVerified):
		return http.StatusBadGateway, err.Error()
	}
	return http.StatusInternalServerError, "something went wrong inside; the daemon's log says what"
}

// fail answers an error as a problem document.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, detail := s.told(r, err)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail,
	})
}

// told is statusOf, with what nobody is told put into the log.
func (s *Server) told(r *http.Request, err error) (int, string) {
	status, detail := statusOf(err)
	if status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.o.Log.WithError(err).WithField("path", r.URL.Path).Error("a request failed")
	}
	return status, detail
}

func answer(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
	return nil
}

// badBody is what was wrong with a body that couldn't be read: the sender's
// trouble, not ours.
func badBody(err error) error {
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem{http.StatusRequestTimeout, "the body didn't come within the time for a request"}
	}
	return BadRequest("read the body: " + err.Error())
}

// decode reads a JSON body strictly.
func decode(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return BadRequest("read the body: it is empty; send a JSON object")
		}
		return badBody(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return BadRequest("read the body: there is something after the JSON")
	}
	return nil
}
