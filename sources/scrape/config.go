package scrape

import (
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Limits that the configuration can't lift.
const (
	// maxTargets bounds the targets of all lists together.
	maxTargets = 10_000
	// maxFileSize bounds one file of targets, in bytes.
	maxFileSize = 16 << 20
	// maxNativeBuckets is the number of buckets of one native histogram above
	// which its resolution is halved until it fits.
	maxNativeBuckets = 1000
)

// Config says what is scraped, how often and what is kept. The zero value with
// SetDefaults scrapes nothing.
type Config struct {
	// Interval is the time between two scrapes of a target, Timeout how long
	// one may take: at most the interval.
	Interval model.Duration `yaml:"interval"`
	Timeout  model.Duration `yaml:"timeout"`
	// Job is the label job of targets that don't set it themselves.
	Job string `yaml:"job"`
	// Targets are fixed lists of targets.
	Targets []Group `yaml:"targets"`
	// Files are files of target lists in the format of Prometheus' file_sd
	// (JSON or YAML); the last part of a path may be a pattern (targets/*.json).
	// They are read again when they change.
	Files []string `yaml:"files"`
	// Retention is how long samples are kept.
	Retention model.Duration `yaml:"retention"`
	// Scheme (http or https) and MetricsPath make the address of a target,
	// unless its labels __scheme__ and __metrics_path__ say otherwise.
	Scheme      string `yaml:"scheme"`
	MetricsPath string `yaml:"metrics_path"`
	// HTTPClient holds TLS, credentials, headers and proxy.
	HTTPClient config.HTTPClientConfig `yaml:"http_client"`
	// NativeHistograms asks targets for protobuf, which carries native
	// histograms and start times; nil means true. Classic buckets are kept
	// beside the native ones.
	NativeHistograms *bool `yaml:"native_histograms"`
	// BodySizeLimit bounds one answer after decompression, SampleLimit its
	// samples, SeriesLimit the series of all targets that are held in memory
	// (the last two to three hours').
	BodySizeLimit units.Base2Bytes `yaml:"body_size_limit"`
	SampleLimit   int              `yaml:"sample_limit"`
	SeriesLimit   int              `yaml:"series_limit"`
	// LabelLimits bound the labels of each series, the target's own included.
	LabelLimits LabelLimits `yaml:"label_limits"`
	// MinFree is the room on the disk below which nothing more is stored.
	MinFree units.Base2Bytes `yaml:"min_free"`
}

// Group is a list of targets that share labels.
type Group struct {
	// Targets are addresses, host:port.
	Targets []string `yaml:"targets" json:"targets"`
	// Labels are put on every series of the targets. Names that begin with __
	// aren't stored: __scheme__, __metrics_path__ and __param_NAME say how the
	// target is asked.
	Labels map[string]string `yaml:"labels" json:"labels"`
}

// LabelLimits bound one series' labels: their number, and the length in bytes
// of names and values.
type LabelLimits struct {
	Count       int `yaml:"count"`
	NameLength  int `yaml:"name_length"`
	ValueLength int `yaml:"value_length"`
}

// SetDefaults fills what is not set.
func (c *Config) SetDefaults() {
	setDefault(&c.Interval, model.Duration(15*time.Second))
	setDefault(&c.Timeout, min(c.Interval, model.Duration(10*time.Second)))
	setDefault(&c.Job, "aftershock")
	setDefault(&c.Retention, model.Duration(15*24*time.Hour))
	setDefault(&c.Scheme, "http")
	setDefault(&c.MetricsPath, "/metrics")
	setDefault(&c.BodySizeLimit, 32*units.MiB)
	setDefault(&c.SampleLimit, 200_000)
	setDefault(&c.SeriesLimit, 1_000_000)
	setDefault(&c.LabelLimits.Count, 64)
	setDefault(&c.LabelLimits.NameLength, 512)
	setDefault(&c.LabelLimits.ValueLength, 4096)
	setDefault(&c.MinFree, 64*units.MiB)
	if c.NativeHistograms == nil {
		c.NativeHistograms = new(true)
	}
	if reflect.DeepEqual(c.HTTPClient, config.HTTPClientConfig{}) {
		c.HTTPClient = config.DefaultHTTPClientConfig
	}
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate reports all that is wrong with c after SetDefaults; each error names
// its YAML path, which begins with path.
func (c *Config) Validate(path string) []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", path, field, fmt.Sprintf(format, args...)))
	}
	if c.Interval < model.Duration(100*time.Millisecond) {
		bad("interval", "is %s, must be at least 100ms", c.Interval)
	}
	if c.Timeout <= 0 || c.Timeout > c.Interval {
		bad("timeout", "is %s, must be above 0 and at most the interval (%s)", c.Timeout, c.Interval)
	}
	if c.Retention < model.Duration(time.Minute) {
		bad("retention", "is %s, must be at least 1m", c.Retention)
	}
	if c.Scheme != "http" && c.Scheme != "https" {
		bad("scheme", "is %q, must be http or https", c.Scheme)
	}
	if !validPath(c.MetricsPath) {
		bad("metrics_path", "is %q, must be a URL's path that begins with /", c.MetricsPath)
	}
	for _, n := range []struct {
		field string
		value int64
	}{
		{"body_size_limit", int64(c.BodySizeLimit)},
		{"sample_limit", int64(c.SampleLimit)},
		{"series_limit", int64(c.SeriesLimit)},
		{"label_limits.count", int64(c.LabelLimits.Count)},
		{"label_limits.name_length", int64(c.LabelLimits.NameLength)},
		{"label_limits.value_length", int64(c.LabelLimits.ValueLength)},
		{"min_free", int64(c.MinFree)},
	} {
		if n.value < 0 {
			bad(n.field, "is %d, must not be negative", n.value)
		}
	}
	if err := c.HTTPClient.Validate(); err != nil {
		bad("http_client", "%v", err)
	}
	for i, g := range c.Targets {
		for _, err := range g.validate() {
			errs = append(errs, fmt.Errorf("%s.targets[%d].%w", path, i, err))
		}
	}
	for i, f := range c.Files {
		if err := validatePattern(f); err != nil {
			bad(fmt.Sprintf("files[%d]", i), "%v", err)
		}
	}
	if len(c.Targets) == 0 && len(c.Files) == 0 {
		bad("targets", "is empty, and so is files: give at least one target to scrape")
	}
	return errs
}

