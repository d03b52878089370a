package inventory

import (
	"regexp"
	"strings"

	"aftershock/upgrades/inside"
)

// Interfaces are what a binary offers or uses as far as its strings and functions tell.
// Texts are no proof: what the strings of a build don't have may still be put together when
// it runs.
type Interfaces struct {
	// Routes are of HTTP, "POST /v1/place"; the value says that the text can hardly be
	// anything else.
	Routes map[string]bool
	// Services are of protobuf, "dten.checkout.v1.Checkout", and their methods,
	// "dten.checkout.v1.Checkout/Place".
	Services map[string]bool
	// Tables are what SQL statements name.
	Tables map[string]bool
}

// maxInterfaces bounds what is kept of each kind.
const maxInterfaces = 20_000

var (
	methodRoute = regexp.MustCompile(`^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) +[a-z0-9.:-]*/[!-~]*$`)
	clearRoute  = regexp.MustCompile(`^/(?:api|v[0-9]+|rest|rpc|graphql|webhooks?)(?:/[A-Za-z0-9_{}:.*~-]+)*/?$`)
	vagueRoute  = regexp.MustCompile(`^(?:/(?:[a-z0-9_*~-]+|:[a-z0-9_]+|\{[^/{}]*\}))+/?$`)
	// hostPath is what begins with a directory of hosts, as no route does.
	hostPath    = regexp.MustCompile(`^/(?:etc|usr|proc|dev|var|tmp|sys|lib|lib64|bin|sbin|run|opt|home|root|mnt|srv|boot|private|system)(?:/|$)`)
	grpcMethod  = regexp.MustCompile(`^/([a-z]\w*(?:\.\w+)*\.[A-Z]\w*)/([A-Z]\w*)$`)
	sqlRead     = regexp.MustCompile(`(?is)^\s*(?:select|with)\s.*\sfrom\s`)
	sqlWrite    = regexp.MustCompile(`(?is)^\s*(?:insert\s+into|delete\s+from|update\s+[\w."]+\s+(?:as\s+\w+\s+)?set|merge\s+into|truncate\s+table|(?:create|alter|drop)\s+(?:or\s+replace\s+)?(?:temp\w*\s+|unlogged\s+|materialized\s+)?(?:table|view))\s`)
	sqlObject   = regexp.MustCompile(`(?is)\b(?:from|join|into|update|table|view)\s+(?:if\s+(?:not\s+)?exists\s+|only\s+)?"?([a-z_]\w*(?:"?\."?[a-z_]\w*)?)"?`)
	sqlKeywords = map[string]bool{"select": true, "set": true, "the": true, "a": true, "an": true, "lateral": true, "unnest": true, "values": true, "where": true, "on": true, "only": true, "generate_series": true, "if": true}
)

// InterfacesOf recognises the interfaces in a fingerprint.
func InterfacesOf(p inside.Fingerprint) Interfaces {
	i := Interfaces{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	const longest = 8 << 10
	for _, t := range p.Texts {
		if len(t) > longest || len(t) < 2 {
			continue
		}
		if t[0] == '/' || methodRoute.MatchString(t) {
			i.route(t)
		} else if len(i.Tables) < maxInterfaces && (sqlRead.MatchString(t) || sqlWrite.MatchString(t)) {
			for _, m := range sqlObject.FindAllStringSubmatch(t, 100) {
				if name := strings.ToLower(strings.ReplaceAll(m[1], `"`, "")); !sqlKeywords[name] {
					i.Tables[name] = true
				}
			}
		}
	}
	return i
}

func (i *Interfaces) route(t string) {
	if len(i.Routes) >= maxInterfaces || len(i.Services) >= maxInterfaces {
		return
	}
	switch m := grpcMethod.FindStringSubmatch(t); {
	case m != nil:
		i.Services[m[1]], i.Services[m[1]+"/"+m[2]] = true, true
	case methodRoute.MatchString(t):
		i.Routes[oneLine(t)] = true
	case hostPath.MatchString(t):
	case clearRoute.MatchString(t):
		i.Routes[t] = true
	case vagueRoute.MatchString(t):
		i.Routes[t] = false
	}
}

// hasRoute says whether a route is among those of a build: "/place" also as "POST /place",
// and the other way round, a slash at the end left aside.
func (i Interfaces) hasRoute(want string) bool {
	method, at := splitRoute(want)
	for r := range i.Routes {
		m, a := splitRoute(r)
		if a == at && (m == method || m == "" || method == "") {
			return true
		}
	}
	return false
}

// splitRoute gives method and path, "" for any method.
func splitRoute(route string) (method, at string) {
	at = route
	if m, rest, ok := strings.Cut(route, " "); ok {
		method, at = m, strings.TrimSpace(rest)
	}
	if k := strings.IndexByte(at, '/'); k > 0 {
		at = at[k:] // a host
	}
	if len(at) > 1 {
		at = strings.TrimSuffix(at, "/")
	}
	return method, at
}
