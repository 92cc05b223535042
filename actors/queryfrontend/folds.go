package queryfrontend

import (
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
)

// fold is scans of several blocks whose results become one. When all of them have ended it is
// merged into the findings and kept, so that the same question costs one merge from then on.
type fold struct {
	plan.Fold
	left    int // scans that have not ended
	parts   []jobs.Partial
	size    int64 // of the parts, in bytes
	spoiled bool  // a scan has failed: what the others have found is not all there is
}

// openFolds are the folds whose scans have not all ended.
type openFolds []*fold

// keptResult is what a fold, or a batch of candidates, adds to an answer. It is kept for others.
type keptResult struct {
	name   string
	result *jobs.ScanResult
}

// recallFolds asks the cache for the results of folds.
func (c *course) recallFolds(list []plan.Fold) step {
	jobs := make([]job, len(list))
	for i, f := range list {
		jobs[i].task = recallTask{name: f.Name, fold: &fold{Fold: f, left: len(f.Scans)}}
	}
	return c.sendJobs(jobs...)
}

// openFold has the scans of a fold whose result is not known wait for slots.
func (c *course) openFold(f *fold) {
	c.openFolds = append(c.openFolds, f)
	for i := range f.Scans {
		c.queue = append(c.queue, job{task: blockScanTask{Scan: &f.Scans[i], fold: f}})
	}
}

// addToFold adds the result of one of the fold's scans.
func (c *course) addToFold(f *fold, m *jobs.ScanResult) {
	c.noteScan(m)
	f.parts = append(f.parts, m.Partial)
	f.size += m.Partial.Size()
	c.endScanOf(f)
}

// spoilFold notes that one of the fold's scans has failed.
func (c *course) spoilFold(f *fold) {
	f.spoiled = true
	c.endScanOf(f)
}

// endScanOf merges a fold into the findings when the last of its scans has ended.
func (c *course) endScanOf(f *fold) {
	if f.left--; f.left > 0 {
		return
	}
	c.openFolds = slices.DeleteFunc(c.openFolds, func(o *fold) bool { return o == f })
	var all jobs.Partial
	for _, p := range f.parts {
		all.Merge(p, c.query.Scan)
	}
	all.Pack()
	c.partial.Merge(all, c.query.Scan)
	if !f.spoiled {
		c.toKeep = append(c.toKeep, keptResult{f.Name, &jobs.ScanResult{Partial: all, CacheHits: len(f.Scans)}})
	}
}

// bytes estimates the memory of what the scans have found.
func (l openFolds) bytes() (n int64) {
	for _, f := range l {
		n += f.size
	}
	return n
}

// mergeInto adds what the scans have found so far.
func (l openFolds) mergeInto(p *jobs.Partial, s jobs.Scan) {
	for _, f := range l {
		for _, part := range f.parts {
			p.Merge(part, s)
		}
	}
}
