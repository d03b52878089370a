package configs

import (
	"path/filepath"
	"reflect"

	promconfig "github.com/prometheus/common/config"
)

// resolve makes the file's relative paths start at its directory.
func (c *Config) resolve(dir string) {
	paths := []*string{
		&c.Data, &c.Upgrades.Records, &c.Flags.Definitions, &c.Flags.ClientKeyFile, &c.Reports.Dir, &c.Reports.Weekly.Dir, &c.Web.ConfigFile, &c.Web.Access.TokensFile,
		&c.Upgrades.Inbox.TokenFile, &c.Upgrades.Inbox.GitHubSecretFile, &c.Upgrades.Inbox.FluxSecretFile,
		&c.Upgrades.Packages.DpkgLog, &c.Upgrades.Packages.AptHistory,
	}
	if s := c.Sources.TSDB; s != nil {
		paths = append(paths, &s.Path)
	}
	if s := c.Sources.OpenMetrics; s != nil {
		paths = append(paths, &s.Path)
	}
	if s := c.Sources.Scrape; s != nil {
		for i := range s.Files {
			paths = append(paths, &s.Files[i])
		}
	}
	paths = append(paths, c.Alerts.Files()...)
	paths = append(paths, c.Flags.Backends.Files()...)
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	setDirectory(reflect.ValueOf(c).Elem(), dir)
}

// setDirectory does the same for the settings of HTTP clients, wherever they
// are: certificates, keys, passwords, tokens and headers may be in files.
func setDirectory(v reflect.Value, dir string) {
	if v.CanAddr() {
		if s, ok := v.Addr().Interface().(promconfig.DirectorySetter); ok {
			s.SetDirectory(dir)
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			setDirectory(v.Elem(), dir)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				setDirectory(v.Field(i), dir)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			setDirectory(v.Index(i), dir)
		}
	}
}
