package inbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aftershock/detector"
)

// Bounds of what is taken.
const (
	maxText     = 256 // bytes of a name or a version, as in records
	maxWords    = 250 // bytes of the words that say where a change comes from
	maxBinaries = 100 // of one change
	// ahead is how far a sender's clock may be before ours, oldest how long ago
	// a change may have been: the watch over it would be over.
	ahead  = 5 * time.Minute
	oldest = 7 * 24 * time.Hour
)

// told is what a sender says of one change, in its own words.
type told struct {
	// ignored is why it isn't an upgrade; then nothing else counts.
	ignored string
	// key is the change's identity at the sender, the same in all that it says of
	// the change; title names it in the ID, left out it is the first binary.
	key         []string
	title       string
	environment string
	// words say where it comes from, link is a page about it.
	words, link string
	binaries    []detector.Binary
	// started and finished are zero where the sender doesn't say it; one of them
	// is there.
	started, finished time.Time
	rollback, failed  bool
	// update ends a change that is known, and makes none.
	update bool
}

func ignored(format string, args ...any) []told {
	return []told{{ignored: printable(fmt.Sprintf(format, args...), maxWords)}}
}

// report makes an upgrade of it.
func (b *Inbox) report(sender string, t told, now time.Time) (Report, error) {
	if t.ignored != "" {
		return Report{Ignored: t.ignored}, nil
	}
	environment := printable(t.environment, 60)
	if environment != "" && len(b.environments) > 0 && !slices.ContainsFunc(b.environments, func(p string) bool {
		ok, err := path.Match(p, environment)
		return ok && err == nil
	}) {
		return Report{Ignored: fmt.Sprintf("environment %q isn't among upgrades.inbox.environments", environment)}, nil
	}
	u := detector.Upgrade{Source: source(sender, environment, t), Package: packageWords(t)}
	for _, at := range []time.Time{t.started, t.finished} {
		if err := current(at, now); err != nil {
			return Report{}, err
		}
	}
	u.StartedAt, u.FinishedAt = t.started.UTC(), t.finished.UTC()
	switch {
	case t.started.IsZero():
		u.StartedAt = u.FinishedAt
	case !t.finished.IsZero() && t.finished.Before(t.started):
		return Report{}, fmt.Errorf("the end %s is before the start %s", stamp(t.finished), stamp(t.started))
	}
	if len(t.binaries) > maxBinaries {
		return Report{}, fmt.Errorf("it names %d binaries, want at most %d", len(t.binaries), maxBinaries)
	}
	for _, bin := range t.binaries {
		if mapped, ok := b.names[bin.Name]; ok {
			bin.Name = mapped
		}
		if slices.ContainsFunc(u.Binaries, func(o detector.Binary) bool { return o.Name == bin.Name }) {
			continue
		}
		if bin.From == bin.To {
			bin.From = "" // the same version deployed again
		}
		for _, v := range []string{bin.From, bin.To} {
			if len(v) > maxText || strings.ContainsFunc(v, unprintable) || !utf8.ValidString(v) {
				return Report{}, fmt.Errorf("the version of %s is no printable text of at most %d bytes", bin.Name, maxText)
			}
		}
		u.Binaries = append(u.Binaries, bin)
	}
	if len(u.Binaries) == 0 {
		return Report{}, errors.New("it names no binary or service")
	}
	u.ID = id(sender, cmp.Or(t.title, u.Binaries[0].Name), t.key)
	return Report{Upgrade: u, Update: t.update}, nil
}

// source says how the upgrade was learnt: "argocd/production, rollback".
func source(sender, environment string, t told) string {
	s := sender
	if environment != "" {
		s += "/" + strings.ReplaceAll(environment, ",", " ")
	}
	if t.rollback {
		s += ", rollback"
	}
	if t.failed {
		s += ", failed"
	}
	return s
}

