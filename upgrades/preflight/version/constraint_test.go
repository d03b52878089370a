package version

import (
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestConstraints(t *testing.T) {
	for _, tt := range []struct {
		scheme    Scheme
		text      string
		allows    string
		refuses   string
		unbounded bool
	}{
		{Semver, ">= 1.2, < 2", "1.2 1.2.0 1.99.3 1.3.0-rc1", "1.1.9 2.0 2.0.0-rc1 1.2.0-rc1", false},
		{Semver, ">=1.2 <2", "1.2 1.9", "2 1.1", false},
		{Semver, "^1.2", "1.2 1.99", "1.1 2.0 2.0.0-alpha", false},
		{Semver, "^0.2.3", "0.2.3 0.2.9", "0.3 0.2.2", false},
		{Semver, "^0", "0.9", "1.0", false},
		{Semver, "~1.2", "1.2 1.2.9", "1.3", false},
		{Semver, "~> 1.2", "1.2 1.9.9", "2.0 1.1", false},
		{Semver, "~> 1.2.3", "1.2.3 1.2.9", "1.3 1.2.2", false},
		{Semver, "~= 2.2", "2.2 2.3", "3", false},
		{Semver, "1.x", "1.0 1.9", "2.0 0.9", false},
		{Semver, "1.2.*", "1.2.0", "1.3", false},
		{Semver, "1.2", "1.2.0 1.2.7", "1.3.0 1.1", false},
		{Semver, "= 1.2.3", "1.2.3 v1.2.3 1.2.3+b2", "1.2.4", false},
		{Semver, "1.2 - 2.0", "1.2 2.0.9", "2.1 1.1", false},
		{Semver, "> 1.2", "1.3 9", "1.2.5 1.2", true},
		{Semver, "<= 1.2", "1.2.5 0.1", "1.3", false},
		{Semver, "!= 1.5", "1.4 1.6", "1.5.2", true},
		{Semver, ">= 1.2 || 0.9.1", "1.2 7 0.9.1", "1.0", true},
		{Semver, "1.x | 3.x", "1.4 3.1", "2.0", false},
		{Semver, "*", "0 99", "", true},
		{Semver, "latest", "0 99", "", true},
		{Semver, "", "1", "", true},
		{Semver, ">= 4", "4 5", "3.9", true},
		{Debian, ">= 1.2", "1.2-1 1:0 2", "1.1 1.2~rc1", true},
		{Debian, "<< 2.0~", "1.9 2.0~~", "2.0~ 2.0", false},
		{Debian, "< 2.0", "2.0 1.0", "2.0-1", false}, // dpkg's old < is <=
		{Debian, "= 1.2-3", "1.2-3", "1.2-3+b1 1.2-4", false},
		{Debian, ">= 1.2, << 2", "1.2-1", "2", false},
		{RPM, "= 1.0", "1.0-3 1.0", "1.0.1-1 1:1.0-1", false},
		{RPM, ">= 1.0-2", "1.0-2 1.0-3 1.1-1", "1.0-1", true},
		{RPM, "< 1.1", "1.0^git-1 1.1~rc1-1", "1.1-1", false},
		{RPM, "*", "1 2-3", "", true},
	} {
		t.Run(string(tt.scheme)+" "+tt.text, func(t *testing.T) {
			c, err := ParseConstraint(tt.scheme, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if c.Unbounded() != tt.unbounded {
				t.Errorf("unbounded %t, want %t", c.Unbounded(), tt.unbounded)
			}
			for _, v := range strings.Fields(tt.allows) {
				if !c.Allows(must(t, tt.scheme, v)) {
					t.Errorf("refuses %s", v)
				}
			}
			for _, v := range strings.Fields(tt.refuses) {
				if c.Allows(must(t, tt.scheme, v)) {
					t.Errorf("allows %s", v)
				}
			}
			for _, e := range c.Edges() {
				if !c.Allows(e) {
					t.Errorf("its edge %s isn't allowed", e)
				}
			}
		})
	}
}

func TestConstraintsRefused(t *testing.T) {
	for _, tt := range []struct {
		scheme     Scheme
		text, want string
	}{
		{Semver, "recent", `"recent": "recent" is no semantic version: "recent" is no number`},
		{Semver, ">= ", `">=": ">=" has no version`},
		{Semver, "=> 1", `"=> 1": "=>" is no operator`},
		{Semver, ">= < 1", `">= < 1": ">=" and "<" stand together`},
		{Semver, "1 ||", `"1 ||": an alternative is empty`},
		{Semver, ">= 1,, < 2", `">= 1,, < 2": a condition is empty`},
		{Semver, "> *", `"> *": > with "*" allows nothing`},
		{Semver, "1.*.2", `"1.*.2": "1.*.2" is no semantic version: "*" is no number`},
		{Semver, strings.Repeat(" 1,", 300), "more than"},
		{Semver, strings.Repeat("1 ", 3000), "the constraint has 5999 bytes, more than 4096"},
		{Debian, "^1.2", `"^1.2": "^" is no operator of deb`},
		{RPM, ">> 1.2", `">> 1.2": ">>" is no operator of rpm`},
	} {
		_, err := ParseConstraint(tt.scheme, tt.text)
		if err == nil || err.Error() != tt.want && (tt.want != "more than" || !strings.Contains(err.Error(), "condition")) {
			t.Errorf("%.40q: %v, want %s", tt.text, err, tt.want)
		}
	}
}

// TestAgainstMasterminds holds what is allowed to github.com/Masterminds/semver/v3, for what
// both read alike: releases without prereleases.
func TestAgainstMasterminds(t *testing.T) {
	number := rapid.StringMatching(`[0-4]`)
	versions := rapid.StringMatching(`[0-4]\.[0-4]\.[0-4]`)
	one := rapid.Custom(func(t *rapid.T) string {
		op := rapid.SampledFrom([]string{"", "=", "!=", ">", ">=", "<", "<=", "^", "~"}).Draw(t, "op")
		v := number.Draw(t, "major")
		for range rapid.IntRange(0, 2).Draw(t, "parts") {
			v += "." + number.Draw(t, "part")
		}
		if (op == "" || op == "^" || op == "~") && strings.Count(v, ".") < 2 && rapid.Bool().Draw(t, "wild") {
			v += ".x"
		}
		if op == "~" && v == "0.0.0" {
			op = "^" // Masterminds takes ~0.0.0 for all versions, npm doesn't
		}
		return op + v
	})
	several := rapid.SliceOfN(one, 1, 3)
	rapid.Check(t, func(t *rapid.T) {
		var any []string
		for range rapid.IntRange(1, 3).Draw(t, "alternatives") {
			any = append(any, strings.Join(several.Draw(t, "all"), ", "))
		}
		text, v := strings.Join(any, " || "), versions.Draw(t, "version")
		theirs, err := semver.NewConstraint(text)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := ParseConstraint(Semver, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := ours.Allows(must(t, Semver, v)), theirs.Check(semver.MustParse(v)); got != want {
			t.Fatalf("%q allows %s: %t, Masterminds says %t", text, v, got, want)
		}
	})
}

// TestUnboundedIsSo: a constraint is unbounded exactly if it allows a version beyond all that it
// names.
func TestUnboundedIsSo(t *testing.T) {
	op := rapid.SampledFrom([]string{"=", "!=", ">", ">=", "<", "<=", "^", "~", "~>"})
	rapid.Check(t, func(t *rapid.T) {
		var all []string
		for range rapid.IntRange(1, 4).Draw(t, "n") {
			all = append(all, op.Draw(t, "op")+rapid.StringMatching(`[0-9]\.[0-9]`).Draw(t, "v"))
		}
		c, err := ParseConstraint(Semver, strings.Join(all, ", "))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Allows(must(t, Semver, "1000000")); got != c.Unbounded() {
			t.Fatalf("%s allows 1000000: %t, unbounded: %t", c, got, c.Unbounded())
		}
	})
}

func TestRelations(t *testing.T) {
	show := func(relations [][]Relation) (s []string) {
		for _, any := range relations {
			var parts []string
			for _, r := range any {
				parts = append(parts, r.String())
			}
			s = append(s, strings.Join(parts, " or "))
		}
		return s
	}
	for _, tt := range []struct {
		scheme Scheme
		field  string
		want   []string
		err    string
	}{
		{Debian, "libc6 (>= 2.34), libssl3:any (>= 3.0.0) [amd64] <!nocheck>,\n default-mta | mail-transport-agent, ", []string{"libc6 (>= 2.34)", "libssl3 (>= 3.0.0)", "default-mta or mail-transport-agent"}, ""},
		{Debian, "libfoo (>= 1.2), ${shlibs:Depends}", []string{"libfoo (>= 1.2)"}, `"${shlibs:Depends}" names no package`},
		{Debian, "libfoo (>= 1.2", nil, `"libfoo (>= 1.2": its bracket holds no version`},
		{Debian, "libfoo (~ 1)", nil, `"libfoo": "~ 1": "~" is no operator of deb`},
		{RPM, "openssl-libs >= 1:1.1.1, /bin/sh\nlibc.so.6(GLIBC_2.34)(64bit)", []string{"openssl-libs (>= 1:1.1.1)", "/bin/sh", "libc.so.6(GLIBC_2.34)(64bit)"}, ""},
		{RPM, "(a or b)", nil, `"(a or b)": rich dependencies aren't read`},
		{Semver, "foo (^1.2) | bar", []string{"foo (^1.2) or bar"}, ""},
	} {
		got, err := ParseRelations(tt.scheme, tt.field)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if d := cmp.Diff(tt.want, show(got)); d != "" || text != tt.err {
			t.Errorf("%q: %s error %q, want %q", tt.field, d, text, tt.err)
		}
	}
}

func TestParseScheme(t *testing.T) {
	for name, want := range map[string]Scheme{"": Semver, "Go": Semver, "dpkg": Debian, "debian": Debian, "rpm": RPM} {
		if got, err := ParseScheme(name); got != want || err != nil {
			t.Errorf("%q: %s, %v", name, got, err)
		}
	}
	if _, err := ParseScheme("conda"); err == nil {
		t.Error("conda is taken")
	}
}

func FuzzConstraint(f *testing.F) {
	for _, s := range []string{">= 1.2, < 2", "^1.2 || ~> 3", "1.x", "*", "<< 1:2~rc1-1", "1.2 - 3", "latest", "libfoo (>= 1.2) | b [amd64]"} {
		f.Add(s, "1.2.3")
	}
	f.Fuzz(func(t *testing.T, text, v string) {
		for _, s := range []Scheme{Semver, Debian, RPM} {
			relations, _ := ParseRelations(s, text)
			for _, any := range relations {
				if len(any) == 0 {
					t.Error("no alternative")
				}
			}
			c, err := ParseConstraint(s, text)
			if err != nil {
				continue
			}
			again, err := ParseConstraint(s, c.String())
			if err != nil {
				t.Errorf("%q isn't read again: %v", c, err)
			}
			if x, err := Parse(s, v); err == nil && c.Allows(x) != again.Allows(x) {
				t.Errorf("%q and itself differ", c)
			}
			for _, e := range c.Edges() {
				if !c.Allows(e) {
					t.Errorf("edge %s of %q isn't allowed", e, c)
				}
			}
		}
	})
}
