package upkeep

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
)

// mostListed bounds the block ids that are listed of blocks that are set aside for one reason.
const mostListed = 64

// Describe makes the Status. It goes through all blocks once.
func Describe(f *Facts, now time.Time) *Status {
	view := f.Catalog.View()
	d := description{facts: f, now: now, tenants: map[string]*TenantStatus{}, aside: map[asideKey]*SetAside{},
		failing: map[string]bool{}}
	d.status = &Status{
		At:        now.UTC(),
		Version:   view.Version,
		Trouble:   f.Trouble,
		Retention: f.Retention,
		Sweep:     f.Sweep,
		Total:     TenantStatus{Levels: []Level{}, Days: []DayStatus{}},
		Jobs:      []*Job{},
		Failures:  append([]Failure{}, f.Failed...),
	}
	slices.Reverse(d.status.Failures)
	d.listJobs()
	days := PlanRetention(view, f.Policy, now)
	for _, day := range slices.Backward(days) {
		d.addDay(&day)
	}
	d.addRetired()
	d.status.Retention.describeNext(days, now, f.NotBefore)
	d.status.Tenants = slices.AppendSeq([]*TenantStatus{}, maps.Values(d.tenants))
	slices.SortFunc(d.status.Tenants, func(a, b *TenantStatus) int {
		return strings.Compare(a.Tenant, b.Tenant)
	})
	d.status.SetAside = slices.AppendSeq([]*SetAside{}, maps.Values(d.aside))
	slices.SortFunc(d.status.SetAside, func(a, b *SetAside) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Reason, b.Reason))
	})
	d.describeMerging()
	return d.status
}

// description is a Status while it is made.
type description struct {
	facts   *Facts
	now     time.Time
	status  *Status
	tenants map[string]*TenantStatus
	merged  map[string]*Job // by block that is due or being merged; nil: no worker has it yet
	aside   map[asideKey]*SetAside
	failing map[string]bool // tenants with blocks that rest after a failure
}

type asideKey struct{ tenant, reason string }

// listJobs lists the merges that workers have begun, and notes which blocks are due.
func (d *description) listJobs() {
	d.merged = map[string]*Job{}
	for _, due := range d.facts.Due {
		for _, j := range due {
			for _, m := range j.Inputs {
				d.merged[m.GetId()] = nil
			}
		}
	}
	for _, l := range d.facts.Catalog.Leases() {
		j := &Job{
			Lease:   l.GetLease(),
			Tenant:  l.GetTenant(),
			Level:   l.GetLevel(),
			Inputs:  l.GetInputs(),
			Worker:  l.GetWorker(),
			Attempt: l.GetAttempt(),
		}
		j.Began, j.Heard = d.facts.Tended(j.Lease)
		d.status.Jobs = append(d.status.Jobs, j)
		for _, id := range j.Inputs {
			d.merged[id] = j
		}
	}
}

// tenantOf returns the status of a tenant.
func (d *description) tenantOf(name string) *TenantStatus {
	t := d.tenants[name]
	if t == nil {
		limits := d.facts.Policy.Of(name)
		t = &TenantStatus{
			Tenant:           name,
			Levels:           []Level{},
			Days:             []DayStatus{},
			RetentionSeconds: int64(limits.Retention / time.Second),
			Kept:             limits.Kept,
		}
		d.tenants[name] = t
	}
	return t
}

// addDay adds the blocks of a tenant's day to the tenant and to the total. Days come newest first.
func (d *description) addDay(day *Day) {
	t := d.tenantOf(day.Tenant)
	name := NameDay(day.Day)
	all := &d.status.Total
	own := DayStatus{Day: name, Goes: day.Goes, Why: day.Why}
	settled := !d.now.Before(compact.SettledAt(day.Day))
	for _, m := range day.Blocks {
		n := Amount{1, m.GetBytes(), m.GetSpans()}
		own.addBlock(m.GetLevel(), n)
		t.Live.add(n)
		t.Levels = addLevel(t.Levels, m.GetLevel(), n)
		all.Levels = addLevel(all.Levels, m.GetLevel(), n)
		d.addWork(t, name, m, settled)
	}
	all.Live.add(own.Amount)
	t.Days = append(t.Days, own)
	if last := len(all.Days) - 1; last < 0 || all.Days[last].Day != name {
		all.Days = append(all.Days, DayStatus{Day: name})
	}
	all.Days[len(all.Days)-1].addDay(&own)
}

