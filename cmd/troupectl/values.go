package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
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

// readScalar returns the text of a string, of a number as it was written, and of anything else its JSON.
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

func formatDouble(n float64) string {
	if n == math.Trunc(n) {
		return render.Number(n)
	}
	return fmt.Sprint(n)
}
