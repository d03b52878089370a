package journal

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	logrusslog "github.com/sirupsen/logrus/hooks/slog"
)

// bridge carries river's own logs into log, one level lower where they tell of
// river's inner life, and a repeated complaint once a minute.
func bridge(log logrus.FieldLogger) *slog.Logger {
	options := &logrusslog.HandlerOptions{LevelMapper: func(l slog.Level) logrus.Level {
		switch {
		case l >= slog.LevelError:
			return logrus.ErrorLevel
		case l >= slog.LevelWarn:
			return logrus.WarnLevel
		case l >= slog.LevelInfo:
			return logrus.DebugLevel
		}
		return logrus.TraceLevel
	}}
	calmed := func(l *logrus.Logger) *slog.Logger {
		return slog.New(calm{logrusslog.NewHandler(l, options), &said{last: map[string]time.Time{}}}).With("library", "river")
	}
	switch l := log.(type) {
	case *logrus.Logger:
		return calmed(l)
	case *logrus.Entry:
		s := calmed(l.Logger)
		for name, value := range l.Data {
			s = s.With(name, value)
		}
		return s
	}
	return slog.New(slog.DiscardHandler)
}

// quietFor is how long a complaint isn't repeated: river looks for jobs many
// times a second, and says each time that the database is gone.
const quietFor = time.Minute

// calm is a slog.Handler that drops what was said within the last minute.
type calm struct {
	slog.Handler
	said *said
}

// said remembers when each message was passed on. River's messages are
// constants, so there are few.
type said struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (c calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && !c.said.due(r) {
		return nil
	}
	return c.Handler.Handle(ctx, r)
}

func (s *said) due(r slog.Record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[r.Message]; ok && r.Time.Sub(last) < quietFor {
		return false
	}
	if len(s.last) > 200 {
		clear(s.last)
	}
	s.last[r.Message] = r.Time
	return true
}

// WithAttrs implements slog.Handler.
func (c calm) WithAttrs(attrs []slog.Attr) slog.Handler {
	return calm{c.Handler.WithAttrs(attrs), c.said}
}

// WithGroup implements slog.Handler.
func (c calm) WithGroup(name string) slog.Handler {
	return calm{c.Handler.WithGroup(name), c.said}
}
