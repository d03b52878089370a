package cleanup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// probeTime is how long a probe may take.
const probeTime = 10 * time.Second

// Finding of a probe: gone or not, and what was seen.
type seen struct {
	gone bool
	text string
}

// errCantTell says that a probe can't tell whether something is gone, and why.
var errCantTell = errors.New("can't tell")

// probeKinds are the kinds of probes.
var probeKinds = []string{"flag", "silence", "url", "file", "cron", "instance"}

// parseProbe takes a probe apart.
func parseProbe(text string) (kind, what string, err error) {
	kind, what, _ = strings.Cut(strings.TrimSpace(text), " ")
	if what = strings.TrimSpace(what); !slices.Contains(probeKinds, kind) || what == "" {
		return "", "", fmt.Errorf("probe: %.60q isn't one of flag KEY, silence ID, url URL, file PATH, cron TEXT, instance BINARY", text)
	}
	return kind, what, nil
}

// silenceID matches the ID that Alertmanager gives a silence.
var silenceID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// ProbeOf is the probe of a chore that comes without one, where its kind and name leave no doubt of what is to
// be looked at: a file or banner by its absolute path, a webhook by its URL, a silence by Alertmanager's ID; else "".
func ProbeOf(kind, name string) string {
	name = strings.TrimSpace(name)
	switch {
	case (kind == "file" || kind == "banner") && path.IsAbs(name):
		return "file " + name
	case kind == "webhook" && (strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://")):
		return "url " + name
	case kind == "silence" && silenceID.MatchString(name):
		return "silence " + name
	}
	return ""
}

// Prober looks whether things are gone.
type Prober struct {
	Config Config
	// Flag says what a flag serves beside its default, "" where it serves that alone;
	// Silence whether a silence is still in force.
	Flag    func(ctx context.Context, key string) (string, error)
	Silence func(ctx context.Context, id string) (bool, error)
	// Client asks URLs; it must not follow redirects.
	Client *http.Client
	// Crontabs are the patterns of the host's crontabs; nil for the usual ones.
	Crontabs []string
}

// NewClient makes a client for probes: it follows no redirects, which would lead out of
// what is allowed.
func NewClient() *http.Client {
	return &http.Client{
		Timeout:       probeTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// look probes once.
func (p *Prober) look(ctx context.Context, u detector.Upgrade, w World, probe string) (seen, error) {
	kind, what, err := parseProbe(probe)
	if err != nil {
		return seen{}, fmt.Errorf("%w: %w", errCantTell, err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	switch kind {
	case "flag":
		if p.Flag == nil {
			break
		}
		variant, err := p.Flag(ctx, what)
		if err != nil {
			return seen{}, fmt.Errorf("%w: %w", errCantTell, err)
		}
		if variant == "" {
			return seen{true, "the flag serves its default"}, nil
		}
		return seen{false, "the flag serves " + words.Name(variant)}, nil
	case "silence":
		if p.Silence == nil {
			break
		}
		stands, err := p.Silence(ctx, what)
		if err != nil {
			return seen{}, fmt.Errorf("%w: %w", errCantTell, err)
		}
		if stands {
			return seen{false, "the silence is in force"}, nil
		}
		return seen{true, "the silence is over"}, nil
	case "url":
		return p.ask(ctx, what)
	case "file":
		return p.file(what)
	case "cron":
		return p.cron(what)
	case "instance":
		return instances(u, w.Others, what)
	}
	return seen{}, fmt.Errorf("%w: nothing here knows of a %s", errCantTell, kind)
}

// ask looks whether a URL still answers: 404 and 410 say that it is gone.
func (p *Prober) ask(ctx context.Context, text string) (seen, error) {
	u, err := url.Parse(text)
	if err != nil || !p.allowed(u) {
		return seen{}, fmt.Errorf("%w: the URL is under none of cleanup.urls", errCantTell)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return seen{}, fmt.Errorf("%w: the URL can't be asked", errCantTell)
	}
	resp, err := p.Client.Do(r)
	if err != nil { // without the URL, which may have secrets in it
		return seen{}, fmt.Errorf("%w: the URL doesn't answer", errCantTell)
	}
	_ = resp.Body.Close()
	gone := resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone
	return seen{gone, fmt.Sprintf("the URL answers %d", resp.StatusCode)}, nil
}

// allowed says whether a URL is under one of those that may be asked, by its parts: a
// prefix of the text would let https://a.example.evil/ pass for https://a.example.
func (p *Prober) allowed(u *url.URL) bool {
	if u.User != nil || u.Opaque != "" {
		return false
	}
	return slices.ContainsFunc(p.Config.URLs, func(prefix string) bool {
		a, err := url.Parse(prefix)
		return err == nil && u.Scheme == a.Scheme && strings.EqualFold(u.Host, a.Host) && under(u.Path, a.Path)
	})
}

// under says whether a path lies at or below another.
func under(name, dir string) bool {
	clean := path.Clean("/" + name)
	dir = strings.TrimSuffix(path.Clean("/"+dir), "/")
	return clean == dir || strings.HasPrefix(clean, dir+"/")
}

// file looks whether a file of this host is there; a link counts as itself.
func (p *Prober) file(name string) (seen, error) {
	if !path.IsAbs(name) || !slices.ContainsFunc(p.Config.Files, func(dir string) bool { return under(name, dir) }) {
		return seen{}, fmt.Errorf("%w: the file is under none of cleanup.files", errCantTell)
	}
	switch _, err := os.Lstat(path.Clean(name)); {
	case err == nil:
		return seen{false, "the file is there"}, nil
	case errors.Is(err, fs.ErrNotExist):
		return seen{true, "the file isn't there"}, nil
	default:
		return seen{}, fmt.Errorf("%w: the file can't be looked at", errCantTell)
	}
}

// crontabs are where cron looks.
var crontabs = []string{"/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*"}

// maxCrontab bounds what is read of a crontab.
const maxCrontab = 1 << 20

// cron looks whether an entry of this host's crontabs holds a text.
func (p *Prober) cron(text string) (seen, error) {
	patterns := p.Crontabs
	if patterns == nil {
		patterns = crontabs
	}
	wanted := strings.Join(strings.Fields(text), " ")
	read := 0
	for _, pattern := range patterns {
		names, _ := filepath.Glob(pattern) // the patterns are well-formed
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				continue
			}
			data, err := io.ReadAll(io.LimitReader(f, maxCrontab))
			_ = f.Close()
			if err != nil {
				continue // a directory
			}
			read++
			for line := range strings.SplitSeq(string(data), "\n") {
				line = strings.Join(strings.Fields(line), " ")
				if !strings.HasPrefix(line, "#") && strings.Contains(line, wanted) {
					return seen{false, "an entry of cron has it"}, nil
				}
			}
		}
	}
	if read == 0 {
		return seen{}, fmt.Errorf("%w: no crontab of this host can be read", errCantTell)
	}
	return seen{true, "no entry of cron has it"}, nil
}
