package flags

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
)

// Bounds of the file of keys: bytes of it, keys in it, bytes of one.
const (
	maxKeyFile = 64 << 10
	maxKeys    = 100
	minKey     = 16
)

// keys are what callers must present to read flags. The zero value lets
// everybody in.
type keys struct {
	digests [][sha256.Size]byte
}

// readKeys reads a file with one key a line, of which each opens: so a new one
// can be handed out before the old one goes. Its errors don't tell what the file
// holds.
func readKeys(name string) (keys, error) {
	if name == "" {
		return keys{}, nil
	}
	b, err := readFile(name, maxKeyFile)
	if err != nil {
		return keys{}, fmt.Errorf("read keys: %w", err)
	}
	var k keys
	line := 0
	for text := range strings.Lines(string(b)) {
		line++
		key := strings.TrimSpace(text)
		if key == "" {
			continue
		}
		if len(key) < minKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return keys{}, fmt.Errorf("read keys: line %d of %s isn't one word of at least %d plain characters", line, name, minKey)
		}
		k.digests = append(k.digests, sha256.Sum256([]byte(key)))
	}
	if len(k.digests) == 0 || len(k.digests) > maxKeys {
		return keys{}, fmt.Errorf("read keys: %s holds %d keys, not 1 to %d", name, len(k.digests), maxKeys)
	}
	return k, nil
}

func (k keys) any() bool { return len(k.digests) > 0 }

// opens says whether what was presented is a key, in a time that doesn't depend
// on how much of it is right.
func (k keys) opens(presented string) bool {
	digest, good := sha256.Sum256([]byte(presented)), 0
	for i := range k.digests {
		good |= subtle.ConstantTimeCompare(digest[:], k.digests[i][:])
	}
	return good == 1
}

// ticket opens the event stream and nothing else. It stands in the stream's
// address, as browsers can't send a key with it, and tells nothing of the key.
func (k keys) ticket(n int) string {
	mac := hmac.New(sha256.New, k.digests[n][:])
	mac.Write([]byte("aftershock event stream"))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func (k keys) takes(ticket string) bool {
	good := 0
	for i := range k.digests {
		good |= subtle.ConstantTimeCompare([]byte(ticket), []byte(k.ticket(i)))
	}
	return good == 1
}

// presented is the key that a request carries: as a bearer token, or as OFREP's
// X-API-Key.
func presented(r *http.Request) string {
	if key := r.Header.Get("X-API-Key"); key != "" {
		return key
	}
	key := r.Header.Get("Authorization")
	if len(key) > 7 && strings.EqualFold(key[:7], "Bearer ") {
		key = strings.TrimSpace(key[7:])
	}
	return key
}

// Admits says whether a request may read flags: it carries one of the keys, or
// none are configured.
func (s *Switchboard) Admits(r *http.Request) bool {
	k := s.keys.Load()
	return !k.any() || k.opens(presented(r))
}

// admitsToEvents does so for the event stream, which a ticket opens as well.
func (s *Switchboard) admitsToEvents(r *http.Request) bool {
	k := s.keys.Load()
	return !k.any() || k.opens(presented(r)) || k.takes(r.URL.Query().Get("ticket"))
}

// eventsPath is where a caller of the bulk evaluation finds the event stream.
func (s *Switchboard) eventsPath(path string) string {
	if k := s.keys.Load(); k.any() {
		return path + "?ticket=" + k.ticket(0)
	}
	return path
}
