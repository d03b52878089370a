// Package access says who somebody is and what they may do.
//
// People and programs bring a token, of which a file keeps the digest alone, or a user
// name and password that exporter-toolkit has checked by then. Viewers read, on-call
// people toggle and record, admins change policy and reload.
package access

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Role is what somebody may do; each may do what those before it may.
type Role string

const (
	None   Role = ""
	Viewer Role = "viewer"
	OnCall Role = "on-call"
	Admin  Role = "admin"
)

var rank = map[Role]int{None: 0, Viewer: 1, OnCall: 2, Admin: 3}

// Covers says whether the role may do what another may.
func (r Role) Covers(other Role) bool { return rank[r] >= rank[other] }

// Valid says whether the role is one of viewer, on-call and admin.
func (r Role) Valid() bool { return rank[r] > 0 }

// Principal is somebody who was recognised. Without a name it is whoever holds the
// daemon's own token.
type Principal struct {
	Name string
	Role Role
}

// Config is the part access of the web settings.
type Config struct {
	// TokensFile holds the digests of tokens; see Tokens. Without it, and without users,
	// the daemon's own token does everything.
	TokensFile string `yaml:"tokens_file"`
	// Users are the roles of those whose passwords web.config_file has; the others there
	// are viewers.
	Users map[string]Role `yaml:"users"`
	// Read is who may read: anyone (the default), or viewer, who brings a token or a
	// password.
	Read string `yaml:"read"`
	// Hint is a line that the form to sign in shows to everybody: where to get a token.
	Hint string `yaml:"hint"`
}

// maxHint bounds the hint, in bytes: the form shows a line.
const maxHint = 300

// Validate names every setting that can't be used, by its path.
func (c *Config) Validate(path string) []error {
	var errs []error
	if c.Read != "" && c.Read != "anyone" && c.Read != string(Viewer) {
		errs = append(errs, fmt.Errorf("%s.read: %q is neither anyone nor viewer", path, c.Read))
	}
	if len(c.Hint) > maxHint || !utf8.ValidString(c.Hint) {
		errs = append(errs, fmt.Errorf("%s.hint: want a line of at most %d bytes of UTF-8", path, maxHint))
	}
	for _, user := range slices.Sorted(maps.Keys(c.Users)) {
		if r := c.Users[user]; !r.Valid() {
			errs = append(errs, fmt.Errorf("%s.users.%s: %q is none of viewer, on-call, admin", path, user, r))
		}
	}
	if c.TokensFile != "" && len(c.Users) > 0 {
		// One Authorization header holds one of the two.
		errs = append(errs, fmt.Errorf("%s: tokens_file and users don't go together: a request brings a token or a password", path))
	}
	return errs
}

// Restricted says whether reading needs a role.
func (c *Config) Restricted() bool { return c.Read == string(Viewer) }

// User is the principal of a user whose password was checked.
func (c *Config) User(name string) Principal {
	if r := c.Users[name]; r.Valid() {
		return Principal{Name: name, Role: r}
	}
	return Principal{Name: name, Role: Viewer}
}
