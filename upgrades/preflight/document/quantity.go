package document

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time: "10m", "1h30m", "2d", a number alone is of seconds. It isn't
// negative.
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	s := strings.ReplaceAll(strings.TrimSpace(string(text)), " ", "")
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		*d = Duration(time.Duration(n) * time.Second)
		return nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 15); err == nil {
			*d = Duration(time.Duration(n) * 24 * time.Hour)
			return nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%.40q is no length of time, want one like 10m or 1h30m", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes it as people do: 10m, not 10m0s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes: 2048, "512KiB", "2GB", "1.5 GiB".
type Size int64

// units, the longer ones first.
var units = []struct {
	suffix string
	bytes  float64
}{
	{"KIB", 1 << 10},
	{"MIB", 1 << 20},
	{"GIB", 1 << 30},
	{"TIB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"K", 1 << 10},
	{"M", 1 << 20},
	{"G", 1 << 30},
	{"T", 1 << 40},
	{"B", 1},
	{"", 1},
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	t := strings.ToUpper(strings.TrimSpace(string(text)))
	for _, u := range units {
		number, ok := strings.CutSuffix(t, u.suffix)
		if !ok {
			continue
		}
		number = strings.TrimSpace(number)
		if n, err := strconv.ParseInt(number, 10, 64); err == nil && u.bytes == 1 && n >= 0 {
			*s = Size(n)
			return nil
		}
		if f, err := strconv.ParseFloat(number, 64); err == nil && f >= 0 && f*u.bytes < 1<<62 {
			*s = Size(f * u.bytes)
			return nil
		}
		break
	}
	return fmt.Errorf("%.40q is no size, want one like 2GiB or a number of bytes", text)
}

// String writes it with a unit: 1.5 GiB.
func (s Size) String() string {
	const step = 1024
	if s < step {
		return fmt.Sprintf("%d B", int64(s))
	}
	f, unit := float64(s), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f /= step; f < step {
			break
		}
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
}
