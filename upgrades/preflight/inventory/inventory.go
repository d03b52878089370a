// Package inventory knows what is installed on hosts and what runs there: it takes
// an inventory, writes and reads it, and holds an upgrade to it with a matrix of
// upgrade paths and one of which versions go together.
//
// An inventory says what was seen. What it doesn't have isn't known: nothing is claimed
// of it.
package inventory

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/upgrades/preflight/document"
	"aftershock/upgrades/preflight/version"

	"go.yaml.in/yaml/v3"
)

// MaxSize is the size of the largest inventory that is read, in bytes.
const MaxSize = 4 << 20

// Inventory is what is installed and runs on one or several hosts of one kind.
type Inventory struct {
	// TakenAt is when it was taken, zero where nobody said so.
	TakenAt time.Time `json:"taken_at,omitzero" yaml:"taken_at,omitempty"`
	Hosts   []string  `json:"hosts,omitempty" yaml:"hosts,omitempty"`
	// TimeZone is an IANA name, "Europe/Berlin".
	TimeZone string `json:"time_zone,omitempty" yaml:"time_zone,omitempty"`
	OS       OS     `json:"os,omitzero" yaml:"os,omitempty"`
	// Kernel is its release, "6.1.0-18-amd64"; Machine what it runs on, "x86_64".
	Kernel  string `json:"kernel,omitempty" yaml:"kernel,omitempty"`
	Machine string `json:"machine,omitempty" yaml:"machine,omitempty"`

	Disks     []Disk    `json:"disks,omitempty" yaml:"disks,omitempty"`
	Packages  []Package `json:"packages,omitempty" yaml:"packages,omitempty"`
	Services  []Service `json:"services,omitempty" yaml:"services,omitempty"`
	Files     []File    `json:"files,omitempty" yaml:"files,omitempty"`
	Processes []Process `json:"processes,omitempty" yaml:"processes,omitempty"`
	Units     []Unit    `json:"units,omitempty" yaml:"units,omitempty"`

	// RetiredHosts are names that nothing may talk to any more.
	RetiredHosts []string `json:"retired_hosts,omitempty" yaml:"retired_hosts,omitempty"`
	// ConfigurationRoots are directories of live configuration, "/etc/dten".
	ConfigurationRoots []string     `json:"configuration_roots,omitempty" yaml:"configuration_roots,omitempty"`
	Databases          []Database   `json:"databases,omitempty" yaml:"databases,omitempty"`
	ThirdParties       []ThirdParty `json:"third_parties,omitempty" yaml:"third_parties,omitempty"`
	// Notes say what couldn't be taken, and why.
	Notes []string `json:"notes,omitempty" yaml:"notes,omitempty"`
}

// OS is an operating system as os-release(5) has it: debian, 12, "Debian GNU/Linux 12".
type OS struct {
	ID      string `json:"id,omitempty" yaml:"id,omitempty"`
	Version string `json:"version,omitempty" yaml:"version,omitempty"`
	Name    string `json:"name,omitempty" yaml:"name,omitempty"`
}

// Disk is a file system; Free is what ordinary users may use, both in bytes.
type Disk struct {
	Path string `json:"path" yaml:"path"`
	Free int64  `json:"free" yaml:"free"`
	Size int64  `json:"size,omitempty" yaml:"size,omitempty"`
}

// Package is an installed package.
type Package struct {
	Name    string `json:"name" yaml:"name"`
	Version string `json:"version,omitempty" yaml:"version,omitempty"`
	// Source is who knows it: dpkg, rpm, or another name for versions that are
	// semantic.
	Source string `json:"source,omitempty" yaml:"source,omitempty"`
	// Provides are other names that it stands for, with the version where it has one:
	// "lsb-base (= 11.6)".
	Provides []string `json:"provides,omitempty" yaml:"provides,omitempty"`
}

// Service is one build of a service that runs.
type Service struct {
	Service  string `json:"service" yaml:"service"`
	Version  string `json:"version,omitempty" yaml:"version,omitempty"`
	Revision string `json:"revision,omitempty" yaml:"revision,omitempty"`
	// Binary is the program, where its metric names it otherwise than the service.
	Binary    string   `json:"binary,omitempty" yaml:"binary,omitempty"`
	Instances []string `json:"instances,omitempty" yaml:"instances,omitempty"`
}

