package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/prometheus/common/config"

	"aftershock/flags/remote"
)

// Where a pod finds what it needs to speak to its cluster.
const (
	inCluster     = "https://kubernetes.default.svc"
	accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount/"
)

// Config names a FeatureFlag resource.
type Config struct {
	// URL is the API server; the cluster that the daemon runs in if "", with the
	// token and the CA of its service account.
	URL       string `yaml:"url"`
	Namespace string `yaml:"namespace"`
	// Resource is the resource's name.
	Resource    string `yaml:"resource"`
	remote.HTTP `yaml:",inline"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	c.HTTP.SetDefaults()
	if c.URL != "" {
		return
	}
	c.URL = inCluster
	if c.TokenFile == "" {
		c.TokenFile = accountFolder + "token"
	}
	if ca := accountFolder + "ca.crt"; c.Client == nil {
		client := config.DefaultHTTPClientConfig
		if _, err := os.Stat(ca); err == nil {
			client.TLSConfig.CAFile = ca
		}
		c.Client = &client
	}
}

// Stray says whether the settings ask for the service account of a pod, and there is
// none. The defaults must be set.
func (c *Config) Stray() bool {
	_, err := os.Stat(c.TokenFile)
	return c.URL == inCluster && c.TokenFile == accountFolder+"token" && errors.Is(err, os.ErrNotExist)
}

var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// Validate names each problem with its path in the configuration.
func (c *Config) Validate(path string) []error {
	errs := c.HTTP.Validate(path)
	if err := remote.CheckURL(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("%s.url: %w", path, err))
	}
	for field, name := range map[string]string{"namespace": c.Namespace, "resource": c.Resource} {
		if !dnsName.MatchString(name) {
			errs = append(errs, fmt.Errorf("%s.%s: %q is no name that Kubernetes allows", path, field, name))
		}
	}
	return errs
}

// Abilities is what FeatureFlag resources can do.
func Abilities() remote.Abilities {
	return remote.Abilities{Variant: true, Value: true, CompareAndSwap: true, DryRun: true}
}
