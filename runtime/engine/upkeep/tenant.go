package upkeep

import (
	"slices"
	"time"
)

// OfTenant returns what a Status says of one tenant. What it says of workers, of the clock and of
// the sweep is of all.
func (s *Status) OfTenant(tenant string) *Status {
	out := *s
	out.Tenants, out.Total = []*TenantStatus{}, TenantStatus{Levels: []Level{}, Days: []DayStatus{}}
	out.Retention.Next, out.Retention.Overdue = nil, Amount{}
	for _, t := range s.Tenants {
		if t.Tenant == tenant {
			out.Tenants, out.Total = append(out.Tenants, t), *t
			out.Retention.Next, out.Retention.Overdue = t.nextDay(&s.Retention, s.At)
		}
	}
	if out.Total.Retired.Blocks == 0 {
		out.Retention.NextRemoval = time.Time{}
	}
	out.Jobs = slices.DeleteFunc(slices.Clone(s.Jobs), func(j *Job) bool { return j.Tenant != tenant })
	out.SetAside = slices.DeleteFunc(slices.Clone(s.SetAside), func(a *SetAside) bool { return a.Tenant != tenant })
	out.Failures = slices.DeleteFunc(slices.Clone(s.Failures), func(f Failure) bool { return f.Tenant != tenant })
	return &out
}

// nextDay returns which day of the tenant goes next, and what is past its retention. When a day of
// the tenant is due, it goes at the earliest when the next day of all does.
func (t *TenantStatus) nextDay(all *Retaining, now time.Time) (next *NextDay, overdue Amount) {
	for _, d := range slices.Backward(t.Days) { // the oldest first
		if d.Goes.IsZero() {
			continue
		}
		at := d.Goes
		if now.After(at) {
			overdue.add(d.Amount)
			at = all.Next.At
		}
		if next == nil || at.Before(next.At) {
			next = &NextDay{Day: d.Day, At: at, Amount: d.Amount, Tenants: 1}
		}
	}
	return next, overdue
}
