package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var durationType = reflect.TypeFor[time.Duration]()

// durationHook reads durations. A number without a unit is refused, because it would mean
// nanoseconds; only 0 needs none.
func durationHook(_, to reflect.Type, v any) (any, error) {
	if to != durationType {
		return v, nil
	}
	switch v := v.(type) {
	case time.Duration:
		return v, nil
	case string:
		return ParseDuration(v)
	}
	if fmt.Sprint(v) == "0" {
		return time.Duration(0), nil
	}
	return nil, fmt.Errorf("want a duration such as 30s or 1h30m, found %v", v)
}

var longUnits = regexp.MustCompile(`^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(.*)$`)

// ParseDuration reads Go's durations, and before them whole years of 365 days, weeks and days: 2w,
// 1d12h.
func ParseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	m := longUnits.FindStringSubmatch(s)
	var sum time.Duration
	for i, unit := range []time.Duration{365 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(m[i+1], 10, 64)
		if err != nil || n > int64((math.MaxInt64-sum)/unit) {
			return 0, fmt.Errorf("read duration %q: too long", s)
		}
		sum += time.Duration(n) * unit
	}
	if m[4] == "" && sum > 0 {
		return sum, nil
	}
	d, err := time.ParseDuration(m[4])
	if err != nil {
		return 0, fmt.Errorf("want a duration such as 30s or 1h30m, found %q", s)
	}
	if sum > 0 && (d < 0 || d > math.MaxInt64-sum) {
		return 0, fmt.Errorf("read duration %q: too long", s)
	}
	return sum + d, nil
}

// Bytes is a size. It is written as a number or with a unit: 20MiB, 1GB.
type Bytes int64

var (
	bytesType  = reflect.TypeFor[Bytes]()
	bytesText  = regexp.MustCompile(`^\s*(\d+)\s*([A-Za-z]*)\s*$`)
	bytesUnits = map[string]int64{"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 1 << 10,
		"mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
)

// ParseBytes reads a size.
func ParseBytes(s string) (Bytes, error) {
	m := bytesText.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("want a size such as 64MiB, found %q", s)
	}
	unit, ok := bytesUnits[strings.ToLower(m[2])]
	n, err := strconv.ParseInt(m[1], 10, 64)
	if !ok || err != nil || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("want a size such as 64MiB, found %q", s)
	}
	return Bytes(n * unit), nil
}

// AutoBytes is a size that may be left to the node, as Auto.
type AutoBytes Bytes

// Auto is the size that is written as auto.
const Auto AutoBytes = -1

// String is that of Bytes, or auto.
func (b AutoBytes) String() string {
	if b == Auto {
		return "auto"
	}
	return Bytes(b).String()
}

// MarshalText is String.
func (b AutoBytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what is no plain size.
func (b *AutoBytes) UnmarshalText(text []byte) error {
	if string(text) != "auto" {
		return fmt.Errorf("want auto or a size such as 64MiB, found %q", text)
	}
	*b = Auto
	return nil
}

// String writes whole KiB, MiB, … with their unit.
func (b Bytes) String() string {
	n, i := int64(b), 0
	units := []string{"", "KiB", "MiB", "GiB", "TiB"}
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return strconv.FormatInt(n, 10) + units[i]
}

// MarshalText is String; it is what /status/config shows.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// sizeHook reads sizes. Any whole number may be written with the unit of a size.
func sizeHook(_, to reflect.Type, v any) (any, error) {
	s, ok := v.(string)
	if !ok || to == durationType || to.Kind() != reflect.Int64 && to.Kind() != reflect.Int {
		return v, nil
	}
	b, err := ParseBytes(s)
	switch {
	case to == bytesType:
		return b, err
	case err != nil: // not a size: the decoder says what it is not
		return v, nil
	}
	return int64(b), nil
}

var (
	_ encoding.TextMarshaler   = Bytes(0)
	_ encoding.TextMarshaler   = AutoBytes(0)
	_ encoding.TextUnmarshaler = (*AutoBytes)(nil)
)
