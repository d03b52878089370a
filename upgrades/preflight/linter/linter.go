// Package linter asks programs that others wrote what they find in a text. They are given the text by their
// standard input, no file, and of the environment only where programs are.
package linter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// Bounds of asking about one text.
const (
	Time   = 20 * time.Second
	Output = 4 << 20   // bytes of one answer
	Memory = 512 << 20 // bytes of the program's data, on Linux
	Told   = 50        // findings of one text that a report has
)

var errOver = errors.New("too much output")

// Ask runs a program, a path, with a text, and gives what it writes to standard output. Status 1 is what linters end with
// where they found something, and no error.
func Ask(ctx context.Context, program string, args []string, text []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, Time)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = bytes.NewReader(text)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"} // their own settings of whoever inspects don't count
	cmd.WaitDelay = time.Second
	out := &bounded{stop: cancel}
	cmd.Stdout = out
	err := cmd.Start()
	if err == nil {
		confine(cmd.Process.Pid)
		err = cmd.Wait()
	}
	if out.over {
		return nil, fmt.Errorf("run %s: it wrote more than %d bytes", program, Output)
	}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s", Time)
		}
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	return out.data, nil
}

// bounded is a buffer that stops who writes too much. It embeds no bytes.Buffer, whose ReadFrom would go round Write.
type bounded struct {
	data []byte
	over bool
	stop func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.over = b.over || len(b.data)+len(p) > Output; b.over {
		b.stop()
		return 0, errOver
	}
	b.data = append(b.data, p...)
	return len(p), nil
}
