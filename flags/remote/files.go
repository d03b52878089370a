package remote

import (
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/common/config"
)

// CheckFiles opens the files that hold the token, passwords and certificates and
// says which can't be used, each with its place under path. It makes no request.
func (h *HTTP) CheckFiles(path string) []error {
	var errs []error
	if h.TokenFile != "" {
		if _, err := readToken(h.TokenFile); err != nil {
			errs = append(errs, fmt.Errorf("%s.token_file: %w; put the token into it, for the daemon to read", path, err))
		}
	}
	if h.Client == nil {
		return errs
	}
	sound := true
	for _, f := range clientFiles(h.Client) {
		if err := readable(f.path); err != nil {
			sound = false
			errs = append(errs, fmt.Errorf("%s.http_client.%s: %w; put it there, for the daemon to read", path, f.key, err))
		}
	}
	if !sound {
		return errs // what follows would say it again
	}
	c, err := config.NewClientFromConfig(*h.Client, "flags")
	if err != nil {
		return append(errs, fmt.Errorf("%s.http_client: %w; put a certificate and its key there in PEM form", path, err))
	}
	c.CloseIdleConnections()
	return errs
}

// clientFile is a file that the settings of an HTTP client name under key.
type clientFile struct{ key, path string }

// clientFiles are those that are named.
func clientFiles(c *config.HTTPClientConfig) []clientFile {
	all := []clientFile{
		{"tls_config.ca_file", c.TLSConfig.CAFile},
		{"tls_config.cert_file", c.TLSConfig.CertFile},
		{"tls_config.key_file", c.TLSConfig.KeyFile},
		{"bearer_token_file", c.BearerTokenFile},
	}
	if b := c.BasicAuth; b != nil {
		all = append(all, clientFile{"basic_auth.username_file", b.UsernameFile}, clientFile{"basic_auth.password_file", b.PasswordFile})
	}
	if a := c.Authorization; a != nil {
		all = append(all, clientFile{"authorization.credentials_file", a.CredentialsFile})
	}
	if o := c.OAuth2; o != nil {
		all = append(all,
			clientFile{"oauth2.client_secret_file", o.ClientSecretFile},
			clientFile{"oauth2.client_certificate_key_file", o.ClientCertificateKeyFile},
			clientFile{"oauth2.tls_config.ca_file", o.TLSConfig.CAFile},
			clientFile{"oauth2.tls_config.cert_file", o.TLSConfig.CertFile},
			clientFile{"oauth2.tls_config.key_file", o.TLSConfig.KeyFile},
		)
	}
	if h := c.HTTPHeaders; h != nil {
		for name, header := range h.Headers {
			for _, path := range header.Files {
				all = append(all, clientFile{"http_headers." + name + ".files", path})
			}
		}
	}
	named := all[:0]
	for _, f := range all {
		if f.path != "" {
			named = append(named, f)
		}
	}
	return named
}

// readable says why a file can't be read, nil if it can.
func readable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	// A pipe that nobody writes to would hold up the check for ever.
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// readToken reads a file with one token in it.
func readToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxToken {
		return "", fmt.Errorf("%s is no regular file of at most %d bytes", path, maxToken)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsAny(token, "\r\n\x00") {
		return "", fmt.Errorf("%s doesn't hold one line of text", path)
	}
	return token, nil
}
