package web_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"aftershock/web"
	"aftershock/web/webtest"
)

func TestServeLetsRequestsFinish(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s := webtest.Start(t, func(o *web.Options) {
		o.Review = func(ctx context.Context, _, _ string, w http.ResponseWriter) error {
			close(begun)
			<-finish
			_, _ = io.WriteString(w, "whole")
			return ctx.Err()
		}
	})
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Get(s.URL + "/upgrades/x/report")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answered <- string(b)
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	for { // until the listener is closed, and the end thus under way
		resp, err := direct.Get(s.URL + "/-/healthy")
		if err != nil {
			break
		}
		resp.Body.Close()
	}
	close(finish)
	if got := <-answered; got != "whole" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestNewRefusesATakenPort(t *testing.T) {
	s := webtest.Start(t)
	o := web.Options{Config: web.Config{Listen: s.Addr()}, Registry: nil}
	if _, err := web.New(o); err == nil || !strings.Contains(err.Error(), "web.listen") {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	var c web.Config
	c.SetDefaults()
	if errs := c.Validate("web"); len(errs) != 0 || c.Listen != "127.0.0.1:8787" {
		t.Errorf("%+v: %v", c, errs)
	}
	c = web.Config{Listen: "nowhere", ExternalURL: "ftp://x"}
	got := fmt.Sprint(c.Validate("web"))
	if !strings.Contains(got, "web.listen") || !strings.Contains(got, "web.external_url") {
		t.Error(got)
	}
}
