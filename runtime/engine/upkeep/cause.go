package upkeep

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// silentAfter is how long a worker that does not rest may say nothing until it counts as silent.
const silentAfter = time.Minute

// describeMerging says how fast blocks are merged, and why those that are due are not merged yet.
func (d *description) describeMerging() {
	f, s := d.facts, &d.status.Merging
	s.Workers = []*Worker{}
	working := map[string]bool{}
	for _, j := range d.status.Jobs {
		working[j.Worker] = true
	}
	present := 0
	for _, known := range f.Workers {
		w := *known
		if w.State = w.stateAt(d.now, working[w.Name]); w.State != "silent" {
			present++
		}
		s.Workers = append(s.Workers, &w)
	}
	slices.SortFunc(s.Workers, func(a, b *Worker) int { return strings.Compare(a.Name, b.Name) })
	s.BytesPerSecond, s.Measured = f.Rate.BytesPerSecond()*float64(present), f.Rate.Count()
	for _, t := range d.status.Tenants {
		t.Cause = d.causeOf(t)
	}
	all := &d.status.Total
	all.Cause = d.causeOf(all)
	switch {
	case all.Debt.Blocks == 0:
		s.ETAKnown = true
	case s.BytesPerSecond > 0 && slices.Contains([]string{CauseBusy, CauseResting, CauseSoon}, all.Cause.Name):
		s.ETAKnown, s.ETASeconds = true, float64(all.Debt.Bytes)/s.BytesPerSecond
	}
}

func (w *Worker) stateAt(now time.Time, works bool) string {
	switch {
	case now.Sub(w.Heard) > silentAfter && now.Sub(w.Rests) > silentAfter:
		return "silent"
	case works:
		return "merging"
	case now.Before(w.Rests):
		return "resting"
	}
	return "idle"
}

// causeOf says why the debt of a tenant, or of all, is not merged yet.
func (d *description) causeOf(t *TenantStatus) Cause {
	f := d.facts
	switch {
	case f.Off:
		return Cause{CauseOff, "merging is off: backend_scheduler.max_block_spans is 0"}
	case t.Kept:
		return Cause{CauseOff, "merging and retention are off for this tenant: compaction_disabled in its overrides"}
	case t.Debt.Blocks == 0:
		return Cause{}
	case f.Trouble != "":
		return Cause{CauseCatalog, "the catalog can not be read or written now: " + f.Trouble}
	}
	workers := d.status.Merging.Workers
	count := map[string]int{}
	for _, w := range workers {
		count[w.State]++
	}
	switch last := d.lastFailure(t.Tenant); {
	case count["silent"] == len(workers):
		return Cause{CauseNoWorker, "no backend-worker has asked for work since the scheduler was started, " +
			"or for a minute after its rest"}
	case last != nil && isFull(last.Reason):
		return Cause{CauseFull, "a merge has failed because there was no space, and is tried again: " + last.Reason}
	case last != nil:
		return Cause{CauseFailing, "a merge has failed, and is tried again: " + last.Reason}
	case count["merging"] > 0:
		return Cause{CauseBusy, fmt.Sprintf("merges under way: %d", len(d.status.Jobs))}
	case count["idle"] == 0:
		next := slices.MinFunc(workers, func(a, b *Worker) int {
			return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), a.Rests.Compare(b.Rests))
		})
		return Cause{CauseResting, "a worker rests after a merge, so that merging leaves processors to the rest of " +
			"the node, until " + next.Rests.UTC().Format("15:04:05 MST")}
	}
	return Cause{CauseSoon, "a worker takes the next merge as soon as it asks"}
}

// lastFailure returns why blocks of a tenant rest, or of any one for an empty name; nil: none does.
func (d *description) lastFailure(tenant string) *Failure {
	for i := range d.status.Failures {
		f := &d.status.Failures[i]
		if f.What == "merge" && d.failing[f.Tenant] && (tenant == "" || tenant == f.Tenant) {
			return f
		}
	}
	return nil
}

// rank puts workers that rest before those that are silent.
func rank(state string) int {
	if state == "resting" {
		return 0
	}
	return 1
}

// isFull reports whether a failure is for want of space. Failures travel between nodes as texts.
func isFull(reason string) bool {
	return strings.Contains(reason, "no space left on device") || strings.Contains(reason, "disk quota exceeded")
}
