package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const (
	// maxFile bounds the file of tokens in bytes, maxTokens how many there are, maxName the
	// name of one.
	maxFile   = 1 << 20
	maxTokens = 1000
	maxName   = 64
)

// Token is one line of the file: who holds it, what they may do, until when, and the
// SHA-256 of the token in hexadecimal. A token has 130 random bits, so that a plain
// digest keeps it as well as a slow one would.
type Token struct {
	Name    string    `yaml:"name" json:"name"`
	Role    Role      `yaml:"role" json:"role"`
	SHA256  string    `yaml:"sha256" json:"-"`
	Created time.Time `yaml:"created" json:"created"`
	Expires time.Time `yaml:"expires,omitempty" json:"expires,omitzero"`
}

func (t *Token) check() error {
	digest, err := hex.DecodeString(t.SHA256)
	switch {
	case t.Name == "" || len(t.Name) > maxName || !utf8.ValidString(t.Name) || strings.ContainsFunc(t.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("a name of 1 to %d printable bytes is wanted", maxName)
	case strings.TrimSpace(t.Name) != t.Name:
		return errors.New("a name without spaces around it is wanted")
	case !t.Role.Valid():
		return fmt.Errorf("role %.20q is none of viewer, on-call, admin", t.Role)
	case err != nil || len(digest) != sha256.Size:
		return errors.New("sha256 isn't a SHA-256 in hexadecimal")
	}
	return nil
}

// Tokens are those of a file, read again when it changes.
type Tokens struct {
	path string
	mu   sync.Mutex
	by   map[string]Token // by digest
	seen fs.FileInfo
	err  error
}

// Open reads the file of tokens.
func Open(path string) (*Tokens, error) {
	t := &Tokens{path: path}
	t.look()
	return t, t.err
}

// digest is what the file keeps of a token.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Find is who brings a token. A file that can't be read any more lets nobody in.
func (t *Tokens) Find(secret string, now time.Time) (p Principal, key string, ok bool) {
	key = digest(secret)
	p, ok = t.Holder(key, now)
	return p, key, ok
}

// Holder is who holds the token with a digest, if it is in the file and hasn't expired.
func (t *Tokens) Holder(key string, now time.Time) (Principal, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.look()
	one, ok := t.by[key]
	if !ok || t.err != nil || !one.Expires.IsZero() && !now.Before(one.Expires) {
		return Principal{}, false
	}
	return Principal{Name: one.Name, Role: one.Role}, true
}

// Err is why nobody is let in, nil where the file is well.
func (t *Tokens) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.look()
	return t.err
}

// look reads the file again where it is another by now.
func (t *Tokens) look() {
	info, err := os.Stat(t.path)
	if err == nil && t.err == nil && t.seen != nil && os.SameFile(info, t.seen) && info.ModTime().Equal(t.seen.ModTime()) && info.Size() == t.seen.Size() {
		return
	}
	list, err := Read(t.path)
	t.seen, t.err, t.by = info, err, map[string]Token{}
	for _, one := range list {
		t.by[one.SHA256] = one
	}
}

// Read reads a file of tokens.
func Read(path string) ([]Token, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("read the tokens: %s isn't a regular file of at most %d bytes", path, maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	list, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("read the tokens of %s: %w", path, err)
	}
	return list, nil
}

func parse(data []byte) ([]Token, error) {
	var file struct {
		Tokens []Token `yaml:"tokens"`
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		// What the file holds isn't told: it may be a token that somebody put there.
		return nil, errors.New("it isn't a list of tokens as aftershock access add writes it")
	}
	if len(file.Tokens) > maxTokens {
		return nil, fmt.Errorf("%d tokens, more than the %d allowed", len(file.Tokens), maxTokens)
	}
	names := map[string]bool{}
	for i := range file.Tokens {
		if err := file.Tokens[i].check(); err != nil {
			return nil, fmt.Errorf("tokens[%d]: %w", i, err)
		}
		if name := file.Tokens[i].Name; names[name] {
			return nil, fmt.Errorf("tokens[%d]: a second token of %s", i, name)
		}
		names[file.Tokens[i].Name] = true
	}
	return file.Tokens, nil
}

// Add makes a token, puts its digest into the file, which it makes if there is none, and
// answers the token: nobody can read it again.
func Add(path string, t Token) (secret string, err error) {
	secret = rand.Text()
	t.SHA256 = digest(secret)
	if err := t.check(); err != nil {
		return "", fmt.Errorf("add a token: %w", err)
	}
	return secret, change(path, func(list []Token) ([]Token, error) {
		// The audit doesn't tell names apart by their case: no one of two could approve what the other planned.
		if i := slices.IndexFunc(list, func(o Token) bool { return strings.EqualFold(o.Name, t.Name) }); i >= 0 {
			return nil, fmt.Errorf("add a token: %s has one; remove it first", list[i].Name)
		}
		return append(list, t), nil
	})
}

// Remove takes somebody's token from the file.
func Remove(path, name string) error {
	return change(path, func(list []Token) ([]Token, error) {
		rest := slices.DeleteFunc(slices.Clone(list), func(o Token) bool { return o.Name == name })
		if len(rest) == len(list) {
			return nil, fmt.Errorf("remove a token: there is none of %.64q", name)
		}
		return rest, nil
	})
}

// change replaces the file, one change at a time.
func change(path string, how func([]Token) ([]Token, error)) error {
	// Where it is a link, the daemon may know the file by its other name.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	lock, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("lock the tokens: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the tokens: %w", err)
	}
	list, err := Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if list, err = how(list); err != nil {
		return err
	}
	data, err := yaml.Marshal(map[string]any{"tokens": list})
	if err != nil {
		return fmt.Errorf("write the tokens: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write the tokens: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, adopt(f, path), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the tokens: %w", err)
	}
	return nil
}

// adopt gives the new file the owner and the mode of the one that it replaces, so that the
// daemon can read what somebody else changed.
func adopt(f *os.File, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.Chmod(0o600)
	}
	if err != nil {
		return err
	}
	if is, ok := info.Sys().(*syscall.Stat_t); ok && (int(is.Uid) != os.Geteuid() || int(is.Gid) != os.Getegid()) {
		if err := f.Chown(int(is.Uid), int(is.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(info.Mode().Perm())
}
