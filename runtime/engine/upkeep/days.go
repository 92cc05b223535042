// Package upkeep says what is to be done with the blocks of a catalog, and why it is not done yet:
// which blocks go and when (PlanRetention), and what there is, what waits to be merged, and what
// waits to be removed (Describe).
//
// The backend-scheduler retires by PlanRetention. The status page and troupectl show what the two
// say, so what is shown is what happens.
//
// The package is pure; merges are planned by engine/compact.
package upkeep

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
)

// Limits are the limits of one tenant that concern its blocks.
type Limits struct {
	Retention time.Duration // 0: its blocks are kept for ever
	Kept      bool          // its blocks are neither merged nor retired
}

// Policy is how long blocks are kept.
type Policy struct {
	LimitsOf func(tenant string) Limits // nil: every tenant keeps its blocks for ever
	MaxBytes int64                      // that all blocks together may have; 0: any number
}

// Of returns the limits of a tenant.
func (p Policy) Of(tenant string) Limits {
	if p.LimitsOf == nil {
		return Limits{}
	}
	return p.LimitsOf(tenant)
}

// Day is what one tenant has of one day of arrival.
type Day struct {
	Tenant string
	Day    int64 // since 1970, UTC
	Blocks []*blocks.BlockMeta
	Bytes  int64
	Spans  int64
	Goes   time.Time // when its blocks are due to be retired; zero: never
	Why    string    // they go
}

func (d *Day) amount() Amount { return Amount{len(d.Blocks), d.Bytes, d.Spans} }

// IsDue reports whether the blocks are due to be retired.
func (d *Day) IsDue(now time.Time) bool { return !d.Goes.IsZero() && now.After(d.Goes) }

// PlanRetention returns the live blocks by tenant and day, the oldest day first, with when they go.
// Blocks go after the retention of their tenant, counted from the end of their day. While all
// blocks together have more bytes than they may, the oldest days go as soon as they are over.
func PlanRetention(view *catalog.View, p Policy, now time.Time) []Day {
	days, total := splitDays(view)
	full := int64(-1) // the newest day that goes so that the rest has no more than it may
	for i := range days {
		d := &days[i]
		limits := p.Of(d.Tenant)
		if limits.Kept {
			continue
		}
		end := compact.EndOfDay(d.Day)
		if limits.Retention > 0 {
			d.Goes, d.Why = end.Add(limits.Retention), "kept for "+nameDays(limits.Retention)+" after their day"
		}
		if p.MaxBytes > 0 && total > p.MaxBytes {
			full = d.Day
		}
		if d.Day != full {
			continue
		}
		total -= d.Bytes
		if !d.IsDue(now) {
			d.Goes, d.Why = end, fmt.Sprintf("all blocks have more than %d bytes (max_bucket_bytes)", p.MaxBytes)
		}
	}
	return days
}

// nameDays writes a retention in days, if it is whole days.
func nameDays(d time.Duration) string {
	switch n := d / (24 * time.Hour); {
	case d%(24*time.Hour) != 0:
		return d.String()
	case n == 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}

// splitDays returns the live blocks by day and tenant, and how many bytes all have.
func splitDays(view *catalog.View) (days []Day, total int64) {
	for _, tenant := range view.Tenants() {
		byDay := map[int64]int{} // in days
		for _, m := range view.All(tenant) {
			day := compact.DayOf(m)
			i, ok := byDay[day]
			if !ok {
				i = len(days)
				byDay[day] = i
				days = append(days, Day{Tenant: tenant, Day: day})
			}
			d := &days[i]
			d.Blocks = append(d.Blocks, m)
			d.Bytes, d.Spans = d.Bytes+m.GetBytes(), d.Spans+m.GetSpans()
			total += m.GetBytes()
		}
	}
	slices.SortFunc(days, func(a, b Day) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), strings.Compare(a.Tenant, b.Tenant))
	})
	return days, total
}

// TakeDue returns what goes now: of the oldest day with blocks that are due, those of each tenant.
func TakeDue(days []Day, now time.Time) (due []Day) {
	for _, d := range days {
		if len(due) > 0 && d.Day != due[0].Day {
			break
		}
		if d.IsDue(now) {
			due = append(due, d)
		}
	}
	return due
}

// NameDay names a day as the log and the status page do: 2026-11-30.
func NameDay(day int64) string { return compact.EndOfDay(day - 1).Format(time.DateOnly) }
