package inbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
)

// Errors of Vouched.
var (
	// ErrUnknown says that nothing vouches for the message.
	ErrUnknown = errors.New("the inbox needs the token (Authorization: Bearer TOKEN), or a signature: docs/inbox.md shows how each sender gives it")
	// ErrForged says that a signature was given and is wrong.
	ErrForged = errors.New("the signature was refused: the sender's secret isn't the one in the file that the configuration names")
)

// Vouched says who vouches for a message: somebody with a token, or a sender's
// signature. isToken tells whether a word is the daemon's own token, bearer is
// the one that came in the header.
func (b *Inbox) Vouched(m Message, bearer string, isToken func(string) bool) error {
	accepted := func(word string) bool {
		return word != "" && (isToken(word) || len(b.token) > 0 && subtle.ConstantTimeCompare([]byte(word), b.token) == 1)
	}
	signed := false
	for _, s := range []struct {
		header string
		secret []byte
	}{{"X-Hub-Signature-256", b.github}, {"X-Signature", b.flux}} {
		given := m.Header.Get(s.header)
		if given == "" || len(s.secret) == 0 {
			continue
		}
		if !signature(s.secret, m.Body, given) {
			return ErrForged
		}
		signed = true
	}
	if signed || accepted(bearer) || accepted(routingKey(m)) {
		return nil
	}
	return ErrUnknown
}

// signature verifies "sha256=" and the HMAC of the body in hexadecimal digits.
func signature(secret, body []byte, given string) bool {
	digits, ok := strings.CutPrefix(given, "sha256=")
	if !ok {
		return false
	}
	got, err := hex.DecodeString(digits)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// routingKey is where senders of PagerDuty's form have their secret.
func routingKey(m Message) string {
	if m.Sender != "pagerduty" {
		return ""
	}
	var body struct {
		RoutingKey string `json:"routing_key"`
	}
	if json.Unmarshal(m.Body, &body) != nil {
		return ""
	}
	return body.RoutingKey
}
