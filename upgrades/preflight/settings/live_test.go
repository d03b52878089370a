package settings

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// told are uses as lines: file:line key=value.
func told(l Live) (list []string) {
	for _, u := range l.Uses {
		list = append(list, fmt.Sprintf("%s:%d %s=%s", u.File, u.Line, u.Key, u.Value()))
	}
	return list
}

func read(files map[string]string) Live {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return ReadLive(fsys, "")
}

func TestForms(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		want             []string
	}{
		{"yaml", "a.yaml", "dten:\n  hybrid:\n    enable: false # no\n  list: [a, b]\n  m:\n  - x: 1\n  - y: 2\n---\ndten.hybrid.enable: true\n", []string{
			"a.yaml:3 dten.hybrid.enable=false", "a.yaml:4 dten.list=a,b", "a.yaml:6 dten.m[0].x=1", "a.yaml:7 dten.m[1].y=2", "a.yaml:9 dten.hybrid.enable=true",
		}},
		{"merge", "a.yml", "base: &b\n  x: 1\n  y: 2\nuse:\n  <<: *b\n  y: 3\nlist:\n  <<: [*b, {z: 4}]\n", []string{
			"a.yml:2 base.x=1", "a.yml:2 use.x=1", "a.yml:2 list.x=1", "a.yml:3 base.y=2", "a.yml:3 list.y=2", "a.yml:6 use.y=3", "a.yml:8 list.z=4",
		}},
		{"json", "a.jsonc", "{\n  // why\n  \"dten\": {\"hybrid\": {\n    \"enable\": true,\n  }, \"n\": [1, 2]},\n  /* x\n */ \"o\": [{\"p\": null}]\n}\n", []string{
			"a.jsonc:4 dten.hybrid.enable=true", "a.jsonc:5 dten.n=1,2", "a.jsonc:7 o[0].p=null",
		}},
		{"toml", "a.toml", "top = \"t\"\n[dten.hybrid]\nenable = false\n\nlist = [1,\n 2]\nin = {a = 1, b.c = 'x'}\n[[srv]]\nport = 1\n[[srv]]\nport = 2\n[srv.tls]\non = true\n[[srv.x]]\ny = 1\n", []string{
			"a.toml:1 top=t", "a.toml:3 dten.hybrid.enable=false", "a.toml:5 dten.hybrid.list=1,2", "a.toml:7 dten.hybrid.in.a=1", "a.toml:7 dten.hybrid.in.b.c=x",
			"a.toml:9 srv[0].port=1", "a.toml:11 srv[1].port=2", "a.toml:13 srv[1].tls.on=true", "a.toml:15 srv[1].x[0].y=1",
		}},
		{"ini", "a.ini", "; c\nx = 1\n[dten hybrid]\nenable: \"yes\" ; c\nflag\n", []string{"a.ini:2 x=1", "a.ini:4 dten hybrid.enable=yes", "a.ini:5 dten hybrid.flag="}},
		{"properties", "a.properties", "# c\n! c\ndten.hybrid.enable=true\na\\ b : x\\u0041\\ty\nlong = 1,\\\n   2\nlast v\r\n", []string{
			"a.properties:3 dten.hybrid.enable=true", "a.properties:4 a b=xA\ty", "a.properties:5 long=1,2", "a.properties:7 last=v",
		}},
		{"env", "etc/default/dten", "# c\nexport A=1 # c\nB='x # y'\n\nC=\"z\"\nnot a line\n", []string{"etc/default/dten:2 A=1", "etc/default/dten:3 B=x # y", "etc/default/dten:5 C=z"}},
		{"unit", "dten.service", "[Unit]\nEnvironment=no=1\n[Service]\nEnvironment=A=1 \"B=two words\" \\\n  C=3\n# c\nEnvironment='D=4'\n", []string{
			"dten.service:4 A=1", "dten.service:4 B=two words", "dten.service:5 C=3", "dten.service:7 D=4",
		}},
		{"drop-in", "dten.service.d/10.conf", "[Service]\nEnvironment=A=1\n", []string{"dten.service.d/10.conf:2 A=1"}},
		{"compose", "docker-compose.yml", "services:\n  pay:\n    image: x\n    environment:\n      - A=1\n      - PASS\n  shop:\n    environment:\n      B: 2\n", []string{
			"docker-compose.yml:5 A=1", "docker-compose.yml:9 B=2",
		}},
		{"ConfigMap", "cm.yaml", "apiVersion: v1\nkind: ConfigMap\ndata:\n  DTEN_HYBRID_ENABLE: \"false\"\n  application.yaml: |\n    dten:\n      x: 1\n  a.properties: \"p=1\\nq=2\"\n---\n" +
			"apiVersion: v1\nkind: Secret\ndata:\n  k: c2VjcmV0\n  k.env: Qj0y\nstringData:\n  s: t\n", []string{
			"cm.yaml:4 DTEN_HYBRID_ENABLE=false", "cm.yaml:7 dten.x=1", "cm.yaml:8 p=1", "cm.yaml:8 q=2", "cm.yaml:13 k=secret", "cm.yaml:14 B=2", "cm.yaml:16 s=t",
		}},
		{"Deployment", "d.yaml", "spec:\n  containers:\n  - env:\n    - name: DTEN_X\n      value: \"1\"\n", []string{
			"d.yaml:4 DTEN_X=1", "d.yaml:4 spec.containers[0].env[0].name=DTEN_X", "d.yaml:5 spec.containers[0].env[0].value=1",
		}},
		{"conf", "a.conf", "[s]\nk=v\n", []string{"a.conf:2 s.k=v"}},
		{"nginx", "nginx.conf", "server {\n  listen 80;\n  set $x a=b;\n}\n", nil},
		{"binary", "a.yaml", "a: \x00", nil},
		{"other", "a.txt", "a: 1", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := read(map[string]string{tt.file: tt.text})
			if diff := cmp.Diff(tt.want, told(l)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if len(l.Unread) > 0 {
				t.Errorf("unread: %v", l.Unread)
			}
		})
	}
}

