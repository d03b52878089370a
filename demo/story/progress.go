package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// quietFor is how often a step that lasts is mentioned where there is no
// terminal.
const quietFor = 10 * time.Second

// progress shows what runs and about how long it all still takes: one line that
// changes on a terminal, plain lines elsewhere.
type progress struct {
	out      io.Writer
	terminal bool

	mu     sync.Mutex
	step   string
	detail string
	begun  time.Time
	about  time.Duration // of the step
	after  time.Duration // of the steps after it
	stop   chan struct{}
	done   chan struct{}
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, terminal: isTerminal(out)}
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// begin shows a step that takes about so long, and after it the others.
func (p *progress) begin(step string, about, after time.Duration) {
	p.mu.Lock()
	p.step, p.detail, p.begun, p.about, p.after = step, "", time.Now(), about, after
	p.stop, p.done = make(chan struct{}), make(chan struct{})
	p.mu.Unlock()
	every := quietFor
	if p.terminal {
		every = 200 * time.Millisecond
	}
	p.show()
	go func(stop, done chan struct{}) {
		defer close(done)
		if !p.terminal && about+after == 0 {
			<-stop // how long it takes isn't known, and there is nothing new to say
			return
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p.show()
			}
		}
	}(p.stop, p.done)
}

// say puts what the step waits for beside it.
func (p *progress) say(detail string) {
	p.mu.Lock()
	p.detail = detail
	p.mu.Unlock()
}

// end closes the step with what came of it.
func (p *progress) end(outcome string) {
	close(p.stop)
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(fmt.Sprintf("%s: %s (%s)", p.step, outcome, seconds(time.Since(p.begun))), true)
}

// tell writes a line of its own.
func (p *progress) tell(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(text, true)
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := time.Since(p.begun)
	left := p.after + max(0, p.about-gone)
	text := fmt.Sprintf("%s … %s, about %s still", p.step, seconds(gone), seconds(left))
	if p.about+p.after == 0 {
		text = fmt.Sprintf("%s … %s", p.step, seconds(gone))
	}
	if p.detail != "" {
		text += " (" + p.detail + ")"
	}
	p.line(text, false)
}

func (p *progress) line(text string, final bool) {
	switch {
	case !p.terminal:
		fmt.Fprintln(p.out, text)
	case final:
		fmt.Fprint(p.out, "\r\033[K", text, "\n")
	default:
		// A longer line would wrap and couldn't be overwritten.
		if r := []rune(text); len(r) > 110 {
			text = string(r[:109]) + "…"
		}
		fmt.Fprint(p.out, "\r\033[K", text)
	}
}

// seconds is a duration for people: "8 s", "1 min 12 s".
func seconds(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	if s < 60 {
		return fmt.Sprintf("%d s", s)
	}
	return fmt.Sprintf("%d min %d s", s/60, s%60)
}
