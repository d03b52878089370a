package flags

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"

	"aftershock/detector"
	"aftershock/flags/definitions"
	"aftershock/flags/ofrep"
)

const (
	// passes is how often in a row each probe must see what was written.
	passes = 3
	// probes is how many callers are looked at where all should get the same.
	probes = 2
	// retry is the pause before the next look at a flag that isn't as written.
	retry = 50 * time.Millisecond
)

// versionKey is where the metadata of a served flag has the revision.
const versionKey = "version"

// probe is the context of the n-th caller that verifies a toggle.
func probe(n int) map[string]any {
	return map[string]any{openfeature.TargetingKey: probeKey(n)}
}

// absent marks an answer that leaves the value to the caller's default.
type absent struct{}

// connection is the switchboard's own OpenFeature client.
type connection struct {
	api    *openfeature.EvaluationAPI
	client *openfeature.Client
}

func (c *connection) close() {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// It has nothing to flush: an error here is of no use to anybody.
	_ = c.api.Shutdown(ctx)
}

// Connect gives the switchboard the address at which it is served itself, as
// soon as the listener is bound: toggles are verified there, by an OpenFeature
// client of the switchboard's own. Until then flags can't be toggled. It makes
// no request. The end of Run also ends the connection.
func (s *Switchboard) Connect(ctx context.Context, c ofrep.Config) error {
	// A verification wants what is served now.
	c.CacheTTL, c.StaleTTL, c.Poll = 0, 0, 0
	c.Headers = c.Headers.Clone()
	if c.Headers == nil {
		c.Headers = http.Header{}
	}
	c.Headers.Set("X-API-Key", s.ownKey)
	p, err := ofrep.New(c)
	if err != nil {
		return fmt.Errorf("connect switchboard to its own listener: %w", err)
	}
	api := isolated.NewAPI()
	if err := api.SetProviderAndWait(ctx, p); err != nil {
		return fmt.Errorf("connect switchboard to its own listener: %w", err)
	}
	s.itself.Swap(&connection{api: api, client: api.NewClient()}).close()
	return nil
}

// verify looks at a flag through OpenFeature until it has been as toggled for a
// number of passes, or the time is up. The second result says what was seen.
func (s *Switchboard) verify(ctx context.Context, t detector.Toggle) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, s.config.VerifyTimeout)
	defer cancel()
	start := time.Now()
	for good, why := 0, ""; ; {
		if last := s.serving.Load().document.Acts[t.Flag].Last; last != t.ID {
			return false, fmt.Sprintf("it was superseded by toggle %s before it was verified", last)
		}
		if why = s.look(ctx, t); why == "" {
			if good++; good == passes {
				return true, s.seen(t, time.Since(start).Round(time.Millisecond))
			}
			continue
		}
		good = 0
		select {
		case <-ctx.Done():
			return false, fmt.Sprintf("in %s it wasn't seen through OpenFeature: %s", time.Since(start).Round(time.Millisecond), why)
		case <-time.After(retry):
		}
		if s.stopping.Load() {
			return false, why
		}
	}
}

// look evaluates the toggled flag once for each of some callers, in scope and out
// of it, and says what isn't as written, "" if nothing.
func (s *Switchboard) look(ctx context.Context, t detector.Toggle) string {
	itself := s.itself.Load()
	if itself == nil {
		return "the switchboard isn't connected"
	}
	n := s.serving.Load()
	callers, err := s.callers(t.Flag, t.Scope)
	if err != nil {
		return err.Error()
	}
	before, pin, err := n.beneath(t)
	if err != nil {
		return err.Error()
	}
	for _, c := range callers {
		want := n.set.Evaluate(t.Flag, c.context(), s.now())
		if pin && c.in && want.Variant != t.After {
			return fmt.Sprintf("the definition at revision %d gives %s, not variant %q", n.revision, or(want.Variant, want.Reason), t.After)
		}
		if pin && !c.in {
			if was := before.Evaluate(t.Flag, c.context(), s.now()); was.Variant != want.Variant || was.ErrorCode != want.ErrorCode {
				return fmt.Sprintf("the definition at revision %d gives %s to callers out of scope, not %s as before",
					n.revision, or(want.Variant, want.Reason), or(was.Variant, was.Reason))
			}
		}
		got, err := itself.client.ObjectValueDetails(ctx, t.Flag, absent{}, openfeature.NewEvaluationContext(c.key, c.attributes))
		if err != nil {
			if want.ErrorCode != "" && string(got.ErrorCode) == want.ErrorCode {
				continue // an undo restored a definition that was broken before
			}
			return fmt.Sprintf("evaluation failed: %v", err)
		}
		if why := compare(got, want, t.Revision); why != "" {
			return why
		}
	}
	return ""
}

// compare holds an evaluation against what was written. That there is no error
// proves nothing: a client without a provider answers the default without one.
func compare(got openfeature.InterfaceEvaluationDetails, want definitions.Resolution, revision string) string {
	version, err := got.FlagMetadata.GetString(versionKey)
	if err != nil {
		return "the answer has no version"
	}
	have, err1 := strconv.ParseInt(version, 10, 64)
	least, err2 := strconv.ParseInt(revision, 10, 64)
	if err1 != nil || err2 != nil || have < least {
		return fmt.Sprintf("it is served at revision %s, before revision %s", cut(version, 30), revision)
	}
	if got.Variant != want.Variant {
		return fmt.Sprintf("variant %q is served, not %q", cut(got.Variant, 100), want.Variant)
	}
	if want.Value == nil {
		if got.Value != (absent{}) {
			return "a value is served where there is none"
		}
		return ""
	}
	var value any
	if err := json.Unmarshal(want.Value, &value); err != nil {
		return fmt.Sprintf("the declared value can't be read: %v", err)
	}
	if value == nil { // a variant that is null leaves the value to the caller
		value = absent{}
	}
	if !reflect.DeepEqual(value, got.Value) {
		return fmt.Sprintf("variant %q is served with another value than declared", got.Variant)
	}
	return ""
}

func or(a, b string) string {
	if a != "" {
		return strconv.Quote(a)
	}
	return b
}
