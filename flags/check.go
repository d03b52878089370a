package flags

import (
	"fmt"
	"maps"
	"slices"

	"aftershock/flags/definitions"
)

// CheckFiles reads the files of keys and definitions and names what would go wrong
// with them in the night: a file that can't be read, a flag that can't be used, a
// gate whose flag or safe variant isn't declared. path is where the section stands in the
// configuration.
func (c *Config) CheckFiles(path string) []error {
	var errs []error
	if _, err := readKeys(c.ClientKeyFile); err != nil {
		errs = append(errs, fmt.Errorf("%s.client_key_file: %w", path, err))
	}
	if c.Definitions == "" {
		return errs // the gates' flags may be in the journal
	}
	b, err := readFile(c.Definitions, maxFile)
	if err != nil {
		return append(errs, fmt.Errorf("%s.definitions: %w", path, err))
	}
	set, err := definitions.Parse(b)
	if err != nil {
		return append(errs, fmt.Errorf("%s.definitions: %s: %w", path, c.Definitions, err))
	}
	for _, p := range set.Problems() {
		errs = append(errs, fmt.Errorf("%s.definitions: flag %s: %w", path, cut(p.Flag, 100), p.Err))
	}
	errs = append(errs, c.twice(path, set)...)
	// A slip of the pen would leave a flag without the approval that was meant for it.
	for _, key := range slices.Sorted(maps.Keys(c.Policy.Flags)) {
		if _, ok := set.Flag(key); !ok && c.Backends.Of(key) < 0 {
			errs = append(errs, fmt.Errorf("%s.policy.flags.%s: isn't declared in %s", path, cut(key, 100), c.Definitions))
		}
	}
	for i, g := range c.Gates {
		if c.Backends.Of(g.Flag) >= 0 {
			continue // whether it's there, only the backend knows
		}
		f, ok := set.Flag(g.Flag)
		if !ok {
			errs = append(errs, fmt.Errorf("%s.gates[%d].flag: %q isn't declared in %s", path, i, g.Flag, c.Definitions))
			continue
		}
		if names := f.VariantNames(); g.Safe != "" && !slices.Contains(names, g.Safe) {
			errs = append(errs, fmt.Errorf("%s.gates[%d].safe: %q is no variant of %s, which has %v", path, i, g.Safe, g.Flag, names))
		}
		if g.Tunes != nil {
			errs = append(errs, g.Tunes.checkVariants(fmt.Sprintf("%s.gates[%d].tunes", path, i), g.Safe, f.Variants)...)
		}
	}
	return errs
}

// twice finds flags that are defined here and, by the configuration, live in a
// backend.
func (c *Config) twice(path string, set *definitions.Set) []error {
	var errs []error
	for _, key := range set.Keys() {
		if i := c.Backends.Of(key); i >= 0 {
			errs = append(errs, fmt.Errorf("%s.backends[%d].flags: %q lives there, and is defined in %s as well", path, i, cut(key, 100), c.Definitions))
		}
	}
	return errs
}
