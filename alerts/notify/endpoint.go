package notify

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/config"
)

// Endpoint is where a receiver takes its requests, and how it is spoken to.
type Endpoint struct {
	// URL takes the requests; it may hold a secret, and so may stand in a file
	// instead.
	URL        config.Secret            `yaml:"url"`
	URLFile    string                   `yaml:"url_file"`
	HTTPClient *config.HTTPClientConfig `yaml:"http_client"`
	Timeout    time.Duration            `yaml:"timeout"` // of one request
}

// SetDefaults sets the time limit, and where the service usually is.
func (e *Endpoint) SetDefaults(url string) {
	if e.URL == "" && e.URLFile == "" {
		e.URL = config.Secret(url)
	}
	if e.Timeout == 0 {
		e.Timeout = 10 * time.Second
	}
}

// Validate names each problem with its path.
func (e *Endpoint) Validate(path string) []error {
	errs := e.secret().Check(path, "url")
	if e.URL != "" {
		if err := CheckURL(string(e.URL)); err != nil {
			errs = append(errs, fmt.Errorf("%s.url: %w", path, err))
		}
	}
	if e.Timeout <= 0 || e.Timeout > time.Minute {
		errs = append(errs, fmt.Errorf("%s.timeout: %s is not in 0s..1m", path, e.Timeout))
	}
	if e.HTTPClient != nil {
		if err := e.HTTPClient.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s.http_client: %w", path, err))
		}
	}
	return errs
}

// Files are the paths in it, to be made absolute.
func (e *Endpoint) Files() []*string { return []*string{&e.URLFile} }

func (e *Endpoint) secret() Secret { return Secret{e.URL, e.URLFile} }

// Service is an Endpoint that takes requests.
type Service struct {
	url    Secret
	client *Client
}

// Open makes the service for the named receiver; a file with its URL must be
// readable.
func (e Endpoint) Open(name string) (*Service, error) {
	client, err := NewClient(e.HTTPClient, name, e.Timeout)
	if err != nil {
		return nil, err
	}
	s := &Service{url: e.secret(), client: client}
	if _, err := s.root(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Service) root() (string, error) {
	u, err := s.url.Read("receiver's URL")
	if err != nil {
		return "", err
	}
	if err := CheckURL(u); err != nil {
		return "", fmt.Errorf("read the receiver's URL: it %w", err)
	}
	return u, nil
}

// Send brings the JSON body to the URL, or to a path below it, once. Where err
// isn't nil, retry says whether the same may be accepted later. The message's ID
// goes with it as the header Idempotency-Key, unless there is another in header.
func (s *Service) Send(ctx context.Context, m Message, method, path string, body []byte, header http.Header) (retry bool, err error) {
	to, err := s.root()
	if err != nil {
		return true, err // somebody may put it right
	}
	if path != "" {
		to = strings.TrimRight(to, "/") + path
	}
	all := http.Header{"Idempotency-Key": {m.ID()}}
	for n, v := range header {
		all[n] = v
	}
	if err := s.client.Send(ctx, method, to, body, all); err != nil {
		return Retry(err), err
	}
	return false, nil
}

// Close frees idle connections.
func (s *Service) Close() { s.client.Close() }
