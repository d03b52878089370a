package alertmanager

import "regexp"

// matcher is one condition of a silence, in the form of API v2.
type matcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	// IsEqual is left out by versions that only know equality.
	IsEqual *bool `json:"isEqual"`
}

// rule is a silence with its conditions.
type rule struct {
	matchers []matcher
	Silence
}

// covers says whether the silence holds back an alert with these labels: every matcher
// has to hold, and a label that isn't there is an empty one.
func (s rule) covers(labels map[string]string) bool {
	for _, m := range s.matchers {
		if !m.holds(labels[m.Name]) {
			return false
		}
	}
	return len(s.matchers) > 0
}

func (m matcher) holds(value string) bool {
	same := value == m.Value
	if m.IsRegex {
		whole, err := regexp.Compile("^(?:" + m.Value + ")$")
		if err != nil {
			return false // it isn't known what was meant: people are told
		}
		same = whole.MatchString(value)
	}
	return same == (m.IsEqual == nil || *m.IsEqual)
}
