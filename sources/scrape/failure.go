package scrape

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// outcome is how a scrape ended: the label of aftershock_scrapes_total, and what
// a change of state is told by.
type outcome string

const (
	outcomeOK          outcome = "ok"
	outcomeUnreachable outcome = "unreachable"
	outcomeTimeout     outcome = "timeout"
	outcomeStatus      outcome = "status"
	outcomeTooLarge    outcome = "too_large"
	outcomeMalformed   outcome = "malformed"
	outcomeLimit       outcome = "limit"
	outcomeStorage     outcome = "storage"
)

var outcomes = []outcome{
	outcomeOK, outcomeUnreachable, outcomeTimeout, outcomeStatus,
	outcomeTooLarge, outcomeMalformed, outcomeLimit, outcomeStorage,
}

// failure is why a scrape failed: its kind, what was seen, and what to do.
type failure struct {
	kind   outcome
	err    error
	advice string
}

func (f *failure) Error() string {
	if f.advice == "" {
		return f.err.Error()
	}
	return f.err.Error() + ": " + f.advice
}

func (f *failure) Unwrap() error { return f.err }

func fail(kind outcome, advice, format string, args ...any) *failure {
	return &failure{kind: kind, err: fmt.Errorf(format, args...), advice: advice}
}

// failTransport explains why no (whole) answer came.
func failTransport(err error, timeout time.Duration) *failure {
	var in *url.Error // says the URL again, which the log line has
	if errors.As(err, &in) {
		err = in.Err
	}
	var dns *net.DNSError
	var ne net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return fail(outcomeTimeout, "see why the target is slow, or raise timeout (and interval)",
			"no whole answer within %s", timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(outcomeUnreachable, "start the target or correct its port", "connection refused")
	case errors.As(err, &dns):
		return fail(outcomeUnreachable, "correct the host name or the resolver", "look up %s: %s", clip(dns.Name), clip(dns.Err))
	default:
		return fail(outcomeUnreachable, "check the target and the network to it", "read target: %w", clipped{err})
	}
}

// clipped is an error whose text is one bounded line, since servers write into it.
type clipped struct{ error }

func (c clipped) Error() string {
	const most = 300
	s := strings.Join(strings.Fields(c.error.Error()), " ")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func (c clipped) Unwrap() error { return c.error }
