package promapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/prometheus/prompb"
)

// probeAgain is when a server is asked again whose faster way has failed in a
// manner that may pass.
const probeAgain = 10 * time.Minute

// Way gives the way in which the server is read. The first call asks the
// server, and so does the next one after a failure.
func (s *Source) Way(ctx context.Context) (Way, error) {
	s.mu.Lock()
	way, due := s.way, !s.probeAt.IsZero() && time.Now().After(s.probeAt)
	s.mu.Unlock()
	if way != "" && !due {
		return way, nil
	}
	way, probeAt, err := s.probe(ctx)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.way, s.probeAt = way, probeAt
	s.mu.Unlock()
	return way, nil
}

// probe tries the ways in order, the fastest first.
func (s *Source) probe(ctx context.Context) (way Way, again time.Time, err error) {
	var refused []string
	for _, way := range ways {
		if s.config.Way != "" && way != s.config.Way {
			continue
		}
		err := s.try(ctx, way)
		if err == nil {
			log := s.log.WithFields(map[string]any{"server": s.base, "way": string(way)})
			if len(refused) > 0 {
				log = log.WithField("not", strings.Join(refused, "; "))
			}
			log.Info("telemetry server answers")
			return way, again, nil
		}
		var fail *failure
		if !errors.As(err, &fail) || final(fail) {
			return "", again, err
		}
		if fail.again {
			again = time.Now().Add(probeAgain)
		}
		refused = append(refused, string(way)+": "+strings.TrimPrefix(fail.text, "read telemetry from "+s.base))
	}
	if s.config.Way != "" {
		return "", again, fmt.Errorf("read telemetry from %s in the way that is configured: %s", s.base, refused[0])
	}
	return "", again, fmt.Errorf("find a way to read telemetry from %s: it doesn't answer as a Prometheus API does: %s", s.base, strings.Join(refused, "; "))
}

// final says that no other way will work either.
func final(fail *failure) bool {
	switch fail.outcome {
	case outcomeUnreachable, outcomeTimeout, outcomeCanceled:
		return true
	}
	return fail.status == http.StatusUnauthorized || fail.status == http.StatusForbidden
}

// try asks for a little in one of the ways.
func (s *Source) try(ctx context.Context, way Way) error {
	now := time.Now().UnixMilli()
	var c call
	switch way {
	case RemoteRead:
		var err error
		w := span{from: now - time.Minute.Milliseconds(), to: now}
		c, err = remoteCall(&prompb.LabelMatcher{Type: prompb.LabelMatcher_EQ, Name: "__name__", Value: "up"}, w)
		if err != nil {
			return err
		}
		c.read = func(resp *http.Response) error {
			if !streams(resp) {
				return &failure{outcome: outcomeRefused, status: resp.StatusCode, text: "the server doesn't stream chunks"}
			}
			return readFrames(resp.Body, w, func(*assembly) error { return nil })
		}
	case Steps:
		c = stepsCall([]string{"up"}, span{from: now - 2*time.Minute.Milliseconds(), to: now, step: time.Minute.Milliseconds()})
		c.read = readNothing
	default:
		c = call{path: "/api/v1/query", form: url.Values{"query": {"up[1m]"}}, read: readNothing}
	}
	c.way = "probe"
	return s.do(ctx, c)
}

func readNothing(resp *http.Response) error {
	_, err := readMatrix(resp.Body, func(*matrixSeries) error { return nil })
	return err
}
