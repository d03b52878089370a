package upgrades

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"
	"time"

	"aftershock/detector"
)

const (
	// maxID is the longest ID that is made here, in bytes.
	maxID = 120
	// namesInID is how many binaries an ID names before it counts the rest.
	namesInID = 3
)

// makeID gives "dten-payments-4.2.0-20260306T091300Z", or for several binaries
// "dten-checkout+dten-payments-4.2.0-20260306T091300Z" with the version where
// they share one. It depends on the set of binaries, not on their order.
func makeID(binaries []detector.Binary, start time.Time) string {
	names, to := map[string]bool{}, map[string]bool{}
	for _, b := range binaries {
		names[b.Name], to[b.To] = true, true
	}
	parts := make([]string, 0, len(names))
	for n := range names {
		parts = append(parts, n)
	}
	sort.Strings(parts)
	if extra := len(parts) - namesInID; extra > 0 {
		parts = append(parts[:namesInID], fmt.Sprintf("%dmore", extra))
	}
	id := strings.Join(parts, "+")
	if len(to) == 1 && binaries[0].To != "" {
		id += "-" + binaries[0].To
	}
	return bounded(slug(id)) + "-" + start.UTC().Format("20060102T150405Z")
}

// slug keeps what can stand in a URL's path and in a file's name.
func slug(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._+-", r):
			return r
		case r == '(' || r == ')':
			return -1
		default:
			return '-'
		}
	}, strings.TrimLeft(s, "."))
}

// bounded shortens a long ID and keeps it different from its like.
func bounded(id string) string {
	const stamp = len("-20060102T150405Z")
	if len(id) <= maxID-stamp {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	tail := "-" + hex.EncodeToString(sum[:4])
	return id[:maxID-stamp-len(tail)] + tail
}

// labelKey is the labels as one string, in order of name.
func labelKey(labels map[string]string) string {
	names := make([]string, 0, len(labels))
	for n := range labels {
		names = append(names, n)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "%q=%q,", n, labels[n])
	}
	return b.String()
}
