package scrape

import (
	"context"
	"log/slog"

	"github.com/sirupsen/logrus"
)

// newSlog hands what tsdb logs on to log. Its housekeeping reports are of use
// only to who debugs it, so info becomes debug.
func newSlog(log logrus.FieldLogger) *slog.Logger { return slog.New(&slogHandler{log: log}) }

type slogHandler struct {
	log   logrus.FieldLogger
	group string
}

func (h *slogHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h *slogHandler) Handle(_ context.Context, r slog.Record) error {
	fields := logrus.Fields{}
	r.Attrs(func(a slog.Attr) bool {
		fields[h.group+a.Key] = a.Value.Resolve().Any()
		return true
	})
	log := h.log.WithFields(fields)
	switch {
	case r.Level >= slog.LevelError:
		log.Error("tsdb: " + r.Message)
	case r.Level >= slog.LevelWarn:
		log.Warn("tsdb: " + r.Message)
	default:
		log.Debug("tsdb: " + r.Message)
	}
	return nil
}

func (h *slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := logrus.Fields{}
	for _, a := range attrs {
		fields[h.group+a.Key] = a.Value.Resolve().Any()
	}
	return &slogHandler{log: h.log.WithFields(fields), group: h.group}
}

func (h *slogHandler) WithGroup(name string) slog.Handler {
	return &slogHandler{log: h.log, group: h.group + name + "."}
}