// File is a file on disk. SHA256 is hex.
type File struct {
	Path     string    `json:"path" yaml:"path"`
	SHA256   string    `json:"sha256,omitempty" yaml:"sha256,omitempty"`
	Version  string    `json:"version,omitempty" yaml:"version,omitempty"`
	BuildID  string    `json:"build_id,omitempty" yaml:"build_id,omitempty"`
	Modified time.Time `json:"modified,omitzero" yaml:"modified,omitempty"`
}

// Process is a program that runs.
type Process struct {
	PID     int       `json:"pid,omitempty" yaml:"pid,omitempty"`
	Exe     string    `json:"exe" yaml:"exe"`
	Version string    `json:"version,omitempty" yaml:"version,omitempty"`
	Started time.Time `json:"started,omitzero" yaml:"started,omitempty"`
	// Deleted says that the file was replaced or deleted since the process began: it
	// runs an old build.
	Deleted bool `json:"deleted,omitempty" yaml:"deleted,omitempty"`
}

// States of units.
const (
	UnitEnabled  = "enabled"
	UnitDisabled = "disabled" // could be enabled
	UnitStatic   = "static"   // has no [Install] section
	UnitMasked   = "masked"
	UnitAlias    = "alias" // another name of a unit
)

// Unit is a unit of systemd.
type Unit struct {
	Name  string `json:"name" yaml:"name"`
	State string `json:"state,omitempty" yaml:"state,omitempty"`
}

// Database is a database server or database.
type Database struct {
	Name    string  `json:"name,omitempty" yaml:"name,omitempty"`
	Engine  string  `json:"engine" yaml:"engine"`
	Version string  `json:"version,omitempty" yaml:"version,omitempty"`
	Tables  []Table `json:"tables,omitempty" yaml:"tables,omitempty"`
}

// Table is a table with its size, indexes included, in bytes; nil for what isn't known. An
// empty one has no rows and no bytes.
type Table struct {
	Name  string `json:"name" yaml:"name"`
	Rows  *int64 `json:"rows,omitempty" yaml:"rows,omitempty"`
	Bytes *int64 `json:"bytes,omitempty" yaml:"bytes,omitempty"`
}

// ThirdParty is somebody else's service that is called.
type ThirdParty struct {
	Name string `json:"name" yaml:"name"`
	Host string `json:"host,omitempty" yaml:"host,omitempty"`
}

// Read reads the inventory in a file.
func Read(file string) (Inventory, error) {
	data, err := load(file, MaxSize)
	if err != nil {
		return Inventory{}, fmt.Errorf("read inventory: %w", err)
	}
	inv, err := Parse(data)
	if err != nil {
		return Inventory{}, fmt.Errorf("read inventory %s: %w", file, err)
	}
	return inv, nil
}

// load reads a regular file of at most limit bytes.
func load(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", file, limit)
	}
	return data, err
}

// Parse reads an inventory, YAML or JSON, of at most MaxSize bytes. The error is one line
// that names each problem with its line: unknown and doubled fields, values of another
// type, entries without a name.
func Parse(data []byte) (Inventory, error) {
	var inv Inventory
	if err := document.Read(data, MaxSize, &inv); err != nil {
		return Inventory{}, err
	}
	if err := inv.check(); err != nil {
		return Inventory{}, err
	}
	return inv, nil
}

func (inv Inventory) check() error {
	for i, p := range inv.Packages {
		if p.Name == "" {
			return fmt.Errorf("packages[%d]: has no name", i)
		}
	}
	for i, s := range inv.Services {
		if s.Service == "" {
			return fmt.Errorf("services[%d]: has no service", i)
		}
	}
	for i, f := range inv.Files {
		if !path.IsAbs(f.Path) {
			return fmt.Errorf("files[%d]: %.60q is no absolute path", i, f.Path)
		}
	}
	for i, u := range inv.Units {
		if u.Name == "" {
			return fmt.Errorf("units[%d]: has no name", i)
		}
	}
	if inv.TimeZone != "" {
		if _, err := time.LoadLocation(inv.TimeZone); err != nil {
			return fmt.Errorf("time_zone: %.60q isn't known", inv.TimeZone)
		}
	}
	return nil
}

// Text is the inventory as JSON or YAML. The error says that it is larger than what is
// read.
func (inv Inventory) Text(asJSON bool) (data []byte, err error) {
	if asJSON {
		data, err = json.MarshalIndent(inv, "", "  ")
		data = append(data, '\n')
	} else {
		data, err = yaml.Marshal(inv)
	}
	if err == nil && len(data) > MaxSize {
		err = fmt.Errorf("it has %d bytes, more than %d that are read: leave out files or processes", len(data), MaxSize)
	}
	return data, err
}

