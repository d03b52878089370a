package version

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	mod "golang.org/x/mod/semver"
	"pgregory.net/rapid"
)

func must(t interface{ Fatal(...any) }, s Scheme, text string) Version {
	v, err := Parse(s, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestRPMVectors holds the order of pieces to the cases of rpm's own test suite.
func TestRPMVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/rpmvercmp.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		var a, b string
		var want int
		if _, err := fmt.Sscan(line, &a, &b, &want); err != nil {
			t.Fatal(line, err)
		}
		if got := compareRPM(a, b); got != want {
			t.Errorf("rpmvercmp(%s, %s) = %d, want %d", a, b, got, want)
		}
		n++
	}
	if n != 91 {
		t.Errorf("%d cases, want 91", n)
	}
}

func TestRPMWholeVersions(t *testing.T) {
	// From rpm-version(7): the epoch first, then the version, then the release.
	order := []string{"1.0~rc1-1", "1.0-1", "1.0-2", "1.0-10.el9", "1.0^git1-1", "1.0.1-1", "1:0.5-1", "2:0.1-1"}
	for i := range order {
		for j := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := must(t, RPM, order[i]).Compare(must(t, RPM, order[j])); got != want {
				t.Errorf("%s against %s: %d, want %d", order[i], order[j], got, want)
			}
		}
	}
	if must(t, RPM, "(none):1.0-1").Compare(must(t, RPM, "0:1.0-1")) != 0 {
		t.Error("no epoch isn't epoch 0")
	}
}

// texts of versions that are close to one another.
var texts = map[Scheme]*rapid.Generator[string]{
	Semver: rapid.StringMatching(`(0|1|2|10)(\.(0|1|2|12)){2}(-(rc|alpha|1|12|x-y)(\.(0|1|2|11|b)){0,2})?(\+b[0-9])?`),
	Debian: rapid.StringMatching(`([0-2]:)?[0-9](\.?[0-9]{1,2}|[a-z+~.]){0,5}(-[0-9a-z+~.]{1,4})?`),
	RPM:    rapid.StringMatching(`([0-2]:)?[0-9](\.?[0-9]{1,2}|[a-z+~^._]){0,5}(-[0-9a-z+~^.]{1,4})?`),
}

// TestTotalOrder: reflexive, antisymmetric, transitive, in each scheme.
func TestTotalOrder(t *testing.T) {
	for s, gen := range texts {
		t.Run(string(s), rapid.MakeCheck(func(t *rapid.T) {
			a, b, c := must(t, s, gen.Draw(t, "a")), must(t, s, gen.Draw(t, "b")), must(t, s, gen.Draw(t, "c"))
			if a.Compare(a) != 0 {
				t.Fatalf("%s differs from itself", a)
			}
			if a.Compare(b) != -b.Compare(a) {
				t.Fatalf("%s against %s: %d and %d", a, b, a.Compare(b), b.Compare(a))
			}
			if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
				t.Fatalf("%s <= %s <= %s, but not %s <= %s", a, b, c, a, c)
			}
			if a.Compare(b) == 0 && a.Compare(c) != b.Compare(c) {
				t.Fatalf("%s and %s are equal, but not against %s", a, b, c)
			}
		}))
	}
}

// TestDebianAgainstDpkg holds the order to dpkg's.
func TestDebianAgainstDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("dpkg isn't installed")
	}
	ask := func(a, op, b string) bool {
		return exec.Command(dpkg, "--compare-versions", a, op, b).Run() == nil
	}
	gen := texts[Debian]
	rapid.Check(t, func(t *rapid.T) {
		a := gen.Draw(t, "a")
		b := gen.Draw(t, "b")
		want := 0
		if ask(a, "lt", b) {
			want = -1
		} else if ask(a, "gt", b) {
			want = 1
		}
		if got := must(t, Debian, a).Compare(must(t, Debian, b)); got != want {
			t.Fatalf("%s against %s: %d, dpkg says %d", a, b, got, want)
		}
	})
}

// TestSemverAgainstMod holds the order to that of golang.org/x/mod/semver.
func TestSemverAgainstMod(t *testing.T) {
	gen := texts[Semver]
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		if !mod.IsValid("v"+a) || !mod.IsValid("v"+b) {
			t.Skip("x/mod/semver doesn't take it")
		}
		if got, want := must(t, Semver, a).Compare(must(t, Semver, b)), mod.Compare("v"+a, "v"+b); got != want {
			t.Fatalf("%s against %s: %d, x/mod/semver says %d", a, b, got, want)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct {
		scheme Scheme
		text   string
		want   string
	}{
		{Semver, "", "the version is empty"},
		{Semver, "4.x", `"4.x" is no semantic version: "x" is no number`},
		{Semver, "1..2", `"1..2" is no semantic version: "" is no number`},
		{Semver, "1.2-", `"1.2-" is no semantic version: prerelease: an identifier is empty`},
		{Semver, "1.2-rc_1", `"1.2-rc_1" is no semantic version: prerelease: '_' may not stand in it`},
		{Semver, strings.Repeat("1", 257), "the version has 257 bytes, more than 256"},
		{Debian, "x:1.0", `"x:1.0" is no Debian version: its epoch is no number up to 2147483647`},
		{Debian, "a1.0", `"a1.0" is no Debian version: it doesn't begin with a digit`},
		{Debian, "1.0-", `"1.0-" is no Debian version: its revision is empty`},
		{Debian, "1.0_2", `"1.0_2" is no Debian version: '_' may not stand in it`},
		{RPM, "1.0 2", `"1.0 2" is no RPM version: ' ' may not stand in it`},
		{RPM, "-1", `"-1" is no RPM version: it is empty`},
		{"pip", "1", `unknown scheme "pip" of versions`},
	} {
		_, err := Parse(tt.scheme, tt.text)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s %.40q: %v, want %s", tt.scheme, tt.text, err, tt.want)
		}
	}
}

func TestUpstreamAndPrerelease(t *testing.T) {
	for _, tt := range []struct {
		scheme         Scheme
		text, upstream string
		pre            bool
	}{
		{Debian, "3.0.15-1~deb12u1", "3.0.15", false},
		{Debian, "1:2.4.1+dfsg1-3", "2.4.1", false},
		{Debian, "2.0~rc1-1", "2.0~rc1", true},
		{Debian, "2.0+really1.9+dfsg-1", "1.9", false},
		{RPM, "1:1.1.1k-12.el8_9", "1.1.1k", false},
		{Semver, "v4.2.0-rc.1", "4.2.0-rc.1", true},
		{Semver, "4.2.0", "4.2.0", false},
	} {
		v := must(t, tt.scheme, tt.text)
		if v.Upstream() != tt.upstream || v.Prerelease() != tt.pre {
			t.Errorf("%s: %s, %t; want %s, %t", tt.text, v.Upstream(), v.Prerelease(), tt.upstream, tt.pre)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.2.3-rc.1+b", "1:2.0~rc1-3", "1.0^git1-2.el9", "v1", "", "0:0-0", "1.2.3.4.5"} {
		f.Add(s, "1.0")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, s := range []Scheme{Semver, Debian, RPM} {
			x, err := Parse(s, a)
			if err != nil {
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("an error of several lines: %q", err)
				}
				continue
			}
			again, err := Parse(s, x.String())
			if err != nil || again.Compare(x) != 0 {
				t.Errorf("%s %q isn't itself when read again: %v", s, a, err)
			}
			if y, err := Parse(s, b); err == nil && x.Compare(y) != -y.Compare(x) {
				t.Errorf("%s: %q against %q isn't antisymmetric", s, a, b)
			}
			x.Upstream()
		}
	})
}
