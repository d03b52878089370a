package advisories

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// Bounds of feeds.
const (
	maxRedirects = 5
	maxFetches   = 5_000
	maxFeed      = 64 << 20
	maxHops      = 3 // from metadata over a feed to a document
)

// Feeds fetches advisories over HTTP.
type Feeds struct {
	// Client does the requests; nil is one of its own.
	Client *http.Client
	// Insecure allows http as well as https.
	Insecure bool
	// Timeout is for each request; 0 is 30 s. The whole is bounded by the context.
	Timeout time.Duration
}

// AddURL reads what a URL leads to: a document, OSV's all.zip, CSAF's
// provider-metadata.json, a ROLIE feed, or an index.txt with a path on each line. The
// error is of a source that can't be used at all, and names no credentials; what can't
// be read of it is a finding.
func (c *Checker) AddURL(ctx context.Context, f Feeds, source string) error {
	u, err := url.Parse(source)
	if err != nil {
		return errors.New("read advisories: it is no URL") // the URL may hold a password
	}
	if err := f.allowed(u); err != nil {
		return fmt.Errorf("read advisories from %s: %w", bare(u), err)
	}
	w := walk{checker: c, feeds: f, seen: map[string]bool{}}
	w.visit(ctx, u, 0)
	return ctx.Err()
}

// bare is a URL without credentials: neither a user nor a query.
func bare(u *url.URL) string {
	b := *u
	b.User, b.RawQuery, b.Fragment, b.ForceQuery = nil, "", "", false
	return b.String()
}

func (f Feeds) allowed(u *url.URL) error {
	if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !f.Insecure) {
		return errors.New("only https is allowed")
	}
	return nil
}

// walk is one source while it is read.
type walk struct {
	checker *Checker
	feeds   Feeds
	seen    map[string]bool
	fetched int
}

func (w *walk) visit(ctx context.Context, u *url.URL, hop int) {
	key := u.String()
	if w.seen[key] || ctx.Err() != nil {
		return
	}
	w.seen[key] = true
	if w.fetched++; w.fetched > maxFetches {
		if w.fetched == maxFetches+1 {
			w.checker.problem(bare(u), true, fmt.Errorf("the source has more than %d documents", maxFetches))
		}
		return
	}
	limit := int64(maxFeed)
	zipped := strings.HasSuffix(strings.ToLower(u.Path), ".zip")
	if zipped {
		limit = maxArchive
	}
	data, err := w.feeds.get(ctx, u, limit)
	if err == nil {
		if zipped {
			err = w.checker.archive(bare(u), bytes.NewReader(data), int64(len(data)))
		} else {
			err = w.read(ctx, u, data, hop)
		}
	}
	if err != nil {
		w.checker.problem(bare(u), hop == 0, err)
	}
}

// get fetches at most limit bytes.
func (f Feeds) get(ctx context.Context, u *url.URL, limit int64) ([]byte, error) {
	timeout := f.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := http.Client{}
	if f.Client != nil {
		client = *f.Client
	}
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("it redirects more than %d times", maxRedirects)
		}
		return f.allowed(r.URL)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("it is no URL that can be asked")
	}
	resp, err := client.Do(r)
	if err != nil {
		var of *url.Error // which names the whole URL
		if errors.As(err, &of) {
			err = of.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("it is larger than %d MiB", limit>>20)
	}
	return data, nil
}

// listing is provider-metadata.json or a ROLIE feed.
type listing struct {
	Canonical     string `json:"canonical_url"`
	Distributions []struct {
		Directory string `json:"directory_url"`
		Rolie     struct {
			Feeds []struct {
				Label string `json:"tlp_label"`
				URL   string `json:"url"`
			} `json:"feeds"`
		} `json:"rolie"`
	} `json:"distributions"`
	Feed *struct {
		Entry []struct {
			Link []struct {
				Rel  string `json:"rel"`
				Href string `json:"href"`
			} `json:"link"`
			Content struct {
				Src string `json:"src"`
			} `json:"content"`
		} `json:"entry"`
	} `json:"feed"`
}

// read reads an answer by what it is.
func (w *walk) read(ctx context.Context, u *url.URL, data []byte, hop int) error {
	trimmed := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if strings.HasSuffix(u.Path, ".txt") && len(trimmed) > 0 && trimmed[0] != '{' {
		for line := range strings.SplitSeq(string(trimmed), "\n") {
			if line = strings.TrimSpace(line); strings.HasSuffix(line, ".json") {
				w.follow(ctx, u, line, hop)
			}
		}
		return nil
	}
	var l listing
	if len(trimmed) > 0 && trimmed[0] == '{' && json.Unmarshal(trimmed, &l) == nil {
		switch {
		case l.Feed != nil:
			w.entries(ctx, u, l, hop)
			return nil
		case l.Canonical != "" && len(l.Distributions) > 0:
			w.distributions(ctx, u, l, hop)
			return nil
		}
	}
	return w.checker.add(data, 0)
}

func (w *walk) entries(ctx context.Context, u *url.URL, l listing, hop int) {
	for _, e := range l.Feed.Entry {
		to := e.Content.Src
		for _, k := range e.Link {
			if to == "" && k.Rel == "self" {
				to = k.Href
			}
		}
		if to != "" {
			w.follow(ctx, u, to, hop)
		}
	}
}

func (w *walk) distributions(ctx context.Context, u *url.URL, l listing, hop int) {
	rolie := false
	for _, d := range l.Distributions {
		for _, f := range d.Rolie.Feeds {
			// The others need credentials.
			if f.Label == "" || f.Label == "WHITE" || f.Label == "UNLABELED" || f.Label == "CLEAR" {
				w.follow(ctx, u, f.URL, hop)
				rolie = true
			}
		}
	}
	for _, d := range l.Distributions {
		if d.Directory != "" && !rolie {
			w.follow(ctx, u, strings.TrimSuffix(d.Directory, "/")+"/index.txt", hop)
		}
	}
}

// follow visits what a listing names. Credentials go to the same host alone.
func (w *walk) follow(ctx context.Context, from *url.URL, to string, hop int) {
	u, err := from.Parse(to)
	if err != nil || hop >= maxHops {
		w.checker.problem(bare(from), false, errors.New("it leads to what isn't followed"))
		return
	}
	if u.User == nil && u.Host == from.Host && u.Scheme == from.Scheme {
		u.User = from.User
	}
	if err := w.feeds.allowed(u); err != nil {
		if !w.seen[u.String()] {
			w.seen[u.String()] = true
			w.checker.problem(bare(u), false, err)
		}
		return
	}
	if ext := strings.ToLower(path.Ext(u.Path)); ext != ".json" && ext != ".txt" {
		return
	}
	w.visit(ctx, u, hop+1)
}