// Write writes the inventory to a file, which appears as a whole: JSON where its name ends
// in .json, else YAML.
func (inv Inventory) Write(file string) error {
	data, err := inv.Text(strings.EqualFold(filepath.Ext(file), ".json"))
	if err != nil {
		return fmt.Errorf("write inventory: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".inventory-*")
	if err != nil {
		return fmt.Errorf("write inventory: %w", err)
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write inventory: %w", err)
	}
	return nil
}

// Found is a version of something that the inventory has.
type Found struct {
	// Kind is package, service, file, process, database, os or kernel.
	Kind    string
	Version string
	// Source is that of a package.
	Source string
	// Instances are those of a service.
	Instances []string
	// Replaced says that it only runs: its file was replaced or deleted since.
	Replaced bool
}

// Scheme is the world of its version: dpkg's and rpm's for packages of theirs, else
// semantic.
func (f Found) Scheme() version.Scheme {
	switch f.Source {
	case "dpkg":
		return version.Debian
	case "rpm":
		return version.RPM
	}
	return version.Semver
}

// Find gives what the inventory has of a name: packages (also by what they provide), then
// services, programs on disk and running ones, databases by engine, the operating system by its
// ID, and kernel or linux. A database isn't found by its name, which is often the product's: the version is the
// server's. Nothing found doesn't mean that there is nothing.
func (inv Inventory) Find(name string) []Found {
	var found []Found
	for _, p := range inv.Packages {
		if bare, _, _ := strings.Cut(p.Name, ":"); bare == name || p.Name == name {
			found = append(found, Found{Kind: "package", Version: p.Version, Source: p.Source})
			continue
		}
		for _, other := range p.Provides {
			if v, ok := providedAs(other, name); ok {
				found = append(found, Found{Kind: "package", Version: v, Source: p.Source})
			}
		}
	}
	if len(found) > 0 {
		return found
	}
	found = inv.Running(name)
	for _, f := range inv.Files {
		if same(path.Base(f.Path), name) {
			found = append(found, Found{Kind: "file", Version: told(f.Version)})
		}
	}
	for _, d := range inv.Databases {
		if Engine(d.Engine) == Engine(name) {
			found = append(found, Found{Kind: "database", Version: d.Version})
		}
	}
	switch {
	case (name == "kernel" || name == "linux") && inv.Kernel != "":
		found = append(found, Found{Kind: "kernel", Version: bareKernel(inv.Kernel)})
	case inv.OS.ID != "" && inv.OS.ID == name:
		found = append(found, Found{Kind: "os", Version: inv.OS.Version})
	}
	return found
}

// providedAs gives the version of "name (= version)", "" where it has none.
func providedAs(provided, name string) (v string, ok bool) {
	rest, ok := strings.CutPrefix(provided, name)
	if !ok || rest != "" && rest[0] != ' ' {
		return "", false
	}
	return strings.Trim(rest, " (=)"), true
}

// Running gives the versions of a service or program that run, each once.
func (inv Inventory) Running(name string) []Found {
	var found []Found
	for _, s := range inv.Services {
		if same(s.Service, name) || s.Binary != "" && same(s.Binary, name) {
			found = append(found, Found{Kind: "service", Version: told(s.Version), Instances: s.Instances})
		}
	}
	for _, p := range inv.Processes {
		v := told(p.Version)
		if !same(path.Base(p.Exe), name) || slices.ContainsFunc(found, func(f Found) bool { return f.Version == v || v == "" }) {
			continue
		}
		found = append(found, Found{Kind: "process", Version: v, Replaced: p.Deleted})
	}
	return found
}

// untagged matches what Go calls a build of a commit before any tag: it tells no version.
var untagged = regexp.MustCompile(`^v?0\.0\.0-(?:.*\.)?\d{14}-[0-9a-f]{12}`)

// told is the version that a build tells of itself, without the v that Go puts before it; ""
// where it tells none.
func told(v string) string {
	if unknown(v) || untagged.MatchString(v) {
		return ""
	}
	if len(v) > 1 && v[0] == 'v' && v[1] >= '0' && v[1] <= '9' {
		return v[1:]
	}
	return v
}

// same says whether two names are of one thing.
func same(a, b string) bool { return detector.SameBinary(a, b) }

// Engine gives the name that inventories have for a database engine.
func Engine(name string) string {
	switch n := strings.ToLower(name); n {
	case "postgres", "pg":
		return "postgresql"
	default:
		return n
	}
}

// bareKernel is a kernel's version without what its packager appended.
func bareKernel(release string) string {
	v, _, _ := strings.Cut(release, "-")
	return v
}