func TestUnread(t *testing.T) {
	deep := strings.Repeat("[", 2000)
	for _, tt := range []struct {
		file, text string
		line       int
		what       string
	}{
		{"a.yaml", "a: 1\nb: [\n", 0, "no valid YAML"},
		{"a.yaml", "a: {{ .Values.x }}: y\n- b", 0, "template"},
		{"a.json", "{\n \"a\": tru\n}", 2, "no valid JSON"},
		{"a.json", deep, 0, "nests too deeply"},
		{"a.toml", "a = 1\nb = = 2\n", 1, "no valid TOML"},
		{"a.toml", "a = " + deep, 0, "nests too deeply"},
		{"a.ini", strings.Repeat("x", maxFileBytes+1), 0, "larger than"},
	} {
		l := read(map[string]string{tt.file: tt.text})
		if len(l.Unread) != 1 || !strings.Contains(l.Unread[0].What, tt.what) || tt.line > 0 && l.Unread[0].Place.Line != tt.line {
			t.Errorf("%s %.20q: got %+v, want %q at line %d", tt.file, tt.text, l.Unread, tt.what, tt.line)
		}
	}
}

// An alias bomb stays within the bounds.
func TestBomb(t *testing.T) {
	text := "a0: &a0 {x: 1, y: 2, z: 3}\n"
	for i := 1; i < 20; i++ {
		text += fmt.Sprintf("a%d: &a%d {p: *a%d, q: *a%d, r: *a%d, s: *a%d}\n", i, i, i-1, i-1, i-1, i-1)
	}
	if n := len(read(map[string]string{"a.yaml": text}).Uses); n == 0 || n > maxWork {
		t.Errorf("got %d uses, want some, and no more than %d", n, maxWork)
	}
}

// Long keys and lists that are repeated over and over cost no more than they are long.
func TestRepeated(t *testing.T) {
	long, many := strings.Repeat("k", 200_000), 10_000
	var list strings.Builder
	list.WriteString("l: &l [" + strings.Repeat("a,", 30_000) + "a]\n")
	for i := range many {
		fmt.Fprintf(&list, "k%d: *l\n", i)
	}
	members, lines := strings.Repeat(`"a": 1,`, many), strings.Repeat("a = 1\n", many)
	for file, text := range map[string]string{
		"a.yaml": list.String(), "a.json": `{"` + long + `": {` + members + `}}`, "a.ini": "[" + long + "]\n" + lines, "a.properties": strings.Repeat("a_", 300_000) + "=1",
	} {
		if l := read(map[string]string{file: text}); len(l.Uses) > 100 {
			t.Errorf("%s: %d uses, want few", file, len(l.Uses))
		}
	}
}

