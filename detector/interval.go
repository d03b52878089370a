package detector

import (
	"encoding/json"
	"fmt"
	"math"
)

// Interval is a closed range of values; its upper end may be +Inf.
type Interval struct {
	Lower float64
	Upper float64
}

type intervalJSON struct {
	Lower any `json:"lower"`
	Upper any `json:"upper"`
}

// MarshalJSON writes infinities as "+Inf" and "-Inf", since JSON has no number
// for them, and an unknown end as null.
func (i Interval) MarshalJSON() ([]byte, error) {
	end := func(v float64) any {
		switch {
		case math.IsInf(v, 1):
			return "+Inf"
		case math.IsInf(v, -1):
			return "-Inf"
		case math.IsNaN(v):
			return nil
		}
		return v
	}
	return json.Marshal(intervalJSON{end(i.Lower), end(i.Upper)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (i *Interval) UnmarshalJSON(b []byte) error {
	var raw intervalJSON
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	end := func(v any) (float64, error) {
		switch v := v.(type) {
		case nil:
			return math.NaN(), nil
		case float64:
			return v, nil
		case string:
			switch v {
			case "+Inf":
				return math.Inf(1), nil
			case "-Inf":
				return math.Inf(-1), nil
			}
		}
		return 0, fmt.Errorf("parse interval: end %v is no number", v)
	}
	var err error
	if i.Lower, err = end(raw.Lower); err != nil {
		return err
	}
	i.Upper, err = end(raw.Upper)
	return err
}
