// Package inbox reads what deployment tools tell of changes: CDEvents in
// CloudEvents, notifications of Argo CD and Flux, deployment webhooks of GitHub,
// and change events in PagerDuty's form. Each becomes an upgrade, or is ignored
// for a reason that the sender is told.
//
// It promises that what is read depends on the message alone: a message that is
// delivered again gives the same upgrade under the same ID, so that nobody has
// to remember deliveries; what a sender says of one change (begun, over, failed)
// has one ID. Nothing in a message can make it panic or store what is unbounded
// or unprintable.
package inbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
)

// Config is the section "upgrades.inbox" of the configuration.
type Config struct {
	// TokenFile holds a token that is good for the inbox alone, so that senders
	// need not be given the one that toggles flags. "" for none.
	TokenFile string `yaml:"token_file"`
	// GitHubSecretFile holds the secret of GitHub's webhooks, FluxSecretFile that
	// of Flux' provider generic-hmac. Signed messages need no token.
	GitHubSecretFile string `yaml:"github_secret_file"`
	FluxSecretFile   string `yaml:"flux_secret_file"`
	// Environments are patterns of those whose telemetry is watched; what a
	// sender says of others is ignored. Empty: all are taken.
	Environments []string `yaml:"environments"`
	// Names gives the binary, or the service, for what senders call otherwise.
	Names map[string]string `yaml:"names"`
}

// Bounds of the configuration.
const (
	minSecret = 16
	maxSecret = 4096
	maxNames  = 10_000
)

// Validate names every setting that can't be used, by its path.
func (c *Config) Validate(at string) []error {
	var errs []error
	for i, e := range c.Environments {
		if _, err := path.Match(e, "x"); err != nil || e == "" {
			errs = append(errs, fmt.Errorf("%s.environments[%d]: %q is no pattern such as prod-*", at, i, e))
		}
	}
	if len(c.Names) > maxNames {
		errs = append(errs, fmt.Errorf("%s.names: has %d names, want at most %d", at, len(c.Names), maxNames))
	}
	for from, to := range c.Names {
		if _, err := name("names", to); err != nil {
			errs = append(errs, fmt.Errorf("%s.names: %.60q: want the name of a binary or service, got %.60q", at, from, to))
		}
	}
	return errs
}

// CheckFiles looks whether the files that are named hold what they should.
func (c *Config) CheckFiles(at string) []error {
	var errs []error
	for _, f := range []struct{ key, file string }{
		{"token_file", c.TokenFile}, {"github_secret_file", c.GitHubSecretFile}, {"flux_secret_file", c.FluxSecretFile},
	} {
		if _, err := secret(f.file); err != nil {
			errs = append(errs, fmt.Errorf("%s.%s: %w", at, f.key, err))
		}
	}
	return errs
}

