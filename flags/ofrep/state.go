package ofrep

import (
	"context"
	"net/http"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
)

// Init starts the polling, if there is any. It doesn't ask the server, so that
// a service comes up with its defaults while the server is down.
func (p *Provider) Init(e openfeature.EvaluationContext) error {
	return p.InitWithContext(context.Background(), e)
}

// InitWithContext does what Init does. The polling goes on after ctx ends,
// until Shutdown.
func (p *Provider) InitWithContext(ctx context.Context, _ openfeature.EvaluationContext) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.poll == 0 || p.stop != nil {
		return nil
	}
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	p.done = make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		p.watch(ctx)
	}(p.done)
	return nil
}

// Shutdown ends the polling and waits for it.
func (p *Provider) Shutdown() { _ = p.ShutdownWithContext(context.Background()) }

// ShutdownWithContext does what Shutdown does, at most until ctx ends.
func (p *Provider) ShutdownWithContext(ctx context.Context) error {
	p.mu.Lock()
	stop, done := p.stop, p.done
	p.stop, p.done = nil, nil
	p.mu.Unlock()
	defer p.client.CloseIdleConnections()
	if stop == nil {
		return nil
	}
	stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// EventChannel delivers the provider's events to the SDK.
func (p *Provider) EventChannel() <-chan openfeature.Event { return p.events }

// watch asks for all flags with an empty context, once a period, for the sake
// of the ETag alone.
func (p *Provider) watch(ctx context.Context) {
	t := time.NewTicker(p.poll)
	defer t.Stop()
	etag, well := "", true
	for {
		next, changed, err := p.changed(ctx, etag)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && well:
			p.emit(openfeature.ProviderStale, err.Error())
		case err == nil && !well:
			p.emit(openfeature.ProviderReady, "the OFREP server answers again")
		}
		well = err == nil
		if changed {
			p.cache.clear()
			if etag != "" {
				p.emit(openfeature.ProviderConfigChange, "flags changed")
			}
		}
		etag = next
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// changed says whether the flags differ from those that etag stands for.
func (p *Provider) changed(ctx context.Context, etag string) (string, bool, error) {
	if p.silence() > 0 {
		return etag, false, nil
	}
	header := http.Header{}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	status, got, content, err := p.post(ctx, "/ofrep/v1/evaluate/flags", []byte(`{"context":{}}`), header)
	if err != nil {
		return etag, false, err
	}
	switch status {
	case http.StatusNotModified:
		return etag, false, nil
	case http.StatusOK:
		next := got.Get("ETag")
		return next, next != etag, nil
	}
	_, err = p.read("(all)", status, got, content)
	return etag, false, err
}

// emit hands an event over without ever blocking: when nobody reads, the oldest
// news are enough.
func (p *Provider) emit(kind openfeature.EventType, message string) {
	select {
	case p.events <- openfeature.Event{
		ProviderName:         Name,
		EventType:            kind,
		ProviderEventDetails: openfeature.ProviderEventDetails{Message: message},
	}:
	default:
	}
}
