package detector

import (
	"fmt"
	"time"
)

// Step is how far an upgrade has come, as people outside are told.
type Step string

// The steps of an upgrade.
const (
	StepPlanned    Step = "planned"
	StepWindow     Step = "window"      // under way
	StepBuffer     Step = "buffer"      // longer than planned, within the buffer
	StepBufferGone Step = "buffer-gone" // longer than that
	StepFinished   Step = "finished"
	StepWatching   Step = "watching"
	StepShift      Step = "shift"     // something got worse
	StepMitigated  Step = "mitigated" // a flag was toggled against it
	StepRecovered  Step = "recovered"
	StepClosed     Step = "closed" // the watch ended, or the plan was called off
)

// Steps are all steps in their usual order.
var Steps = []Step{
	StepPlanned, StepWindow, StepBuffer, StepBufferGone, StepFinished, StepWatching, StepShift, StepMitigated, StepRecovered, StepClosed,
}

// Post is what there is to tell people outside of one step of an upgrade.
type Post struct {
	Upgrade string `json:"upgrade"`
	// ID names the post within the upgrade, the same whenever it is derived.
	ID   string `json:"id"`
	Step Step   `json:"step"`
	// At is when what it tells of happened, or, of a plan, is to happen.
	At time.Time `json:"at"`
	// Title and Text are for everybody; Inside holds what is for those signed in.
	Title  string `json:"title"`
	Text   string `json:"text"`
	Inside string `json:"inside,omitempty"`
	// Wrong is whether it says that something is wrong.
	Wrong bool `json:"wrong,omitempty"`
	// Actor is who sent it at SentAt, both empty while it is a draft; Edited is whether
	// they changed the text.
	Actor  string    `json:"actor,omitempty"`
	SentAt time.Time `json:"sent_at,omitzero"`
	Edited bool      `json:"edited,omitempty"`
	// Discarded is whether the draft was thrown away, by Actor; Reason is why it was, or
	// why the post was corrected.
	Discarded bool   `json:"discarded,omitempty"`
	Reason    string `json:"reason,omitempty"`
	// CorrectedAt is when the post was corrected last, by CorrectedBy; Earlier are its
	// texts before, the first one first.
	CorrectedAt time.Time `json:"corrected_at,omitzero"`
	CorrectedBy string    `json:"corrected_by,omitempty"`
	Earlier     []string  `json:"earlier,omitempty"`
}

// Correction names which correction of the post this is, "" for the post as it was sent.
func (p Post) Correction() string {
	if len(p.Earlier) == 0 {
		return ""
	}
	return fmt.Sprintf("|correction-%d", len(p.Earlier))
}

// Changed is when the post got its last words.
func (p Post) Changed() time.Time {
	if p.CorrectedAt.After(p.SentAt) {
		return p.CorrectedAt
	}
	return p.SentAt
}
