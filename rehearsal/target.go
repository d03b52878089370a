package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Target is a copy that may be rehearsed against: its URL, and the one address that
// its name was resolved to.
type Target struct {
	url  *url.URL // scheme, host and a path that goes before all others
	host string   // without a port
	addr netip.AddrPort
}

// String is the URL.
func (t *Target) String() string { return t.url.String() }

// at is the URL of a path with its query.
func (t *Target) at(path string) string {
	u := url.URL{Scheme: t.url.Scheme, Host: t.url.Host}
	return u.String() + t.url.EscapedPath() + path
}

// Address is the address that is dialled.
func (t *Target) Address() netip.AddrPort { return t.addr }

// Resolver finds the addresses of a name; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// ErrNotAllowed says that a target isn't on the list of those that may be rehearsed
// against.
var ErrNotAllowed = errors.New("not allowed")

// Aim checks that a URL may be rehearsed against and resolves its host, once: later
// answers of the name server change nothing. Allowed are
//
//   - host:port and host (any port), if the URL names them just so;
//   - an address, an address with a port, or a range such as 10.1.0.0/16, if the host's
//     address is in it.
//
// An address that is loopback, link-local or otherwise special must be listed as an
// address or a range; only the name localhost may stand for loopback. So nobody who
// answers for a name can point it at something on this machine, nor at a cloud's
// metadata. Where the host has several addresses, each must be allowed and the first
// is taken.
func Aim(ctx context.Context, raw string, allow []string, r Resolver) (*Target, error) {
	u, err := parseTarget(raw)
	if err != nil {
		return nil, err
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return nil, fmt.Errorf("target: port %.20q is none", port)
	}
	var addrs []netip.Addr
	literal, err := netip.ParseAddr(host)
	named := err != nil
	if !named {
		addrs = []netip.Addr{literal}
	} else {
		if !nameLike(host) {
			return nil, fmt.Errorf("target: %.80q is neither a name nor an address", host)
		}
		if addrs, err = r.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, fmt.Errorf("resolve %s: %w", host, err)
		}
	}
	if len(addrs) == 0 || len(addrs) > 64 {
		return nil, fmt.Errorf("resolve %s: %d addresses", host, len(addrs))
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap().WithZone("")
		if a.Zone() != "" {
			return nil, fmt.Errorf("target: address %s has a zone", a)
		}
		if !permitted(host, named, netip.AddrPortFrom(addrs[i], uint16(number)), allow) {
			where := net.JoinHostPort(host, port)
			if named {
				where += " (" + addrs[i].String() + ")"
			}
			return nil, fmt.Errorf("target %s: %w: list it in rehearsal.allow of the configuration, or give --allow and --confirm", where, ErrNotAllowed)
		}
	}
	return &Target{url: u, host: host, addr: netip.AddrPortFrom(addrs[0], uint16(number))}, nil
}

func parseTarget(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("target: the URL can't be parsed")
	case u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return nil, errors.New("target: want an http or https URL")
	case u.User != nil:
		return nil, errors.New("target: the URL has a user in it: credentials belong into the profile's headers")
	case u.Hostname() == "":
		return nil, errors.New("target: the URL names no host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("target: the URL has a query or a fragment: give those in the profile's paths")
	case u.Path != "" && pathError(u.EscapedPath()) != nil:
		return nil, fmt.Errorf("target: path: %w", pathError(u.EscapedPath()))
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// nameLike says whether a host is a name as name servers know them. Numbers such as
// 2130706433 or 0x7f.1, which some resolvers take for addresses, are none.
func nameLike(host string) bool {
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.ContainsFunc(l, func(c rune) bool {
			return c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9')
		}) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(host) <= 253 && last[0] >= 'a' && last[0] <= 'z'
}

// permitted says whether one entry allows the address.
func permitted(host string, named bool, at netip.AddrPort, allow []string) bool {
	special := at.Addr().IsLoopback() || at.Addr().IsLinkLocalUnicast() || at.Addr().IsMulticast() || at.Addr().IsUnspecified() ||
		at.Addr().IsInterfaceLocalMulticast() || at.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if at.Addr().IsMulticast() || at.Addr().IsUnspecified() {
		return false
	}
	return slices.ContainsFunc(allow, func(entry string) bool {
		e, err := parseEntry(entry)
		switch {
		case err != nil:
			return false
		case e.port != 0 && e.port != at.Port():
			return false
		case e.host == "":
			return e.within.Contains(at.Addr())
		case !named || e.host != host:
			return false
		}
		return !special || host == "localhost" && at.Addr().IsLoopback()
	})
}

// entry is one entry of the list.
type entry struct {
	host   string // "" where an address or range is listed
	within netip.Prefix
	port   uint16 // 0: any
}

func parseEntry(text string) (entry, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if p, err := netip.ParsePrefix(text); err == nil {
		return entry{within: unmapped(p)}, nil
	}
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return entry{within: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	host, port := text, ""
	if h, p, err := net.SplitHostPort(text); err == nil {
		host, port = h, p
	}
	var e entry
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return entry{}, fmt.Errorf("%.80q: port %.20q is none", text, port)
		}
		e.port = uint16(n)
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" {
		a = a.Unmap()
		e.within = netip.PrefixFrom(a, a.BitLen())
		return e, nil
	}
	host = strings.TrimSuffix(host, ".")
	if !nameLike(host) {
		return entry{}, fmt.Errorf("%.80q: want host:port, host, an address or a range such as 10.1.0.0/16", text)
	}
	e.host = host
	return e, nil
}

// unmapped gives a range of IPv4 addresses in IPv6's clothes its own form, since
// addresses are compared in theirs.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
