package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// attributeValue is a value in an answer: one of OTLP's types.
type attributeValue struct {
	kind   string // stringValue, intValue, doubleValue, boolValue, arrayValue, …
	text   string
	number float64 // of a doubleValue, else NaN
}

func (v *attributeValue) UnmarshalJSON(b []byte) error {
	*v = attributeValue{number: math.NaN()}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	for kind, raw := range members {
		v.kind = kind
		v.text = readScalar(raw)
		if kind == "doubleValue" {
			if n, err := strconv.ParseFloat(v.text, 64); err == nil {
				v.number, v.text = n, formatDouble(n)
			}
		}
	}
	return nil
}

func (v attributeValue) String() string { return v.text }

// readScalar returns the text of a string, of a number as it was written, and of anything else its
// JSON.
func readScalar(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var list struct{ Values []attributeValue }
	if json.Unmarshal(raw, &list) == nil && len(list.Values) > 0 {
		texts := make([]string, len(list.Values))
		for i, v := range list.Values {
			texts[i] = v.text
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	return string(bytes.TrimSpace(raw))
}

// formatDouble writes all digits, and no exponent where it can be avoided.
func formatDouble(n float64) string {
	if a := math.Abs(n); a != 0 && (a < 1e-9 || a >= 1e15) {
		return strconv.FormatFloat(n, 'g', -1, 64)
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

// number is a float in an answer; what is no number in JSON comes as a string: "NaN", "Infinity".
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	text := string(b)
	if text == "null" {
		return nil
	}
	if b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(v, 0) {
		return fmt.Errorf("%q is no number", text)
	}
	*n = number(v)
	return nil
}