// addWork adds a block to what is to be done with it.
func (d *description) addWork(t *TenantStatus, day string, m *blocks.BlockMeta, settled bool) {
	n := Amount{1, m.GetBytes(), m.GetSpans()}
	job, isMerged := d.merged[m.GetId()]
	reason, isAside := d.facts.Catalog.Unmerged()[m.GetId()]
	isResting := !isMerged && !isAside && d.facts.Resting[m.GetId()]
	if isResting {
		d.failing[t.Tenant] = true
	}
	switch {
	case isMerged || isResting:
		t.Debt.add(n)
		d.status.Total.Debt.add(n)
		if job != nil {
			job.Day = day
			job.add(n)
		}
	case isAside:
		t.SetAside.add(n)
		d.status.Total.SetAside.add(n)
		a := d.aside[asideKey{t.Tenant, reason}]
		if a == nil {
			a = &SetAside{Tenant: t.Tenant, Reason: reason}
			d.aside[asideKey{t.Tenant, reason}] = a
		}
		a.add(n)
		if len(a.Inputs) < mostListed {
			a.Inputs = append(a.Inputs, m.GetId())
		}
	case !settled && !t.Kept && !d.facts.Off && compact.IsUnfinished(m):
		t.Waiting.add(n)
		d.status.Total.Waiting.add(n)
	}
}

// addRetired adds the blocks that wait to be removed.
func (d *description) addRetired() {
	for _, r := range d.facts.Catalog.Retired() {
		m := r.GetBlock()
		n := Amount{1, m.GetBytes(), m.GetSpans()}
		d.tenantOf(m.GetTenant()).Retired.add(n)
		d.status.Total.Retired.add(n)
	}
}

func (s *DayStatus) addBlock(level int32, n Amount) {
	s.Amount.add(n)
	s.Levels = addLevel(s.Levels, level, n)
}

// addDay adds the day of one tenant to that of all. The first blocks that go say when and why.
func (s *DayStatus) addDay(own *DayStatus) {
	s.Amount.add(own.Amount)
	for _, l := range own.Levels {
		s.Levels = addLevel(s.Levels, l.Level, l.Amount)
	}
	if !own.Goes.IsZero() && (s.Goes.IsZero() || own.Goes.Before(s.Goes)) {
		s.Goes, s.Why = own.Goes, own.Why
	}
}

// addLevel adds to the amount of a level in a list that is sorted by level.
func addLevel(list []Level, level int32, n Amount) []Level {
	i, ok := slices.BinarySearchFunc(list, level, func(l Level, level int32) int { return cmp.Compare(l.Level, level) })
	if !ok {
		list = slices.Insert(list, i, Level{Level: level})
	}
	list[i].add(n)
	return list
}

// describeNext says which day goes next, and when at the earliest.
func (r *Retaining) describeNext(days []Day, now, notBefore time.Time) {
	soonest := time.Time{}
	for _, d := range days {
		if d.IsDue(now) {
			r.Overdue.add(d.amount())
		}
		if !d.Goes.IsZero() && (soonest.IsZero() || d.Goes.Before(soonest)) {
			soonest = d.Goes
		}
	}
	if soonest.IsZero() {
		return
	}
	at := soonest
	for _, t := range []time.Time{now, notBefore} {
		if at.Before(t) {
			at = t
		}
	}
	taken := TakeDue(days, soonest.Add(1))
	r.Next = &NextDay{Day: NameDay(taken[0].Day), At: at.UTC(), Tenants: len(taken)}
	for _, d := range taken {
		r.Next.add(d.amount())
	}
}
