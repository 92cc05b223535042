package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// moment is a flag that takes a time, or how long ago it was: 2026-03-01T12:00:00Z, 2026-03-01,
// 90m, 2d, now.
type moment struct {
	at    time.Time // zero: not given
	given string
}

func (m *moment) String() string { return m.given }
func (m *moment) Type() string   { return "time" }

func (m *moment) Set(s string) error {
	m.given = s
	if s == "now" {
		m.at = time.Now()
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			m.at = at
			return nil
		}
	}
	d, err := parsePeriod(s)
	if err != nil {
		return fmt.Errorf("%q is no time: give for instance 2d, 90m or 2026-03-01T12:00:00Z", s)
	}
	m.at = time.Now().Add(-d)
	return nil
}

// timeRange is two flags, --since and --until.
type timeRange struct{ since, until moment }

func (r *timeRange) addFlags(flags *pflag.FlagSet, about string) {
	flags.Var(&r.since, "since", about+" after this `time`: 2d ago, or 2026-03-01T12:00:00Z")
	flags.Var(&r.until, "until", about+" before this `time`")
}

func (r *timeRange) check() error {
	if !r.until.at.IsZero() && !r.since.at.IsZero() && !r.since.at.Before(r.until.at) {
		return fmt.Errorf("--since %s is not before --until %s", r.since.given, r.until.given)
	}
	return nil
}

// nanos returns the range in unix ns; what is not given is open.
func (r *timeRange) nanos() (start, end uint64) {
	end = 1<<63 - 1
	if !r.since.at.IsZero() {
		start = uint64(max(r.since.at.UnixNano(), 0))
	}
	if !r.until.at.IsZero() {
		end = uint64(max(r.until.at.UnixNano(), 0))
	}
	return start, end
}
