package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// maxTagged bounds the answers that get a tag, in bytes: it costs a pass over them.
const maxTagged = 4 << 20

// tagged gives a JSON answer a strong tag of its bytes, and nothing but the tag where the
// caller has that answer.
func tagged(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		whole := buffer(w)
		if err := h(whole, r); err != nil {
			return err
		}
		if whole.body.Len() <= maxTagged {
			sum := sha256.Sum256(whole.body.Bytes())
			tag := `"` + hex.EncodeToString(sum[:16]) + `"`
			whole.header.Set("ETag", tag)
			if known(r.Header.Values("If-None-Match"), tag) {
				whole.header.Del("Content-Type")
				whole.status = http.StatusNotModified
				whole.body.Reset()
			}
		}
		whole.send()
		return nil
	}
}

// known says whether a tag is among those of If-None-Match. Our tags hold no comma.
func known(seen []string, tag string) bool {
	for _, s := range seen {
		for one := range strings.SplitSeq(s, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}
