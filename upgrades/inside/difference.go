package inside

// Difference is what changed between two builds. Lists are never nil, so that
// JSON has an empty list where nothing changed, and what touches retries and
// the like comes first in each.
type Difference struct {
	Name string `json:"name"`
	Old  Side   `json:"old"`
	New  Side   `json:"new"`
	// Summary says in one line what changed, for an alert.
	Summary string `json:"summary"`
	// Topics are the words of retries, timeouts and limits that the change
	// touches, and where.
	Topics        []Topic     `json:"topics"`
	Modules       []Module    `json:"modules"`
	Settings      []Setting   `json:"settings"`
	Functions     Functions   `json:"functions"`
	Constants     []Move      `json:"constants"`
	Callees       []CalleesOf `json:"callees"`
	Strings       CameWent    `json:"strings"`
	Configuration CameWent    `json:"configuration"`
	Notes         []string    `json:"notes"`

	// Decoded says that both are programs whose code is read.
	Decoded bool `json:"-"`
}

// Side is one of the two builds.
type Side struct {
	Path      string `json:"path"`
	SHA256    string `json:"sha256"`
	BuildID   string `json:"build_id"`
	Version   string `json:"version"`
	Toolchain string `json:"toolchain"`
}

// Module is a module or library of which another version is in the new build.
// A version is empty where the build doesn't have it.
type Module struct {
	Path string `json:"path"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// Setting is how the build was made.
type Setting struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// Functions are names. Generated are those that the compiler wrote: wrappers of
// methods, equality of types.
type Functions struct {
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Changed   []string `json:"changed"`
	Generated *Written `json:"generated,omitempty"`
}

// Written are functions that the compiler wrote by itself.
type Written struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Changed []string `json:"changed"`
}

// Move is a constant before and after: as people write it, empty where there is
// none, and as the number that it is.
type Move struct {
	// Where is a function, a variable, or the section of one without a name.
	Where  string `json:"where"`
	Old    string `json:"old"`
	New    string `json:"new"`
	OldRaw any    `json:"old_raw,omitempty"`
	NewRaw any    `json:"new_raw,omitempty"`
	// UsedBy are the functions that read the variable.
	UsedBy []string `json:"used_by,omitempty"`
}

// CalleesOf says whom a function calls now, or called.
type CalleesOf struct {
	Function string   `json:"function"`
	Added    []string `json:"added"`
	Removed  []string `json:"removed"`
}

// CameWent is what came and what went.
type CameWent struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
}

// Topic is a word of the vocabulary and what of the change it is found in.
type Topic struct {
	Word  string   `json:"word"`
	Where []string `json:"where"`
}

// Whole says that all that is read of binaries of this form was compared: what isn't
// found to differ then doesn't.
func (d Difference) Whole() bool {
	return d.Old.SHA256 == d.New.SHA256 || d.Decoded && len(d.Notes) == 0
}

// Empty says that nothing was found to differ but the files' identity.
func (d Difference) Empty() bool {
	f := d.Functions
	return len(d.Modules)+len(d.Settings)+len(d.Constants)+len(d.Callees) == 0 && f.Generated == nil &&
		len(f.Added)+len(f.Removed)+len(f.Changed)+len(d.Strings.Added)+len(d.Strings.Removed)+
			len(d.Configuration.Added)+len(d.Configuration.Removed) == 0 && d.Old.Version == d.New.Version && d.Old.Toolchain == d.New.Toolchain
}
