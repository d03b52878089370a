package upgrades

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/upgrades/files"
)

// Ledger brings together what is learnt of upgrades from everywhere: what the
// telemetry shows, the records directory, and what people report. Two reports
// of one change become one upgrade, under the ID that was known first. It is
// not safe for concurrent use.
type Ledger struct {
	detect  bool
	settle  time.Duration
	found   *Detector
	records *Watcher
	// installed are the runs of package managers, nil where no log is watched.
	installed *installed
	// files are those of binaries, nil where none is watched; revision is how much was
	// known of them at the last frame.
	files    *files.Inspector
	revision int
	// serving holds the services of the series, each with its label's name. It
	// is learnt anew from the first frames after a start.
	serving map[string]string
	known   names     // until the next frame, nil until they are needed
	stood   time.Time // when the fleets of upgrades that are done were looked at
	log     logrus.FieldLogger
	book    book
}

// book is the ledger's memory.
type book struct {
	// Found and Reported hold the last word of each side, by its own ID.
	Found    map[string]detector.Upgrade `json:"found"`
	Reported map[string]detector.Upgrade `json:"reported"`
	// As is the ID that each of them goes by.
	As map[string]string `json:"as"`
	// Closed holds when the watch over an upgrade ended.
	Closed map[string]time.Time `json:"closed"`
	// Inside is what changed inside the binaries of an upgrade, by its ID and their
	// names.
	Inside map[string]map[string]*detector.Inside `json:"inside,omitempty"`
	// Standing is what the instances of an upgrade's binaries run since it is done, by its
	// ID and their names and selectors.
	Standing map[string]map[string]*detector.Fleet `json:"standing,omitempty"`
}

// maxKnown bounds how many upgrades are remembered for merging.
const maxKnown = 500

// NewLedger gives a ledger that knows of nothing.
func NewLedger(c Config, log logrus.FieldLogger) (*Ledger, error) {
	found, err := NewDetector(c)
	if err != nil {
		return nil, err
	}
	l := &Ledger{detect: c.Detect, settle: time.Duration(c.Settle), found: found, log: log, serving: map[string]string{}, book: newBook()}
	if c.Records != "" {
		l.records = NewWatcher(c.Records)
	}
	l.installed, err = newInstalled(c.Packages)
	return l, err
}

func newBook() book {
	return book{
		Found: map[string]detector.Upgrade{}, Reported: map[string]detector.Upgrade{},
		As: map[string]string{}, Closed: map[string]time.Time{}, Inside: map[string]map[string]*detector.Inside{},
		Standing: map[string]map[string]*detector.Fleet{},
	}
}

// Observe takes in the next frame and gives the upgrades that are new or have
// changed, in order of ID, by what the frame shows and by what the records
// directory and the logs of packages hold. Closed upgrades are not told of again.
func (l *Ledger) Observe(f detector.Frame) []detector.Upgrade {
	changed := map[string]bool{}
	if l.detect {
		for _, u := range l.found.Observe(f) {
			changed[l.put(u, l.book.Found, l.book.Reported)] = true
		}
	}
	if l.records != nil {
		records, problems := l.records.Poll()
		for _, u := range records {
			changed[l.put(u, l.book.Reported, l.book.Found)] = true
		}
		for _, err := range problems {
			l.log.WithError(err).Warn("an upgrade record can't be used")
		}
	}
	l.notePoints(f)
	l.known = nil
	if l.installed != nil {
		l.observeInstalled(f.Time, changed)
	}
	l.renew(changed)
	if l.files != nil {
		l.observeInside(f.Time, changed)
	}
	l.observeStanding(f.Time, changed)
	var out []detector.Upgrade
	for _, id := range slices.Sorted(maps.Keys(changed)) {
		if u := l.whole(id); u.ClosedAt.IsZero() {
			out = append(out, u)
		}
	}
	l.prune()
	return out
}

// Record takes in an upgrade that somebody reported and gives it as it is known
// now, together with what was found of it.
func (l *Ledger) Record(u detector.Upgrade) detector.Upgrade {
	return l.whole(l.put(u, l.book.Reported, l.book.Found))
}

// Close ends an upgrade, once: what is seen of it later is kept, but not told.
func (l *Ledger) Close(id string, at time.Time) detector.Upgrade {
	if l.book.Closed[id].IsZero() {
		l.book.Closed[id] = at
	}
	return l.whole(id)
}

// put notes the last word of one side and answers the ID that it goes by: that
// of an upgrade of the other side, or of another report, which tells of the same
// change, where there is one.
func (l *Ledger) put(u detector.Upgrade, side, other map[string]detector.Upgrade) string {
	// Who tells that it began needn't repeat what was planned.
	u.Plan = u.PlanOr(side[u.ID].Plan)
	side[u.ID] = u
	if id, ok := l.book.As[u.ID]; ok {
		return id
	}
	id := l.match(u, other)
	if _, reported := l.book.Reported[u.ID]; reported && id == u.ID {
		for _, o := range byStart(l.book.Reported) {
			if o.ID != u.ID && l.sameReport(o, u) {
				id = l.book.As[o.ID]
				break
			}
		}
	}
	l.book.As[u.ID] = id
	return id
}

