package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// pollEvery is how often the daemon is asked for what it has to say.
	pollEvery = 300 * time.Millisecond
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 32 << 20
)

// The parts of the API's answers that the story reads.
type (
	upgrade struct {
		ID string `json:"id"`
		// StartedAt is zero while it is only planned.
		StartedAt time.Time `json:"started_at"`
		Binaries  []binary  `json:"binaries"`
	}
	binary struct {
		Name string `json:"name"`
		From string `json:"from"`
		To   string `json:"to"`
	}
	toggle struct {
		ID       string    `json:"id"`
		After    string    `json:"after"`
		Actor    string    `json:"actor"`
		State    string    `json:"state"`
		Evidence string    `json:"evidence"`
		At       time.Time `json:"at"`
		// Approvals are by whoever let a plan or a proposal be carried out.
		Approvals []struct {
			Actor string `json:"actor"`
		} `json:"approvals"`
	}
	cause struct {
		Kind        string  `json:"kind"`
		Name        string  `json:"name"`
		Probability float64 `json:"probability"`
	}
	verdict struct {
		State     string `json:"verdict"`
		Indicator struct {
			Kind   string            `json:"kind"`
			Labels map[string]string `json:"labels"`
		} `json:"indicator"`
		Causes []cause `json:"causes"`
	}
	tuning struct {
		Rows       []row       `json:"rows"`
		Suggestion *suggestion `json:"suggestion"`
		Why        string      `json:"why"`
	}
	row struct {
		Name    string   `json:"name"`
		Retries estimate `json:"retries_per_call"`
		Failed  estimate `json:"failed"`
	}
	estimate struct {
		Value float64 `json:"value"`
		Error float64 `json:"error"`
	}
	suggestion struct {
		Variant string          `json:"variant"`
		Value   json.RawMessage `json:"value"`
		Changed bool            `json:"changed"`
		Row     string          `json:"row"`
		Accepts float64         `json:"accepts"`
	}
	list[T any] struct {
		Items []T    `json:"items"`
		Next  string `json:"next"`
	}
)

// name is the verdict's indicator in short.
func (v verdict) name() string {
	l := v.Indicator.Labels
	if v.Indicator.Kind == "retry" {
		return "retries of " + l["peer"]
	}
	return v.Indicator.Kind + " of " + l["service"] + " " + l["http_route"]
}

// by is who brought the toggle about: who planned it, and who approved it.
func (t toggle) by() string {
	text := t.Actor
	for _, a := range t.Approvals {
		text = a.Actor + ", approving what " + text + " proposed,"
	}
	return text
}

// api is the daemon's public API.
type api struct {
	base, token string
	http        *http.Client
}

// findDaemon reads the address and the token that the daemon has written into
// its data directory.
func findDaemon(data string) (*api, error) {
	listen, err := os.ReadFile(filepath.Join(data, "listen"))
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(data, "token"))
	if err != nil {
		return nil, err
	}
	base := strings.TrimSpace(string(listen))
	if base == "" {
		return nil, errors.New("the address is empty")
	}
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return &api{base: base, token: strings.TrimSpace(string(token)), http: &http.Client{Timeout: 20 * time.Second}}, nil
}

// ask makes one request. An answer other than 2xx is an error with the
// problem's words.
func (a *api) ask(ctx context.Context, method, path string, in any) ([]byte, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		words := strings.TrimSpace(string(content))
		if len(words) > 300 {
			words = words[:300]
		}
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, words)
	}
	return content, nil
}

func get[T any](ctx context.Context, a *api, path string) (T, error) {
	var v T
	content, err := a.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(content, &v); err != nil {
		return v, fmt.Errorf("parse answer of %s: %w", path, err)
	}
	return v, nil
}

// items reads a list to its end.
func items[T any](ctx context.Context, a *api, path string) ([]T, error) {
	var all []T
	next := ""
	for range 100 {
		at := path
		if next != "" {
			at += "?after=" + url.QueryEscape(next)
		}
		page, err := get[list[T]](ctx, a, at)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if next = page.Next; next == "" {
			return all, nil
		}
	}
	return nil, fmt.Errorf("read %s: more than 100 pages", path)
}

func (a *api) upgrades(ctx context.Context) ([]upgrade, error) {
	return items[upgrade](ctx, a, "/api/v1/upgrades")
}

func (a *api) verdicts(ctx context.Context, id string) ([]verdict, error) {
	return items[verdict](ctx, a, "/api/v1/upgrades/"+url.PathEscape(id)+"/verdicts")
}

// history are the toggles of the story's flag.
func (a *api) history(ctx context.Context) ([]toggle, error) {
	return items[toggle](ctx, a, "/api/v1/flags/"+url.PathEscape(backoffFlag)+"/history")
}

func (a *api) tune(ctx context.Context, flag string) (tuning, error) {
	return get[tuning](ctx, a, "/api/v1/flags/"+url.PathEscape(flag)+"/tuning?hours=1")
}

// set toggles; the suggestion's value, if it has another, becomes the variant's, and its
// price is accepted.
func (a *api) set(ctx context.Context, flag, variant, reason, upgrade string, s suggestion) (toggle, error) {
	var t toggle
	in := map[string]any{"variant": variant, "reason": reason, "upgrade": upgrade, "incident": "demo"}
	if s.Changed {
		in["value"] = s.Value
	}
	if s.Accepts > 0 {
		in["accepts"] = s.Accepts
	}
	content, err := a.ask(ctx, http.MethodPut, "/api/v1/flags/"+url.PathEscape(flag), in)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(content, &t); err != nil {
		return t, fmt.Errorf("parse toggle: %w", err)
	}
	return t, nil
}

// parseLink reads a link out of an answer.
func parseLink(content []byte) (string, error) {
	var made struct {
		Link string `json:"link"`
	}
	if err := json.Unmarshal(content, &made); err != nil || made.Link == "" {
		return "", errors.New("parse link: there is none in the answer")
	}
	return made.Link, nil
}

// weekReport is where the review of this week is.
const weekReport = "/api/v1/reports/this"

// upgradeReport is where the review of an upgrade is.
func upgradeReport(id string) string { return "/api/v1/upgrades/" + url.PathEscape(id) + "/report" }

func (a *api) report(ctx context.Context, path, format string) ([]byte, error) {
	return a.ask(ctx, http.MethodGet, path+"?format="+format, nil)
}

// await asks cond again and again until it is content or fails. missing is what
// cond says it still waits for.
func await(ctx context.Context, cond func() (done bool, missing string, err error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := "it was never asked"
	for {
		ok, missing, err := cond()
		if ok || err != nil {
			return err
		}
		if ctx.Err() == nil {
			// A question that the deadline cut short says nothing.
			last = missing
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", last, context.Cause(ctx))
		}
	}
}