// What a link leads to is read within the root, and once; out of it, it isn't.
func TestLinks(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, path string) {
		t.Helper()
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(out, "out.yaml"), "out: 1\n")
	write(filepath.Join(dir, "..2026", "in.yaml"), "in: 1\n")
	write(filepath.Join(dir, "a.yaml"), "a: 1\n")
	link("..2026", filepath.Join(dir, "..data"))
	link("..data/in.yaml", filepath.Join(dir, "in.yaml"))
	link("a.yaml", filepath.Join(dir, "b.yaml"))
	link(filepath.Join(out, "out.yaml"), filepath.Join(dir, "out.yaml"))
	link(out, filepath.Join(dir, "outside"))
	link("loop.yaml", filepath.Join(dir, "loop.yaml"))
	l, err := OpenLive(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{dir + "/a.yaml:1 a=1", dir + "/in.yaml:1 in=1"}
	if diff := cmp.Diff(want, told(l)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if one, err := OpenLive(filepath.Join(dir, "a.yaml")); err != nil || len(one.Uses) != 1 {
		t.Errorf("one file: %v, %v", told(one), err)
	}
	if _, err := OpenLive(filepath.Join(dir, "none")); err == nil {
		t.Error("a root that isn't there was opened")
	}
}

func TestEnvironmentFile(t *testing.T) {
	l := read(map[string]string{
		"etc/systemd/system/dten-pay.service": "[Service]\nEnvironmentFile=-/opt/dten/pay.settings\nEnvironmentFile=/etc/default/pay\nEnvironmentFile=/../x\n",
		"opt/dten/pay.settings":               "A=1\n", "etc/default/pay": "B=2\n",
	})
	if diff := cmp.Diff([]string{"etc/default/pay:1 B=2", "opt/dten/pay.settings:1 A=1"}, told(l)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, u := range l.Uses {
		if u.Component != "dten-pay" {
			t.Errorf("%s is of %q, want dten-pay", u.Key, u.Component)
		}
	}
}

func TestSame(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"dten.hybrid.enable", "DTEN_HYBRID_ENABLE", true},
		{"dten.hybrid.enable", "Dten.Hybrid.Enable", true},
		{"dten.hybrid-enable", "dten.hybridEnable", true},
		{"dten.hybrid-enable", "DTEN_HYBRIDENABLE", true},
		{"dten.hybrid.enable", "--dten-hybrid-enable", true},
		{"dten.hybrid.enable", "DTEN__HYBRID__ENABLE", true},
		{"servers[0].port", "servers.port", true},
		{"dten.hybrid.enable", "DTEN_HYBRIDENABLE", false},
		{"dten.hybrid.enable", "dten.hybrid-enable", false},
		{"ab.c", "a.bc", false},
		{"dten.hybrid.enable", "dten.hybrid.enabled", false},
		{"", "", false},
	} {
		if got, back := Same(tt.a, tt.b), Same(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("Same(%q, %q) = %t, back %t, want %t", tt.a, tt.b, got, back, tt.want)
		}
	}
}

