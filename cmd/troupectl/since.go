package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// period is a flag that takes Go's durations and days and weeks before them: 90m, 2d, 1w, 1w2d12h,
// 1.5d.
type period time.Duration

func (p *period) String() string { return formatPeriod(time.Duration(*p)) }
func (p *period) Type() string   { return "duration" }

func (p *period) Set(s string) error {
	d, err := parsePeriod(s)
	if err != nil {
		return err
	}
	*p = period(d)
	return nil
}

var dayOrWeek = regexp.MustCompile(`^(\d+(?:\.\d+)?)([dw])`)

// parsePeriod reads a duration above zero.
func parsePeriod(s string) (time.Duration, error) {
	sum, rest := 0.0, s
	for {
		m := dayOrWeek.FindStringSubmatch(rest)
		if m == nil {
			break
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration", s)
		}
		unit := 24 * time.Hour
		if m[2] == "w" {
			unit *= 7
		}
		sum += n * float64(unit)
		rest = rest[len(m[0]):]
	}
	if rest != "" || s == "" {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration: give for instance 90s, 15m, 6h, 2d or 1w", s)
		}
		sum += float64(d)
	}
	if sum < 1 || sum >= math.MaxInt64 {
		return 0, fmt.Errorf("%q must be above zero and below 292 years", s)
	}
	return time.Duration(sum), nil
}

func formatPeriod(d time.Duration) string {
	if d > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	if d > 0 && d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	if d > 0 && d%time.Minute == 0 {
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// addSince adds --since to a command.
func addSince(cmd *cobra.Command, otherwise time.Duration, help string) *period {
	p := period(otherwise)
	cmd.Flags().Var(&p, "since", help+": 90s, 15m, 6h, 2d, 1w")
	return &p
}
