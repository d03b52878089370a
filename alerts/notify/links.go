package notify

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"aftershock/detector"
	"aftershock/detector/words"
)

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// placeholders are what a runbook's URL may hold of an alert.
func placeholders(a detector.Alert) map[string]string {
	binary := ""
	if a.Cause.Kind == detector.CauseBinary {
		binary = a.Cause.Name
	}
	return map[string]string{
		"{service}": a.Root.Indicator.Service(), "{binary}": binary, "{indicator}": string(a.Root.Indicator.Kind),
		"{cause}": a.Cause.Kind, "{upgrade}": a.Upgrade,
	}
}

// runbook is the URL with what it says of the alert put in, escaped.
func runbook(raw string, a detector.Alert) string {
	values := placeholders(a)
	return placeholder.ReplaceAllStringFunc(raw, func(name string) string {
		return strings.ReplaceAll(url.QueryEscape(words.Name(values[name])), "+", "%20")
	})
}

// CheckRunbook says what is wrong with a runbook's URL in the config.
func CheckRunbook(raw string) error {
	values := placeholders(detector.Alert{})
	for _, name := range placeholder.FindAllString(raw, -1) {
		if _, ok := values[name]; !ok {
			return fmt.Errorf("%.40s is none of {service}, {binary}, {indicator}, {cause}, {upgrade}", name)
		}
	}
	// Whatever an alert is about doesn't choose the host.
	bare, err := url.Parse(placeholder.ReplaceAllString(raw, "x"))
	other, again := url.Parse(placeholder.ReplaceAllString(raw, "y"))
	if err != nil || again != nil {
		return errors.New("is no URL")
	}
	if bare.Host != other.Host || bare.Scheme != other.Scheme {
		return errors.New("has a placeholder before its path")
	}
	return CheckURL(bare.String())
}

// plan leads to the console's plan of a toggle to the safe variant, or to the flag where
// none is known.
func (c *Composer) plan(flag, safe, upgrade string) string {
	at := strings.TrimRight(c.ExternalURL, "/") + "/flags/" + url.PathEscape(flag)
	if safe == "" {
		return at
	}
	q := url.Values{"variant": {safe}}
	if upgrade != "" {
		q.Set("upgrade", upgrade)
	}
	return at + "?" + q.Encode()
}

// maxKey bounds the keys that make usable links, in bytes.
const maxKey = 300

// page leads to the alert's page of the console, or is "" without an external URL.
func (c *Composer) page(key string) string {
	if c.ExternalURL == "" || len(key) > maxKey {
		return ""
	}
	return strings.TrimRight(c.ExternalURL, "/") + "/alerts/" + url.PathEscape(key)
}

// indicator leads to the page of the alert's first indicator, or is "".
func (c *Composer) indicator(a detector.Alert) string {
	if c.ExternalURL == "" || a.Upgrade == "" || len(a.Upgrade) > maxKey || a.Root.Indicator.Metric == "" {
		return ""
	}
	return strings.TrimRight(c.ExternalURL, "/") + "/upgrades/" + url.PathEscape(a.Upgrade) + "/indicators/" + a.Root.Indicator.ID()
}
