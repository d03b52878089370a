// Package upgrades learns of upgrades: from records that people and pipelines
// write (ParseRecord, Watcher), from what deployment tools tell (package inbox)
// and package managers log (package packages), and from the build information in
// the telemetry itself (Detector). The Ledger makes one upgrade of several
// reports of one change.
//
// It promises that what it says depends on its input alone: the same frames and
// records give the same upgrades under the same IDs, whatever the order of the
// builds within a frame and however often the daemon was restarted between two
// frames, as long as the detector's state is saved and restored.
package upgrades

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"aftershock/upgrades/files"
	"aftershock/upgrades/inbox"
	"aftershock/upgrades/packages"
)

const (
	// DefaultSettle is how long after the last switch an upgrade is over.
	DefaultSettle = 30 * time.Minute
	// maxSettle keeps two upgrades a week apart from being one.
	maxSettle = 7 * 24 * time.Hour
)

// Config is the section "upgrades" of the configuration.
type Config struct {
	// Detect says whether upgrades are found in the telemetry.
	Detect bool `yaml:"detect"`
	// Settle is how long nothing may switch until an upgrade is over. What
	// switches before belongs to the same upgrade.
	Settle model.Duration `yaml:"settle"`
	// Records is a directory of upgrade records, "" for none.
	Records string `yaml:"records"`
	// Inbox is how deployment tools tell of changes over HTTP.
	Inbox inbox.Config `yaml:"inbox"`
	// Packages is how the logs of dpkg and apt on this machine are read.
	Packages packages.Config `yaml:"packages"`
	// Files is where binaries are installed on this machine, so that it is told what
	// changed inside them.
	Files files.Config `yaml:"files"`
}

// SetDefaults sets what holds for keys that are left out. It is called before
// the configuration is decoded over it.
func (c *Config) SetDefaults() {
	c.Detect = true
	c.Settle = model.Duration(DefaultSettle)
	c.Packages.SetDefaults()
}

// Validate gives every problem of the section, each with its YAML path.
func (c *Config) Validate(path string) []error {
	errs := slices.Concat(c.Inbox.Validate(path+".inbox"), c.Packages.Validate(path+".packages"), c.Files.Validate(path+".files"))
	if s := time.Duration(c.Settle); s <= 0 || s > maxSettle {
		errs = append(errs, fmt.Errorf("%s.settle: want more than 0 and at most 7d, got %s", path, c.Settle))
	}
	return errs
}

// CheckFiles looks whether the files that the section names can be used.
func (c *Config) CheckFiles(path string) []error { return c.Inbox.CheckFiles(path + ".inbox") }
