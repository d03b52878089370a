package rehearsal

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// names is a name server; each answer is given once, the last for ever.
type names map[string][][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	answers := n[host]
	if len(answers) == 0 {
		return nil, errors.New("no such host")
	}
	if len(answers) > 1 {
		n[host] = answers[1:]
	}
	var out []netip.Addr
	for _, a := range answers[0] {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

func TestAim(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, url string
		allow     []string
		want      string // the address, or a part of the error
	}{
		{"nothing is allowed by itself", "http://127.0.0.1:80", nil, "not allowed"},
		{"not even localhost", "http://localhost:80", nil, "not allowed"},
		{"address", "http://127.0.0.1:8080", []string{"127.0.0.1"}, "127.0.0.1:8080"},
		{"address and port", "http://127.0.0.1:8080", []string{"127.0.0.1:8080"}, "127.0.0.1:8080"},
		{"other port", "http://127.0.0.1:8081", []string{"127.0.0.1:8080"}, "not allowed"},
		{"range", "http://10.1.2.3", []string{"10.1.0.0/16"}, "10.1.2.3:80"},
		{"out of the range", "http://10.2.2.3", []string{"10.1.0.0/16"}, "not allowed"},
		{"name", "https://copy.example", []string{"copy.example"}, "192.0.2.1:443"},
		{"name in capitals with a dot", "https://COPY.example.", []string{"copy.example:443"}, "192.0.2.1:443"},
		{"name by its address", "http://copy.example:8080", []string{"192.0.2.0/24"}, "192.0.2.1:8080"},
		{"localhost by name", "http://localhost:8080", []string{"localhost:8080"}, "127.0.0.1:8080"},
		{"name that ends like another", "http://evil-copy.example", []string{"copy.example"}, "resolve"},
		{"name below another", "http://x.copy.example", []string{"copy.example"}, "resolve"},
		{"name that points to loopback", "http://bound.example", []string{"bound.example"}, "not allowed"},
		{"name that points to the metadata service", "http://meta.example", []string{"meta.example"}, "not allowed"},
		{"loopback allowed as an address", "http://bound.example", []string{"127.0.0.0/8"}, "127.0.0.1:80"},
		{"one address of two isn't allowed", "http://two.example", []string{"192.0.2.0/24"}, "not allowed"},
		{"IPv4 in IPv6's clothes, allowed", "http://[::ffff:10.1.2.3]:80", []string{"10.1.0.0/16"}, "10.1.2.3:80"},
		{"IPv4 in IPv6's clothes, not allowed", "http://[::ffff:127.0.0.1]:80", []string{"10.1.0.0/16", "::/96"}, "not allowed"},
		{"range in IPv6's clothes", "http://10.1.2.3", []string{"::ffff:10.1.0.0/112"}, "10.1.2.3:80"},
		{"name answers with a mapped address", "http://mapped.example", []string{"mapped.example"}, "not allowed"},
		{"IPv6", "http://[2001:db8::1]:81", []string{"[2001:db8::1]:81"}, "[2001:db8::1]:81"},
		{"zone", "http://[fe80::1%25eth0]/", []string{"fe80::/10"}, "zone"},
		{"number that some take for an address", "http://2130706433/", []string{"127.0.0.1", "2130706433"}, "neither a name nor an address"},
		{"octal", "http://0177.0.0.1/", []string{"127.0.0.1"}, "neither a name nor an address"},
		{"everybody", "http://0.0.0.0/", []string{"0.0.0.0", "0.0.0.0/0"}, "not allowed"},
		{"many at once", "http://224.0.0.1/", []string{"0.0.0.0/0"}, "not allowed"},
		{"user that looks like the host", "http://copy.example@evil.example/", []string{"copy.example"}, "user in it"},
		{"user and password", "http://a:b@copy.example/", []string{"copy.example"}, "user in it"},
		{"backslash", `http://copy.example\@evil.example/`, []string{"copy.example"}, "parsed"},
		{"other scheme", "ftp://copy.example/", []string{"copy.example"}, "http or https"},
		{"opaque", "http:copy.example", []string{"copy.example"}, "want an http or https URL"},
		{"no host", "http:///x", []string{"copy.example"}, "no host"},
		{"query", "http://copy.example/?a=b", []string{"copy.example"}, "query"},
		{"port 0", "http://copy.example:0/", []string{"copy.example"}, "port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Aim(t.Context(), tt.url, tt.allow, names{
				"copy.example": {{"192.0.2.1"}}, "localhost": {{"127.0.0.1"}}, "bound.example": {{"127.0.0.1"}},
				"meta.example": {{"169.254.169.254"}}, "two.example": {{"192.0.2.1", "198.51.100.1"}}, "mapped.example": {{"::ffff:127.0.0.1"}},
			})
			said := ""
			if err != nil {
				said = err.Error()
			} else {
				said = got.Address().String()
			}
			if !strings.Contains(said, tt.want) || err == nil && said != tt.want {
				t.Errorf("got %s, want %s", said, tt.want)
			}
			if strings.Contains(said, "a:b@") {
				t.Errorf("the error tells the password: %s", said)
			}
		})
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	c := Config{Allow: []string{"copy:80", "10.0.0.0/8", "[::1]:80", "a b"}, MaxRate: 10_001, MaxDuration: CeilingDuration + 1, MaxInFlight: -1, StopErrors: 2}
	var got []string
	for _, err := range c.Validate("rehearsal") {
		path, _, _ := strings.Cut(err.Error(), ": ")
		got = append(got, path)
	}
	if want := "rehearsal.allow[3] rehearsal.max_rate rehearsal.max_duration rehearsal.max_in_flight rehearsal.stop_errors"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	var d Config
	d.SetDefaults()
	if errs := d.Validate("rehearsal"); len(errs) > 0 {
		t.Errorf("defaults: %v", errs)
	}
}

func FuzzAim(f *testing.F) {
	f.Add("http://127.0.0.1:80/", "10.0.0.0/8")
	f.Add("http://copy.example@evil/", "copy.example")
	f.Fuzz(func(t *testing.T, url, allow string) {
		got, err := Aim(t.Context(), url, []string{allow}, names{"copy.example": {{"192.0.2.1"}}})
		if err != nil {
			return
		}
		e, err := parseEntry(allow)
		if err != nil {
			t.Fatalf("%q was allowed by %q, which is no entry", url, allow)
		}
		if e.host == "" && !e.within.Contains(got.Address().Addr()) || e.host != "" && e.host != got.host {
			t.Fatalf("%q (%s) was allowed by %q", url, got.Address(), allow)
		}
	})
}