func packageWords(t told) string {
	words := printable(t.words, maxWords)
	link := printable(t.link, maxWords)
	if u, err := url.Parse(link); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || link != t.link {
		return words
	}
	if words == "" {
		return link
	}
	if len(words)+1+len(link) > maxWords {
		return words
	}
	return words + " " + link
}

// current says what is wrong with a time that lies ahead or long ago.
func current(at, now time.Time) error {
	switch {
	case at.IsZero():
		return nil
	case at.After(now.Add(ahead)):
		return fmt.Errorf("its time %s lies %s ahead of this clock: set the sender's clock, at most %s are allowed", stamp(at), at.Sub(now).Round(time.Second), ahead)
	case at.Before(now.Add(-oldest)):
		return fmt.Errorf("its time %s is more than 7 days ago: such an upgrade isn't watched any more", stamp(at))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// moment reads a time that the sender gave; zero where there is none.
func moment(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	// Some leave the colon of the zone away: date +%FT%T%z.
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: want a time such as 2026-03-06T09:00:00Z, got %.40q", field, text)
}

// name is a text that can name a binary or a service.
func name(field, s string) (string, error) {
	switch s = strings.TrimSpace(s); {
	case s == "":
		return "", fmt.Errorf("%s is missing: want the name of a binary or service", field)
	case len(s) > maxText:
		return "", fmt.Errorf("%s has %d bytes, want at most %d", field, len(s), maxText)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable):
		return "", fmt.Errorf("%s holds a control character, or one that isn't seen", field)
	}
	return s, nil
}

func unprintable(r rune) bool {
	return r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// printable is the text without what isn't seen, in one line, clipped.
func printable(s string, most int) string {
	if len(s) > 4*most {
		s = s[:4*most]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return r == ' ' || unprintable(r) }), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most-len("…")], "") + "…"
	}
	return s
}

// id is the same for all that a sender says of one change, and can stand in a
// URL and in a file's name.
func id(sender, name string, key []string) string {
	b, err := json.Marshal(append([]string{sender}, key...))
	if err != nil {
		panic(err) // strings always can be written
	}
	sum := sha256.Sum256(b)
	slug := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+-", r) {
			return r
		}
		return '-'
	}, name)
	return fmt.Sprintf("%s-%s-%s", sender, slug[:min(len(slug), 60)], hex.EncodeToString(sum[:6]))
}

// version is the text when it can be the version that a program tells of itself:
// digests, branches and "latest" are none.
func version(s string) string {
	s = strings.TrimSpace(strings.TrimPrefix(s, "refs/tags/"))
	bare := strings.TrimPrefix(strings.TrimPrefix(s, "v"), "V")
	if bare == "" || bare[0] < '0' || bare[0] > '9' || !strings.Contains(bare, ".") || strings.ContainsAny(bare, "/:@ ") {
		return ""
	}
	return s
}

// image splits "registry:5000/team/dten-checkout:4.2.0@sha256:…" into its last
// name and its tag, where that is a version.
func image(ref string) (name, tag string) {
	ref, _, _ = strings.Cut(ref, "@")
	name = ref[strings.LastIndexByte(ref, '/')+1:]
	name, tag, _ = strings.Cut(name, ":")
	return name, version(tag)
}

// purl gives the name and version of a package URL such as
// "pkg:oci/myapp@sha256%3A0b31…?tag=4.2.0"; the tag where the version is a
// digest.
func purl(s string) (name, to string) {
	rest, ok := strings.CutPrefix(s, "pkg:")
	if !ok {
		return image(s)
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	rest, v, _ := strings.Cut(rest, "@")
	name = rest[strings.LastIndexByte(rest, '/')+1:]
	if plain, err := url.PathUnescape(v); err == nil {
		v = plain
	}
	if q, err := url.ParseQuery(query); err == nil {
		return name, cmp.Or(version(v), version(q.Get("tag")))
	}
	return name, version(v)
}
