// Package mirror says where a staged copy isn't like production, and what that
// forbids a rehearsal on it to claim.
//
// Only what both sides tell is compared: a fact that one of them leaves out is
// unknown, and nothing is claimed of it.
package mirror

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of an inventory.
const (
	MaxSize  = 8 << 20 // bytes
	maxFacts = 200_000 // of one kind
)

// Mirror is what is known of one side: an inventory of what is installed and runs,
// and of its data. Sections that are nil are unknown.
type Mirror struct {
	OS            System            `yaml:"os"`
	Kernel        string            `yaml:"kernel"`
	Packages      []Package         `yaml:"packages"`
	Services      []Service         `yaml:"services"`
	Configuration map[string]string `yaml:"configuration"`
	Databases     []Database        `yaml:"databases"`
	ThirdParties  []ThirdParty      `yaml:"third_parties"`
}

// System is an operating system, "debian 12": as one text, or with its id and version, as
// aftershock inventory writes it.
type System string

// UnmarshalYAML reads either form.
func (s *System) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*s = System(n.Value)
		return nil
	}
	var parts struct{ ID, Version string }
	if err := n.Decode(&parts); err != nil {
		return err
	}
	*s = System(strings.TrimSpace(parts.ID + " " + parts.Version))
	return nil
}

// Package is an installed package.
type Package struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
}

// Service is a service that runs.
type Service struct {
	Service string `yaml:"service"`
	Version string `yaml:"version"`
}

// Database is a database with its tables.
type Database struct {
	Engine  string  `yaml:"engine"`
	Name    string  `yaml:"name"`
	Version string  `yaml:"version"`
	Tables  []Table `yaml:"tables"`
}

// Table is a table. Rows and Bytes are nil where they aren't known.
type Table struct {
	Name  string   `yaml:"name"`
	Rows  *float64 `yaml:"rows"`
	Bytes *float64 `yaml:"bytes"`
}

// ThirdParty is somebody else's service, and where it is called.
type ThirdParty struct {
	Name     string `yaml:"name"`
	Endpoint string `yaml:"endpoint"`
}

// Read reads an inventory from a YAML or JSON file of at most MaxSize bytes. Keys
// that aren't those of Mirror are passed over: an inventory may hold more.
func Read(path string) (Mirror, error) {
	f, err := os.Open(path)
	if err != nil {
		return Mirror{}, fmt.Errorf("read the inventory: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return Mirror{}, fmt.Errorf("read the inventory: %w", err)
	}
	m, err := Parse(data)
	if err != nil {
		return Mirror{}, fmt.Errorf("read the inventory %s: %w", path, err)
	}
	return m, nil
}

// Parse reads an inventory.
func Parse(data []byte) (Mirror, error) {
	var m Mirror
	if len(data) > MaxSize {
		return m, fmt.Errorf("larger than %d bytes", MaxSize)
	}
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&m); err != nil {
		if errors.Is(err, io.EOF) {
			return Mirror{}, errors.New("is empty")
		}
		return Mirror{}, errors.New(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n", "; "))
	}
	if len(m.Packages) > maxFacts || len(m.Services) > maxFacts || len(m.Configuration) > maxFacts || len(m.Databases) > maxFacts || len(m.ThirdParties) > maxFacts {
		return Mirror{}, fmt.Errorf("more than %d facts of one kind", maxFacts)
	}
	for i := range m.Databases {
		for _, t := range m.Databases[i].Tables {
			for _, x := range []*float64{t.Rows, t.Bytes} {
				if x != nil && !(*x >= 0 && *x < 1e18) {
					return Mirror{}, fmt.Errorf("databases[%d]: table %.80q: rows and bytes are numbers from 0 on", i, t.Name)
				}
			}
		}
	}
	if m.OS == "" && m.Kernel == "" && m.Packages == nil && m.Services == nil && m.Configuration == nil && m.Databases == nil && m.ThirdParties == nil {
		return Mirror{}, errors.New("has none of os, kernel, packages, services, configuration, databases, third_parties")
	}
	return m, nil
}

// UnmarshalYAML takes a name alone, too.
func (t *ThirdParty) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		t.Name = n.Value
		return nil
	}
	var parts struct{ Name, Endpoint, Host string }
	if err := n.Decode(&parts); err != nil {
		return err
	}
	t.Name, t.Endpoint = parts.Name, cmp.Or(parts.Endpoint, parts.Host) // an inventory says host
	return nil
}
