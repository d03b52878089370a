package access

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 25, 20, 0, 0, 0, time.UTC)

func add(t *testing.T, path string, one Token) string {
	t.Helper()
	secret, err := Add(path, one)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestTokensAreKeptAsDigestsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yml")
	anna := add(t, path, Token{Name: "anna", Role: OnCall, Created: now})
	bot := add(t, path, Token{Name: "ci bot", Role: Viewer, Created: now, Expires: now.Add(time.Hour)})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), anna) || strings.Contains(string(data), bot) {
		t.Errorf("the file holds a token:\n%s", data)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
	}
	tokens, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, secret string
		at           time.Time
		want         Principal
		ok           bool
	}{
		{"anna", anna, now, Principal{"anna", OnCall}, true},
		{"the bot in time", bot, now.Add(time.Hour - 1), Principal{"ci bot", Viewer}, true},
		{"the bot too late", bot, now.Add(time.Hour), Principal{}, false},
		{"nobody", "guess", now, Principal{}, false},
		{"nothing", "", now, Principal{}, false},
		{"a digest instead of the token", digest(anna), now, Principal{}, false},
	} {
		got, _, ok := tokens.Find(tt.secret, tt.at)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestARemovedTokenLetsNobodyInAnyMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yml")
	anna := add(t, path, Token{Name: "anna", Role: OnCall, Created: now})
	tokens, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	_, key, ok := tokens.Find(anna, now)
	if !ok {
		t.Fatal("anna isn't let in")
	}
	if err := Remove(path, "anna"); err != nil {
		t.Fatal(err)
	}
	if _, ok := tokens.Holder(key, now); ok {
		t.Error("her session goes on after her token was removed")
	}
	if err := Remove(path, "anna"); err == nil {
		t.Error("removed twice without an error")
	}
	// A file that is broken lets nobody in, and says why.
	bob := add(t, path, Token{Name: "bob", Role: Admin, Created: now})
	if _, _, ok := tokens.Find(bob, now); !ok {
		t.Error("bob isn't let in")
	}
	if err := os.WriteFile(path, []byte("tokens: [{name: bob, token: "+bob+"}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := tokens.Find(bob, now); ok || tokens.Err() == nil || strings.Contains(tokens.Err().Error(), bob) {
		t.Errorf("a broken file: let in %v, error %v", ok, tokens.Err())
	}
}

func TestTokensThatCantBeAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yml")
	add(t, path, Token{Name: "anna", Role: OnCall, Created: now})
	for _, one := range []Token{
		{Name: "anna", Role: Viewer},
		{Name: "", Role: Viewer},
		{Name: strings.Repeat("x", 65), Role: Viewer},
		{Name: "bell\a", Role: Viewer},
		{Name: "bad\xff", Role: Viewer},
		{Name: " ", Role: Viewer},
		{Name: "bob ", Role: Viewer},
		{Name: "ANNA", Role: Viewer},
		{Name: "bob", Role: "root"},
		{Name: "bob"},
	} {
		if _, err := Add(path, one); err == nil {
			t.Errorf("%+v was added", one)
		}
	}
	list, err := Read(path)
	if err != nil || len(list) != 1 {
		t.Errorf("%d tokens (%v) after what was refused, want 1", len(list), err)
	}
}

func TestChangesAtOnceAreAllKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yml")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if _, err := Add(path, Token{Name: fmt.Sprint("bot ", i), Role: Viewer, Created: now}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if list, err := Read(path); err != nil || len(list) != 20 {
		t.Errorf("%d tokens (%v) of 20 that were added at once", len(list), err)
	}
}

func TestAChangeKeepsTheFileWhereAndWhoseItIs(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "tokens.yml"), filepath.Join(dir, "link.yml")
	anna := add(t, path, Token{Name: "anna", Role: OnCall, Created: now})
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 12345, 12346); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	tokens, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Remove(link, "anna"); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := tokens.Find(anna, now); ok {
		t.Error("anna is let in after her token was removed by the file's other name")
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if after.Mode() != before.Mode() {
		t.Errorf("mode %v, was %v", after.Mode(), before.Mode())
	}
	is, _ := after.Sys().(*syscall.Stat_t)
	was, _ := before.Sys().(*syscall.Stat_t)
	if is.Uid != was.Uid || is.Gid != was.Gid {
		t.Errorf("owner %d:%d, was %d:%d", is.Uid, is.Gid, was.Uid, was.Gid)
	}
}

func TestRolesCoverThoseBefore(t *testing.T) {
	order := []Role{None, Viewer, OnCall, Admin}
	for i, a := range order {
		for k, b := range order {
			if got := a.Covers(b); got != (i >= k) {
				t.Errorf("%q covers %q: %v", a, b, got)
			}
		}
	}
	if Role("root").Covers(Viewer) {
		t.Error("a role that doesn't exist covers viewer")
	}
}

func TestSettingsThatDontGoTogether(t *testing.T) {
	for _, c := range []Config{
		{Read: "everyone"},
		{Users: map[string]Role{"anna": "root"}},
		{TokensFile: "t.yml", Users: map[string]Role{"anna": Admin}},
	} {
		if errs := c.Validate("web.access"); len(errs) != 1 {
			t.Errorf("%+v: %v, want one error", c, errs)
		}
	}
	c := Config{Users: map[string]Role{"anna": Admin}}
	if got := c.User("bob"); got != (Principal{"bob", Viewer}) {
		t.Errorf("a user without a role: %+v", got)
	}
}

func FuzzTokens(f *testing.F) {
	f.Add([]byte("tokens:\n- name: a\n  role: viewer\n  sha256: " + digest("x") + "\n"))
	f.Add([]byte("tokens: [{name: a, role: admin}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parse(data)
		if err != nil {
			return
		}
		for _, one := range list {
			if one.check() != nil {
				t.Errorf("%+v was taken", one)
			}
		}
	})
}
