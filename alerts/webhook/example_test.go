package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"aftershock/alerts/webhook"
)

// What a receiver does with the header Aftershock-Signature: it makes the signature
// anew, compares without telling by the time it takes, and refuses what is old.
func ExampleSign() {
	verify := func(secret, body []byte, header string, now time.Time) bool {
		var unix int64
		stamp, signature, _ := strings.Cut(header, ",v1=")
		if _, err := fmt.Sscanf(stamp, "t=%d", &unix); err != nil || now.Sub(time.Unix(unix, 0)).Abs() > 5*time.Minute {
			return false
		}
		h := hmac.New(sha256.New, secret)
		fmt.Fprintf(h, "%d.%s", unix, body)
		got, err := hex.DecodeString(signature)
		return err == nil && hmac.Equal(got, h.Sum(nil))
	}
	secret, body, sent := []byte("a key of the two"), []byte(`{"version":"4"}`), time.Unix(1772788860, 0)
	header := webhook.Sign(secret, sent, body)
	fmt.Println(header)
	fmt.Println("as sent:", verify(secret, body, header, sent.Add(time.Second)))
	fmt.Println("another body:", verify(secret, []byte(`{"version":"5"}`), header, sent))
	fmt.Println("another key:", verify([]byte("guessed"), body, header, sent))
	fmt.Println("replayed:", verify(secret, body, header, sent.Add(time.Hour)))
	// Output:
	// t=1772788860,v1=01328a30d9cd29d524b96f811c8f48615a574ba81bbfdd56bea71d09dd1681e5
	// as sent: true
	// another body: false
	// another key: false
	// replayed: false
}
