package mail

import (
	"fmt"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"aftershock/alerts/notify"
)

// Config is a mail server and whom it is to reach.
type Config struct {
	// Smarthost is the server as HOST:PORT.
	Smarthost string `yaml:"smarthost"`
	// From and To are addresses, with or without names.
	From string   `yaml:"from"`
	To   []string `yaml:"to"`
	// Hello is how we present ourselves; the host's name unless it is given.
	Hello string `yaml:"hello"`
	// Username signs in, with the password that may stand in a file; without one,
	// nobody signs in. Mechanism is plain, login or cram-md5; empty, the first of
	// these, or another, that the server knows.
	Username     string        `yaml:"auth_username"`
	Password     config.Secret `yaml:"auth_password"`
	PasswordFile string        `yaml:"auth_password_file"`
	Mechanism    string        `yaml:"auth_mechanism"`
	// RequireTLS is on unless it is turned off: then a server without STARTTLS gets
	// the mail in clear text, but never a password.
	RequireTLS *bool `yaml:"require_tls"`
	// ImplicitTLS is TLS from the start, as port 465 has it unless this says
	// otherwise; any other server is asked for STARTTLS.
	ImplicitTLS *bool             `yaml:"force_implicit_tls"`
	TLS         *config.TLSConfig `yaml:"tls_config"`
	Timeout     time.Duration     `yaml:"timeout"` // of one delivery
}

// SetDefaults sets the time limit, and requires TLS.
func (c *Config) SetDefaults() {
	if c.RequireTLS == nil {
		required := true
		c.RequireTLS = &required
	}
	if c.ImplicitTLS == nil {
		implicit := strings.HasSuffix(c.Smarthost, ":465")
		c.ImplicitTLS = &implicit
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
}

// Bounds of a config.
const (
	maxTo      = 50
	maxAddress = 320 // bytes; no name needs more
)

var hello = regexp.MustCompile(`^[a-zA-Z0-9.:\[\]-]{1,255}$`)

// Validate names each problem with its path.
func (c *Config) Validate(path string) []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %w", path, field, fmt.Errorf(format, args...)))
	}
	if host, port, err := net.SplitHostPort(c.Smarthost); err != nil || host == "" || port == "" {
		bad("smarthost", "needs the form HOST:PORT")
	}
	if !address(c.From) {
		bad("from", "is no mail address")
	}
	if len(c.To) == 0 || len(c.To) > maxTo {
		bad("to", "has %d addresses, needs 1 to %d", len(c.To), maxTo)
	}
	for n, a := range c.To {
		if !address(a) {
			bad(fmt.Sprintf("to[%d]", n), "is no mail address")
		}
	}
	if c.Hello != "" && !hello.MatchString(c.Hello) {
		bad("hello", "is no host's name")
	}
	switch {
	case c.Username != "":
		errs = append(errs, c.password().Check(path, "auth_password")...)
	case c.password().Set() || c.Mechanism != "":
		bad("auth_username", "is missing, though there is something to sign in with")
	}
	if _, ok := mechanisms[c.Mechanism]; !ok {
		bad("auth_mechanism", "%q is none of plain, login, cram-md5", c.Mechanism)
	}
	if c.Timeout <= 0 || c.Timeout > time.Minute {
		bad("timeout", "%s is not in 0s..1m", c.Timeout)
	}
	if c.TLS != nil {
		if err := c.TLS.Validate(); err != nil {
			bad("tls_config", "%w", err)
		}
	}
	return errs
}

func address(s string) bool {
	_, err := mail.ParseAddress(s)
	return err == nil && len(s) <= maxAddress
}

// Files are the paths in it, to be made absolute.
func (c *Config) Files() []*string { return []*string{&c.PasswordFile} }

func (c *Config) password() notify.Secret {
	return notify.Secret{Value: c.Password, File: c.PasswordFile}
}