// match gives the ID of the other side's upgrade that tells of the same change,
// the upgrade's own where there is none.
func (l *Ledger) match(u detector.Upgrade, other map[string]detector.Upgrade) string {
	for _, o := range byStart(other) {
		record, found := u, o
		if _, reported := l.book.Reported[o.ID]; reported {
			record, found = o, u
		}
		if _, same := Merge(record, found, l.settle); same {
			return l.book.As[o.ID]
		}
	}
	return u.ID
}

// whole is everything known of the upgrade that goes by the ID: records first,
// whose fields win, then what tools reported, then what was found.
func (l *Ledger) whole(id string) detector.Upgrade {
	var parts []detector.Upgrade
	for _, side := range []map[string]detector.Upgrade{l.book.Reported, l.book.Found} {
		at := len(parts)
		for _, u := range byStart(side) {
			if l.book.As[u.ID] == id {
				parts = append(parts, u)
			}
		}
		slices.SortStableFunc(parts[at:], func(a, b detector.Upgrade) int {
			return cmp.Compare(fromTool(a), fromTool(b))
		})
	}
	var out detector.Upgrade
	if len(parts) > 0 {
		out = clone(parts[0])
		parts = parts[1:]
	}
	// A part may be near only to what another one adds.
	for merged := true; merged; {
		merged = false
		parts = slices.DeleteFunc(parts, func(u detector.Upgrade) bool {
			whole, ok := Merge(out, u, l.settle)
			if ok {
				out, merged = whole, true
			}
			return ok
		})
	}
	out.ID = id
	out.ClosedAt = l.book.Closed[id]
	l.inside(&out)
	l.standing(&out)
	return out
}

func fromTool(u detector.Upgrade) int {
	if isRecord(u) {
		return 0
	}
	return 1
}

func byStart(side map[string]detector.Upgrade) []detector.Upgrade {
	out := make([]detector.Upgrade, 0, len(side))
	for _, u := range side {
		out = append(out, u)
	}
	sort.Slice(out, func(i, j int) bool {
		if a, b := out[i].Begins(), out[j].Begins(); !a.Equal(b) {
			return a.Before(b)
		}
		return out[i].ID < out[j].ID
	})
	return out
}

// prune forgets the oldest when too many are remembered.
func (l *Ledger) prune() {
	pruned := false
	for _, side := range []map[string]detector.Upgrade{l.book.Found, l.book.Reported} {
		if len(side) <= maxKnown {
			continue
		}
		for _, u := range byStart(side)[:len(side)-maxKnown] {
			delete(side, u.ID)
			delete(l.book.As, u.ID)
			pruned = true
		}
	}
	if !pruned {
		return
	}
	// What is still known under an ID stays closed.
	left := map[string]bool{}
	for _, id := range l.book.As {
		left[id] = true
	}
	maps.DeleteFunc(l.book.Closed, func(id string, _ time.Time) bool { return !left[id] })
	maps.DeleteFunc(l.book.Inside, func(id string, _ map[string]*detector.Inside) bool { return !left[id] })
	maps.DeleteFunc(l.book.Standing, func(id string, _ map[string]*detector.Fleet) bool { return !left[id] })
}

type ledgerState struct {
	Detector json.RawMessage `json:"detector"`
	Book     book            `json:"book"`
}

// Save writes what is known as JSON; Restore reads it.
func (l *Ledger) Save() ([]byte, error) {
	found, err := l.found.Save()
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(ledgerState{found, l.book})
	if err != nil {
		return nil, fmt.Errorf("save the ledger of upgrades: %w", err)
	}
	return out, nil
}

// Restore goes on from what Save wrote. When it fails the ledger is as before.
func (l *Ledger) Restore(state []byte) error {
	s := ledgerState{Book: newBook()}
	if err := json.Unmarshal(state, &s); err != nil {
		return fmt.Errorf("restore the ledger of upgrades: %w", err)
	}
	b := s.Book
	if b.Found == nil || b.Reported == nil || b.As == nil || b.Closed == nil {
		return fmt.Errorf("restore the ledger of upgrades: a part is missing")
	}
	if b.Inside == nil {
		b.Inside = map[string]map[string]*detector.Inside{}
	}
	if b.Standing == nil {
		b.Standing = map[string]map[string]*detector.Fleet{}
	}
	if err := l.found.Restore(s.Detector); err != nil {
		return err
	}
	l.book, l.known = b, nil
	// The state may be older than what was read since: it is told again.
	if l.records != nil {
		l.records = NewWatcher(l.records.dir)
	}
	if l.installed != nil {
		clear(l.installed.told)
	}
	return nil
}