// validatePattern says what is wrong with the path or pattern of a target file.
func validatePattern(f string) error {
	switch strings.ToLower(filepath.Ext(f)) {
	case ".json", ".yml", ".yaml":
	default:
		return fmt.Errorf("is %q, must end in .json, .yml or .yaml", f)
	}
	if strings.ContainsAny(filepath.Dir(f), "*?[") {
		return fmt.Errorf("is %q, only the last part of the path may be a pattern", f)
	}
	if _, err := filepath.Match(filepath.Base(f), ""); err != nil {
		return fmt.Errorf("is %q, not a valid pattern: %w", f, err)
	}
	return nil
}

// validate says what is wrong with the group, each error beginning with the
// field's path inside of the group.
func (g *Group) validate() []error {
	var errs []error
	if len(g.Targets) == 0 {
		errs = append(errs, fmt.Errorf("targets: is empty, give at least one host:port"))
	}
	for i, t := range g.Targets {
		if err := validateAddress(t); err != nil {
			errs = append(errs, fmt.Errorf("targets[%d]: %w", i, err))
		}
	}
	for n, v := range g.Labels {
		if !model.LegacyValidation.IsValidLabelName(n) {
			errs = append(errs, fmt.Errorf("labels.%s: is not a label name ([a-zA-Z_][a-zA-Z0-9_]*)", clip(n)))
		}
		if !model.LabelValue(v).IsValid() {
			errs = append(errs, fmt.Errorf("labels.%s: value is not valid UTF-8", clip(n)))
		}
		switch {
		case n == model.SchemeLabel && v != "http" && v != "https":
			errs = append(errs, fmt.Errorf("labels.%s: is %q, must be http or https", n, clip(v)))
		case n == model.MetricsPathLabel && !validPath(v):
			errs = append(errs, fmt.Errorf("labels.%s: is %q, must be a URL's path that begins with /", n, clip(v)))
		case n == model.MetricNameLabel || n == model.AddressLabel:
			errs = append(errs, fmt.Errorf("labels.%s: can't be set for a target", n))
		}
	}
	return errs
}

// validateAddress says what is wrong with the host:port of a target.
func validateAddress(a string) error {
	switch {
	case a == "":
		return fmt.Errorf("is empty, give host:port")
	case len(a) > 512:
		return fmt.Errorf("is %d bytes long (%q…), give host:port", len(a), clip(a))
	case strings.Contains(a, "://"):
		return fmt.Errorf("is %q, give host:port alone and set scheme and metrics_path", clip(a))
	case strings.ContainsAny(a, "/?#@ \t\r\n"):
		return fmt.Errorf("is %q, give host:port alone", clip(a))
	}
	if u, err := url.Parse("http://" + a + "/"); err != nil || u.Host != a {
		return fmt.Errorf("is %q, not a valid host:port", clip(a))
	}
	return nil
}

// validPath says whether p is the path of a URL, perhaps with a query.
func validPath(p string) bool {
	_, err := url.Parse("http://h" + p)
	return err == nil && strings.HasPrefix(p, "/")
}

// clip shortens what came from outside for a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
