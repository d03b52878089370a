package feed

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"

	syncv1 "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/sync/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// Edition is one revision of the flags, as callers take them. It doesn't change,
// but it learns when it is superseded.
type Edition struct {
	revision   int64
	set        string
	content    func() (*content, error)
	once       sync.Once
	superseded chan struct{}
}

// content is what is written of an edition, once for all callers.
type content struct {
	definitions string  // flagd's JSON
	etag        string  // of the definitions, quoted
	message     encoded // a SyncFlagsResponse with the definitions
}

// NewEdition makes an edition of a revision. write gives the definitions in
// flagd's JSON; it is called at most once, when the first caller wants them. set
// is the flagSetId of the set's metadata, "" where it has none.
func NewEdition(revision int64, set string, write func() ([]byte, error)) *Edition {
	return &Edition{
		revision: revision, set: set, superseded: make(chan struct{}),
		content: sync.OnceValues(func() (*content, error) {
			b, err := write()
			if err != nil {
				return nil, fmt.Errorf("write flag definitions of revision %d: %w", revision, err)
			}
			sum := sha256.Sum256(b)
			c := &content{definitions: string(b), etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
			// flagd's own servers always send a context, which clients add to that of
			// each evaluation. Ours is empty, so that it never hides what a caller says.
			c.message, err = proto.Marshal(&syncv1.SyncFlagsResponse{FlagConfiguration: c.definitions, SyncContext: &structpb.Struct{}})
			if err != nil {
				return nil, fmt.Errorf("write flag definitions of revision %d: %w", revision, err)
			}
			return c, nil
		}),
	}
}

// Supersede tells those who hold the edition that there is a newer one. It
// doesn't wait for them.
func (e *Edition) Supersede() { e.once.Do(func() { close(e.superseded) }) }

// Superseded is closed once there is a newer edition.
func (e *Edition) Superseded() <-chan struct{} { return e.superseded }