// Any spelling that Spring's relaxed binding has of a key means it.
func TestSpellings(t *testing.T) {
	word := rapid.StringMatching(`[a-z][a-z0-9]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SliceOfN(word, 1, 3), 1, 4).Draw(t, "parts")
		var kebab, camel, env []string
		for _, p := range parts {
			kebab = append(kebab, strings.Join(p, "-"))
			c := p[0]
			for _, w := range p[1:] {
				c += strings.ToUpper(w[:1]) + w[1:]
			}
			camel = append(camel, c)
			env = append(env, strings.ToUpper(strings.Join(p, "")))
		}
		key := strings.Join(kebab, ".")
		for _, other := range []string{strings.Join(camel, "."), strings.Join(env, "_")} {
			if !Same(key, other) {
				t.Errorf("%s isn't %s", other, key)
			}
		}
	})
}

func TestSecrets(t *testing.T) {
	for _, tt := range []struct {
		key, value string
		hidden     bool
	}{
		{"db.password", "x", true},
		{"DB_PASSWD", "x", true},
		{"api.token.value", "x", true},
		{"tls.key", "x", true},
		{"apiKey", "x", true},
		{"sslKey", "x", true},
		{"db.dsn", "x", true},
		{"url", "postgres://u:p@h/db", true},
		{"x", "-----BEGIN RSA PRIVATE KEY-----", true},
		{"x", "eyJhbGciOiJIUzI1NiJ9.e30.x", true},
		{"aws", "AKIAIOSFODNN7EXAMPLE", true},
		{"opts", "host=x password=y", true},
		{"dten.hybrid.enable", "true", false},
		{"monkey.count", "3", false},
		{"compass.on", "1", false},
		{"url", "https://h/p", false},
		{"keys.max", "4", false},
	} {
		u := Use{Key: tt.key, value: tt.value}
		if got := u.Shown(); (got == Hidden) != tt.hidden {
			t.Errorf("%s=%s is shown as %q, want hidden %t", tt.key, tt.value, got, tt.hidden)
		}
	}
	if got := (Use{Key: "x", value: "a\x1b[31m\nb" + strings.Repeat("c", 200)}).Shown(); strings.ContainsAny(got, "\x1b\n") || len([]rune(got)) != 121 {
		t.Errorf("shown as %q", got)
	}
}

// All of a Secret is hidden, whatever its keys are called.
func TestKubernetesSecret(t *testing.T) {
	l := read(map[string]string{"s.yaml": "apiVersion: v1\nkind: Secret\ndata:\n  k: c2VjcmV0\n  k.env: Qj0y\nstringData:\n  s: t\n"})
	if len(l.Uses) != 3 {
		t.Errorf("got %v, want three uses", told(l))
	}
	for _, u := range l.Uses {
		if u.Shown() != Hidden {
			t.Errorf("%s is shown as %q", u.Key, u.Shown())
		}
	}
}

// JSON is YAML too: both readers find the same keys, values and lines.
func TestJSONAsYAML(t *testing.T) {
	word := rapid.StringMatching(`[a-z]{1,6}`)
	scalar := rapid.OneOf(rapid.Map(word, func(s string) any { return "v" + s }), rapid.Map(rapid.IntRange(0, 9999), func(n int) any { return n }))
	level := func(below *rapid.Generator[any]) *rapid.Generator[any] {
		return rapid.OneOf(scalar, rapid.Map(rapid.MapOfN(word, below, 1, 4), func(m map[string]any) any { return m }),
			rapid.Map(rapid.SliceOfN(below, 1, 3), func(l []any) any { return l }))
	}
	value := level(level(level(scalar)))
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.MarshalIndent(map[string]any{"top": value.Draw(t, "value")}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		a, b := read(map[string]string{"a.json": string(text)}), read(map[string]string{"a.yaml": string(text)})
		for i := range b.Uses {
			b.Uses[i].File = "a.json"
		}
		if diff := cmp.Diff(told(a), told(b)); diff != "" {
			t.Fatalf("%s\n(-json +yaml)\n%s", text, diff)
		}
	})
}

func TestGrep(t *testing.T) {
	l := read(map[string]string{
		"a.yaml": "dten:\n  hybrid: {enable: 1, mode: 2}\n  hybridx: 3\nvalues:\n  dten:\n    hybrid:\n      enable: 4\n", "b.env": "DTEN_HYBRID_ENABLE=5\nDTEN_HYBRIDX=6\n",
	})
	for _, tt := range []struct{ pattern, want string }{
		{"dten.hybrid.enable", "1 4 5"}, {"DTEN_HYBRID_ENABLE", "1 5"}, {"dten.hybrid.*", "1 2 4 5"}, {"dten.*", "1 2 3 5 6"}, {"enable", ""}, {"none.*", ""},
	} {
		var got []string
		for _, u := range l.Grep(tt.pattern) {
			got = append(got, u.Value())
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s finds %v, want %s", tt.pattern, got, tt.want)
		}
	}
}

func FuzzLive(f *testing.F) {
	for i, text := range []string{
		"a: &x {b: *x}\n", "{\"a\": [1, {}]} // c", "[a]\nb = {c = [1]}\n", "[s]\nk=v", "a\\\n b = \\u00", "A='1\nB=2", "[Service]\nEnvironment=\"A=1\" \\\n",
		"apiVersion: v1\nkind: ConfigMap\ndata:\n  a.toml: |\n    x = 1\n",
	} {
		f.Add(uint8(i), text)
	}
	names := []string{"a.yaml", "a.json", "a.toml", "a.ini", "a.properties", "a.env", "a.service", "a.conf", "docker-compose.yml"}
	f.Fuzz(func(t *testing.T, form uint8, text string) {
		l := read(map[string]string{names[int(form)%len(names)]: text})
		lines := strings.Count(text, "\n") + 1
		for _, u := range l.Uses {
			if u.Line < 1 || u.Line > lines || u.Key == "" {
				t.Errorf("%s=%s at line %d of %d", u.Key, u.Value(), u.Line, lines)
			}
			_ = u.Shown()
		}
	})
}