// secret reads a secret of one line; nil for no file.
func secret(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	st, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxSecret {
		return nil, fmt.Errorf("%s isn't a regular file of at most %d bytes", file, maxSecret)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	b = []byte(strings.TrimSpace(string(b)))
	if len(b) < minSecret {
		return nil, fmt.Errorf("%s holds a secret of %d bytes, want at least %d", file, len(b), minSecret)
	}
	return b, nil
}

// Inbox reads messages. It is safe for concurrent use.
type Inbox struct {
	environments        []string
	names               map[string]string
	token, github, flux []byte
}

// New gives an inbox with the secrets that the files hold.
func New(c Config) (*Inbox, error) {
	if errs := slices.Concat(c.Validate("upgrades.inbox"), c.CheckFiles("upgrades.inbox")); len(errs) > 0 {
		return nil, fmt.Errorf("make the inbox: %w", errors.Join(errs...))
	}
	b := &Inbox{environments: c.Environments, names: c.Names}
	var errs [3]error
	b.token, errs[0] = secret(c.TokenFile)
	b.github, errs[1] = secret(c.GitHubSecretFile)
	b.flux, errs[2] = secret(c.FluxSecretFile)
	return b, errors.Join(errs[:]...)
}

// Message is one delivery.
type Message struct {
	// Sender is the sender's form, one of Senders; "" lets the message tell.
	Sender string
	Header http.Header
	Body   []byte
	// Now is when it was received.
	Now time.Time
}

// Report is what one event of a message says.
type Report struct {
	Upgrade detector.Upgrade `json:"upgrade,omitzero"`
	// Update is true for what makes no upgrade, but ends one that is known.
	Update bool `json:"update,omitempty"`
	// Ignored is why the event is no upgrade, "" when it is one.
	Ignored string `json:"ignored,omitempty"`
}

// senders are the forms that are understood, as in the paths of the inbox.
var senders = map[string]func(Message) ([]told, error){
	"argocd":    readArgoCD,
	"cdevents":  readCloudEvents,
	"flux":      readFlux,
	"github":    readGitHub,
	"pagerduty": readPagerDuty,
}

// Senders names the forms that are understood, in order.
func Senders() []string {
	out := make([]string, 0, len(senders))
	for s := range senders {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// Known says whether the form is understood.
func Known(sender string) bool { return senders[sender] != nil }

// maxEvents bounds the events of one message.
const maxEvents = 100

// Read gives what the message says, in its order. An error says what is wrong
// with the message, in one line that its sender may read; then nothing of it is
// taken.
func (b *Inbox) Read(m Message) ([]Report, error) {
	sender := m.Sender
	if sender == "" {
		sender = guess(m)
	}
	if !Known(sender) {
		return nil, fmt.Errorf("tell the sender: want one of %s in the path, or a message that shows it", strings.Join(Senders(), ", "))
	}
	all, err := senders[sender](m)
	if err != nil {
		return nil, fmt.Errorf("read the message of %s: %w", sender, err)
	}
	out := make([]Report, 0, len(all))
	for i, t := range all {
		r, err := b.report(sender, t, m.Now)
		if err != nil {
			if len(all) > 1 {
				return nil, fmt.Errorf("read the message of %s: event %d: %w", sender, i+1, err)
			}
			return nil, fmt.Errorf("read the message of %s: %w", sender, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// guess says which form a message has that came without a sender.
func guess(m Message) string {
	switch {
	case m.Header.Get("X-GitHub-Event") != "":
		return "github"
	case m.Header.Get("Gotk-Component") != "":
		return "flux"
	case m.Header.Get("Ce-Specversion") != "" || cloudEventType(m.Header) != "":
		return "cdevents"
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal(m.Body, &keys) != nil {
		return ""
	}
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return keys[n] == nil })
	}
	switch {
	case has("specversion", "type"), has("context", "subject"):
		return "cdevents"
	case has("involvedObject"):
		return "flux"
	case has("payload", "routing_key"):
		return "pagerduty"
	case has("app", "phase"):
		return "argocd"
	}
	return ""
}

// decode reads the JSON body of a message.
func decode(body []byte, v any) error {
	if len(strings.TrimSpace(string(body))) == 0 {
		return errors.New("the body is empty; send the JSON that docs/inbox.md shows")
	}
	err := json.Unmarshal(body, v)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return fmt.Errorf("the body isn't JSON from byte %d on: %s", syntax.Offset, syntax)
	case errors.As(err, &kind):
		return fmt.Errorf("%s: want %s, got %s", place(kind.Field), want(kind.Type.Kind().String()), kind.Value)
	}
	return fmt.Errorf("the body can't be read: %.200s", err)
}

func place(field string) string {
	if field == "" {
		return "the body"
	}
	return fmt.Sprintf("%.100s", field)
}

// want is a kind of Go's in the words of JSON.
func want(kind string) string {
	switch kind {
	case "struct", "map":
		return "an object"
	case "slice":
		return "a list"
	case "bool":
		return "true or false"
	case "int64":
		return "a whole number"
	}
	return "text"
}
