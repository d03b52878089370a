package flags

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"aftershock/flags/definitions"
	"aftershock/flags/feed"
)

// setKey is where flagd wants the identity of a set in its metadata.
const setKey = "flagSetId"

// snapshot is what is being served. It doesn't change, but it remembers answers.
type snapshot struct {
	revision int64
	version  string // the revision as callers get it
	document document
	set      *definitions.Set
	edition  *feed.Edition

	answers sync.Map // of answered, to json.RawMessage
	kept    atomic.Int64
}

// answered is what an answer over OFREP depends on, within a revision.
type answered struct{ flag, variant, reason string }

func newSnapshot(revision int64, d document, set *definitions.Set) *snapshot {
	n := &snapshot{revision: revision, version: strconv.FormatInt(revision, 10), document: d, set: set}
	name, _ := set.Metadata()[setKey].(string)
	n.edition = feed.NewEdition(revision, name, n.synced)
	return n
}

// Edition is what is being served, for those who evaluate by themselves.
func (s *Switchboard) Edition() *feed.Edition { return s.serving.Load().edition }

// Feed keeps callers up to date with what is served.
func (s *Switchboard) Feed() *feed.Feed { return s.feed }

// synced is the set in flagd's format as others evaluate it: with the revision
// in its metadata, as OFREP has it, and without the flags that can't be served,
// since one of them could make an evaluator refuse the whole set.
func (n *snapshot) synced() ([]byte, error) {
	d := n.document.clone()
	for _, p := range n.set.Problems() {
		delete(d.Flags, p.Flag)
	}
	metadata := map[string]json.RawMessage{}
	if raw := d.Definitions["metadata"]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &metadata); err != nil {
			return nil, fmt.Errorf("read the set's metadata: %w", err)
		}
	}
	all := maps.Clone(metadata)
	if all == nil { // it was null
		all = map[string]json.RawMessage{}
	}
	all[versionKey] = json.RawMessage(strconv.Quote(n.version))
	raw, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("write the set's metadata: %w", err)
	}
	d.Definitions["metadata"] = raw
	return d.flagd()
}
