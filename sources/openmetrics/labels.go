package openmetrics

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// parseKey reads a name and labels: name{a="b",c="d"}, or with a quoted name
// {"na.me",a="b"}.
func (p *parser) parseKey(key []byte) (labels.Labels, error) {
	s := string(key)
	p.build.Reset()
	name, body, braces := strings.Cut(s, "{")
	if name = strings.TrimRight(name, " \t"); name != "" {
		if !model.LegacyValidation.IsValidMetricName(name) {
			return labels.EmptyLabels(), fmt.Errorf("invalid metric name %q", name)
		}
		p.build.Add(model.MetricNameLabel, name)
	}
	if braces {
		if err := p.parseLabels(body, name != ""); err != nil {
			return labels.EmptyLabels(), err
		}
	}
	p.build.Sort()
	ls := p.build.Labels()
	if n, ok := ls.HasDuplicateLabelNames(); ok {
		return labels.EmptyLabels(), fmt.Errorf("label %q is given twice", n)
	}
	if ls.Get(model.MetricNameLabel) == "" {
		return labels.EmptyLabels(), errors.New("no metric name")
	}
	return ls.WithoutEmpty(), nil
}

// parseLabels reads what follows the opening brace, up to the closing one.
func (p *parser) parseLabels(s string, named bool) error {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "}" {
			return nil
		}
		name, rest, err := labelName(s)
		if err != nil {
			return err
		}
		rest = strings.TrimLeft(rest, " \t")
		if eq, ok := strings.CutPrefix(rest, "="); ok {
			var value string
			if value, rest, err = quoted(strings.TrimLeft(eq, " \t")); err != nil {
				return fmt.Errorf("label %q: %w", name, err)
			}
			p.build.Add(name, value)
		} else {
			if named || s[0] != '"' {
				return fmt.Errorf("label %q has no value", name)
			}
			named = true
			p.build.Add(model.MetricNameLabel, name)
		}
		rest = strings.TrimLeft(rest, " \t")
		switch {
		case rest == "}":
			return nil
		case strings.HasPrefix(rest, ","):
			s = rest[1:]
		default:
			return errors.New("labels are not separated by a comma")
		}
	}
}

func labelName(s string) (name, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		return quoted(s)
	}
	i := strings.IndexAny(s, " \t=,}")
	if i < 0 {
		i = len(s)
	}
	if name = s[:i]; !model.LegacyValidation.IsValidLabelName(name) {
		return "", "", fmt.Errorf("invalid label name %q", name)
	}
	return name, s[i:], nil
}

// quoted reads a quoted string with the escapes \\, \" and \n.
func quoted(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", errors.New("value is not quoted")
	}
	plain := true
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			plain = false
			i++
		case '"':
			if value = s[1:i]; !plain {
				value = unescape(value)
			}
			if !utf8.ValidString(value) {
				return "", "", errors.New("value is no UTF-8")
			}
			return value, s[i+1:], nil
		}
	}
	return "", "", errors.New("value is not closed")
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case '\\', '"':
			b.WriteByte(s[i])
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
