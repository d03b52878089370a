package sources

import (
	"log/slog"

	"github.com/sirupsen/logrus"
	logslog "github.com/sirupsen/logrus/hooks/slog"
)

// slogTo hands on what the TSDB logs. It reports every replay of the
// write-ahead log, which happens with each read: of use only to who debugs it,
// so its info becomes debug.
func slogTo(log logrus.FieldLogger) *slog.Logger {
	var to *logrus.Logger
	switch l := log.(type) {
	case *logrus.Logger:
		to = l
	case *logrus.Entry:
		to = l.Logger
	default:
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(logslog.NewHandler(to, &logslog.HandlerOptions{LevelMapper: func(l slog.Level) logrus.Level {
		switch {
		case l >= slog.LevelError:
			return logrus.ErrorLevel
		case l >= slog.LevelWarn:
			return logrus.WarnLevel
		}
		return logrus.DebugLevel
	}}))
}
