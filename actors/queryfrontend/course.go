package queryfrontend

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// step is what one message has caused. The zero step does nothing.
type step struct {
	jobs          []job // to send now
	retry         *job  // to be handed back to onRetryDue, after retryAfter
	retryAfter    time.Duration
	unusedSlots   int              // to give back
	demandChanged bool             // another number of jobs waits for slots
	progress      *jobs.Answer     // for the client, frozen
	chunk         *jobs.TraceChunk // for the client
	answer        *jobs.Answer     // ends the query
	fail          error            // ends the query without an answer
	limit         string           // the key of the limit that made it fail, if one did
	keep          []keptResult
}

// course is the course of one query. It decides everything and knows neither actors nor the clock.
// Everything that it has from its present plan is in its attempt.
type course struct {
	cfg     Config
	query   *jobs.Query
	scanKey string // of the query's scan, for caches
	until   time.Time

	attempt
	delivery delivery // of a trace that is read in chunks
	attempts int
	sent     int    // numbers the jobs
	atLeast  uint64 // the version of the catalog that a live-store has named
	// lastView is the newest version of the catalog that any query has seen. It is used when the
	// scheduler does not answer. nil: none.
	lastView *catalog.View
	lost     map[string]uint64 // blocks that were not found -> the version of the catalog that named them
	told     time.Time         // of the last progress
	toldNews bool              // a progress with traces in it was told
}

// maxAttempts bounds how often a query is planned. A query whose plans are out of date more often
// fails.
const maxAttempts = 8

func newCourse(cfg Config, q *jobs.Query, last *catalog.View) *course {
	own := *q
	own.Scan = q.Scan.WithTraceWindow(cfg.TraceWindow)
	return &course{cfg: cfg, query: &own, scanKey: own.Scan.Key(), lastView: last, lost: map[string]uint64{}}
}

// beginUntil begins the course, which has until then.
func (c *course) beginUntil(until time.Time) step {
	c.until = until
	return c.beginAttempt()
}

// beginAttempt begins, or begins anew on a newer catalog.
func (c *course) beginAttempt() step {
	c.attempts++
	if c.attempts > maxAttempts {
		return step{fail: status.Errorf(status.Unavailable, "plan query: the catalog moved on %d times", maxAttempts)}
	}
	c.keepLacks()
	c.attempt = newAttempt(c, c.answer.Bytes)
	return c.sendJobs(job{task: viewTask{ViewJob: &jobs.ViewJob{AtLeast: c.atLeast}}})
}

// abandonAttempt begins anew in the place of whatever would follow.
func (c *course) abandonAttempt() *step {
	s := c.beginAttempt()
	return &s
}

// sendJobs sends jobs that need no slot, or have one.
func (c *course) sendJobs(list ...job) (s step) {
	for _, j := range list {
		s.jobs = append(s.jobs, c.openJob(j))
	}
	return s
}

// openJob gives a job its number and waits for its end from now on.
func (c *course) openJob(j job) job {
	c.sent++
	j.number = c.sent
	c.open[j.number] = j
	return j
}

// queueJobs has jobs wait for slots; without any the course goes on.
func (c *course) queueJobs(list []job) step {
	c.queue = append(c.queue, list...)
	if len(c.queue) == 0 {
		return c.endPhase()
	}
	return step{demandChanged: true}
}

// slotDemand returns how many jobs wait for slots, and what one of them is expected to cost.
func (c *course) slotDemand() (n int, each time.Duration) {
	for _, j := range c.queue {
		each += j.expectedCost()
	}
	return len(c.queue), each / time.Duration(max(len(c.queue), 1))
}

// onSlots sends jobs into the slots that were given, as far as there is need for them.
func (c *course) onSlots(n int) (s step) {
	before := len(c.queue)
	for ; n > 0 && len(c.queue) > 0; n-- {
		c.dropNeedless()
		if len(c.queue) == 0 {
			break
		}
		j := c.queue[0]
		c.queue = c.queue[1:]
		s.jobs = append(s.jobs, c.openJob(c.narrowJob(j)))
	}
	s.unusedSlots = n
	if before > 0 && len(c.queue) == 0 && len(c.open) == 0 {
		next := c.endPhase()
		next.unusedSlots += s.unusedSlots
		return next
	}
	s.demandChanged = before-len(s.jobs) != len(c.queue)
	return s
}

// onJobEnded takes the end of a job.
func (c *course) onJobEnded(now time.Time, m jobEnded) step {
	if _, ok := c.open[m.job.number]; !ok {
		return step{} // of an older attempt, or nobody waits for it any more
	}
	if m.err != nil && c.mayRetry(now, m.job, m.err) {
		j := m.job
		j.tries++
		return step{retry: &j, retryAfter: c.cfg.RetryAfter << min(j.tries-1, 10)}
	}
	delete(c.open, m.job.number)
	var s step
	before := len(c.queue)
	if over := c.takeEnd(now, m); over != nil {
		return *over
	}
	if over := c.checkLimits(); over != nil {
		return *over
	}
	c.dropNeedless()
	if len(c.open) == 0 && len(c.queue) == 0 {
		s = c.endPhase()
	} else {
		s = step{demandChanged: len(c.queue) != before}
	}
	if s.answer == nil && s.fail == nil && s.progress == nil {
		s.progress = c.takeProgress(now)
	}
	s.keep, c.toKeep = c.toKeep, nil
	return s
}

// takeEnd takes what a job has found, or why it has failed. Its result is nil where the course goes
// on, else it takes the place of whatever would follow.
func (c *course) takeEnd(now time.Time, m jobEnded) (over *step) {
	err := m.err
	if e, ok := m.reply.(error); ok && err == nil {
		err = e
	}
	c.explainEnd(m, now, err)
	if err != nil && failsQuery(m.job.task, err) {
		return &step{fail: err}
	}
	if m.job.isCounted() {
		c.answer.Done++
	}
	if err != nil {
		return m.job.takeFailure(c, err)
	}
	return m.job.takeReply(c, m.reply)
}

// mayRetry reports whether a job that found nobody is sent again, perhaps to another. Its slot is
// given back meanwhile.
func (c *course) mayRetry(now time.Time, j job, err error) bool {
	if c.phase == viewing && c.mayUseLastView() {
		return false
	}
	return status.Of(err).Class == status.Unavailable && j.tries+1 < c.cfg.MaxTries && now.Before(c.until)
}

// onRetryDue queues or sends a job whose pause is over.
func (c *course) onRetryDue(j job) step {
	if _, ok := c.open[j.number]; !ok {
		return step{}
	}
	delete(c.open, j.number)
	if j.needsSlot() {
		c.queue = append(c.queue, j)
		return step{demandChanged: true}
	}
	return c.sendJobs(j)
}

// onTimeOver answers with the results so far, and names what is missing.
func (c *course) onTimeOver() step {
	if c.query.Chunks != nil {
		return lateDelivery()
	}
	late := status.Errorf(status.Timeout, "query: not answered in time; ask for less time or narrow the filter")
	if c.phase < scanning && c.query.Trace == nil || c.foundOut == 0 {
		return step{fail: late}
	}
	c.missing.noteCause("query", late)
	if c.phase != collecting {
		c.missing.addReason("timeout", "timeout: %d jobs had not ended when the query's time was over",
			len(c.open)+len(c.queue))
		return c.finishAnswer()
	}
	for _, n := range slices.Sorted(maps.Keys(c.open)) {
		c.queue = append(c.queue, c.open[n])
	}
	for _, j := range c.queue {
		j.noteUnread(&c.missing, late)
	}
	clear(c.open)
	c.queue = nil
	return c.joinTraceLate()
}

func (c *course) mayUseLastView() bool {
	return c.lastView != nil && c.lastView.Version >= c.atLeast
}

// noteLiveStore takes the state that a live-store reports with its answer. Where it has dropped
// records that a newer catalog has in blocks, the query is planned again.
func (c *course) noteLiveStore(partition int32, h jobs.Retained, behind string) (over *step) {
	if h.Floor > c.basis.View.Covered[partition] {
		c.atLeast = max(c.atLeast, h.Version)
		return c.abandonAttempt()
	}
	c.noteSetAside(h.Aside)
	if behind != "" {
		name := liveStoreName(partition)
		c.missing.addReason(name, "%s is behind in the log: %s", name, behind)
	}
	return nil
}

// noteUnreadBlock notes a block that could not be read. One that is gone was replaced: the query is
// planned again where the catalog has moved on.
func (c *course) noteUnreadBlock(m *blocks.BlockMeta, err error) (over *step) {
	if isGone(err) && c.lost[m.GetId()] < c.basis.View.Version {
		c.lost[m.GetId()] = c.basis.View.Version
		return c.abandonAttempt()
	}
	c.missing.noteBlock(m, err)
	return nil
}

// noteUnreadBlocks notes the blocks of a job that has failed.
func (c *course) noteUnreadBlocks(list []*blocks.BlockMeta, err error) (over *step) {
	for _, m := range list {
		if over := c.noteUnreadBlock(m, err); over != nil {
			return over
		}
	}
	return nil
}

// noteFailures notes the blocks that the reply to a job names as unread.
func (c *course) noteFailures(list []jobs.BlockFailure) (over *step) {
	for _, f := range list {
		if over := c.noteUnreadBlock(f.Block, f); over != nil {
			return over
		}
	}
	return nil
}

func isGone(err error) bool {
	return status.Of(err).Class == status.NotFound || errors.Is(err, objstore.ErrNotFound)
}

// noteWatermark takes the watermark of a partition. The least counts, so one unknown watermark
// makes the answer's unknown.
func (c *course) noteWatermark(w int64) {
	if c.watermarks == 0 || w < c.answer.Watermark {
		c.answer.Watermark = w
	}
	c.watermarks++
}

// mergeScan adds the result of a scan to the findings.
func (c *course) mergeScan(m *jobs.ScanResult) {
	c.noteScan(m)
	c.partial.Merge(m.Partial, c.query.Scan)
}

// noteScan notes what a scan has read.
func (c *course) noteScan(m *jobs.ScanResult) {
	c.answer.Bytes += m.Bytes
	c.answer.Spans += m.Spans
	c.answer.CacheHits += m.CacheHits
	c.foundOut++
}

// checkLimits ends a query that has passed a limit. The traces that are put together for an answer
// are not the answer: of these the query reads fewer at a time.
func (c *course) checkLimits() (over *step) {
	if c.answer.Bytes > int64(c.cfg.MaxBytes) {
		return limitHit("max_bytes_per_query",
			"it has read more than %d bytes; ask for less time or narrow the filter", c.cfg.MaxBytes)
	}
	known := c.partial.Size() + c.openFolds.bytes()
	c.size = known + c.batch.bytes + c.byID.bytes
	limit, most := "max_result_bytes", int64(c.cfg.MaxResult)
	if c.ordered.index != nil {
		c.size += c.ordered.bytes() + int64(len(c.delivery.ready))
		limit, most = "max_results_bytes", int64(c.cfg.MaxResults)
		if c.ordered.outline != nil && c.size > most {
			return c.refuseOutline(limit, most)
		}
	}
	switch {
	case c.size <= most:
		return nil
	case c.phase == reading && known <= most:
		s := c.readFewer(limit, most)
		return &s
	}
	return limitHit(limit,
		"its answer needs more than %d bytes of memory; ask for fewer traces or series, or less time", most)
}

// limitHit is the end of a query that has hit a limit.
func limitHit(key, format string, args ...any) *step {
	return &step{limit: key, fail: status.Limitedf(0, "query: %s (%s)", fmt.Sprintf(format, args...), key)}
}

// endPhase goes on when every job of the phase has ended.
func (c *course) endPhase() step {
	switch c.phase {
	case viewing:
		c.noteGaps()
		c.noteSetAside(c.basis.View.SetAside)
		switch {
		case c.query.Chunks != nil:
			return c.indexTrace()
		case c.query.Trace != nil:
			return c.readTrace()
		}
		return c.askHomes()
	case homes:
		if c.counts == nil && c.query.Scan.JudgesTraces() {
			if c.counts = c.basis.MixedCounts(); c.counts != nil {
				return c.askHomes()
			}
		}
		if c.query.Scan.Matches != nil {
			return c.matchSpans()
		}
		return c.scanHomes()
	case scanning:
		c.orderCandidates()
		return c.confirmNext()
	case recalling:
		if c.batch.isKnown {
			return c.confirmNext()
		}
		return c.readBatch()
	case reading:
		return c.assembleBatch()
	case assembling:
		return c.endBatch()
	case collecting:
		return c.joinTrace()
	case joining:
		return c.finishAnswer()
	}
	return c.endChunkPhase()
}

// askHomes asks the live-stores which of their traces have another home. Their answers fix the end
// of the query in each partition.
func (c *course) askHomes() step {
	c.phase = homes
	asked := c.basis.PlanHomes(c.counts)
	if len(asked) == 0 {
		return c.endPhase()
	}
	list := make([]job, len(asked))
	for i := range asked {
		list[i].task = homesTask{Homes: &asked[i]}
	}
	return c.sendJobs(list...)
}

// scanHomes scans every home in the range.
func (c *course) scanHomes() step {
	c.phase = scanning
	for _, p := range c.basis.Partitions() {
		if h := c.basis.Live[p]; h != nil {
			c.noteWatermark(h.Watermark)
		}
	}
	scans := c.basis.PlanScans(plan.ScanOptions{Key: c.scanKey, SpansPerJob: c.cfg.JobSpans,
		Skip: c.missing.isUnsearched})
	n := scans.Count()
	if n > c.cfg.MaxJobs {
		return *limitHit("max_jobs_per_query", "it needs %d jobs over %d blocks, more than %d; ask for less time",
			n, scans.Blocks, c.cfg.MaxJobs)
	}
	c.shared, c.candidates.bounds = scans.Shared, scans.Straddling
	c.answer.Blocks, c.answer.Jobs, c.answer.BlockBytes = scans.Blocks, n, scans.BlockBytes
	if c.query.Explain {
		c.explained.Version = c.basis.View.Version
		c.explained.OutOfRange = scans.OutOfRange
	}
	list := make([]job, len(scans.Jobs))
	for i := range scans.Jobs {
		if scans.Jobs[i].Block != nil {
			list[i].task = blockScanTask{Scan: &scans.Jobs[i]}
		} else {
			list[i].task = liveScanTask{Scan: &scans.Jobs[i]}
		}
	}
	recalls := c.recallFolds(scans.Folds)
	if len(recalls.jobs) == 0 {
		return c.queueJobs(list)
	}
	c.queue = append(c.queue, list...)
	recalls.demandChanged = len(list) > 0
	return recalls
}

// dropNeedless takes jobs from the head of the queue that cannot add to the answer any more. Where
// only those are left that are under way, it does not wait for the needless ones of them.
func (c *course) dropNeedless() {
	for len(c.queue) > 0 && c.isNeedless(c.queue[0]) {
		c.explainNeedless(c.queue[0])
		c.queue = c.queue[1:]
		c.answer.Done++
	}
	if len(c.queue) > 0 {
		return
	}
	for n, j := range c.open {
		if c.isNeedless(j) {
			c.explainNeedless(j)
			delete(c.open, n)
			c.answer.Done++
		}
	}
}

func (c *course) isNeedless(j job) bool {
	s, ok := j.task.(scanTask)
	return ok && s.isNeedless(c)
}

// narrowJob has a scan of a search leave out traces that are older than all of those that are found
// already, when these are as many as asked for.
func (c *course) narrowJob(j job) job {
	s, ok := j.task.(scanTask)
	if !ok || c.query.Scan.Search == nil {
		return j
	}
	if floor := c.partial.Floor(c.query.Scan.Search.Limit); floor > 0 {
		j.task = s.startingSince(floor)
	}
	return j
}

// takeProgress returns the findings so far, if it is time to tell them.
func (c *course) takeProgress(now time.Time) *jobs.Answer {
	if !c.query.WantsProgress || c.query.Trace != nil || c.answer.Done == 0 {
		return nil
	}
	news := c.partial.Search != nil && len(c.partial.Search.Traces) > 0 && !c.toldNews
	if !c.told.IsZero() && now.Sub(c.told) < c.cfg.ProgressStep && !news {
		return nil
	}
	c.told, c.toldNews = now, c.toldNews || news
	a := c.answer
	a.Partial = c.partial.Clone(c.query.Scan)
	c.openFolds.mergeInto(&a.Partial, c.query.Scan)
	a.Warnings = c.missing.listWarnings()
	a.Partials = c.missing.partialTraces(c.basis.PartitionOf, a.Partial.Search)
	return &a
}

// finishAnswer ends the query with its answer. Where nothing could be read at all it fails.
func (c *course) finishAnswer() step {
	if c.foundOut == 0 && c.missing.firstCause != nil {
		return step{fail: fmt.Errorf("query: nothing could be read: %w", c.missing.firstCause)}
	}
	a := &c.answer
	c.openFolds.mergeInto(&c.partial, c.query.Scan)
	a.Partial = c.partial
	c.noteBeyondWindow()
	a.Warnings = c.missing.listWarnings()
	a.Complete = len(a.Warnings) == 0
	if c.query.Explain {
		a.Explained = &c.explained
	}
	if c.query.Trace == nil {
		a.Partials = c.missing.partialTraces(c.basis.PartitionOf, a.Partial.Search)
	} else if a.Trace != nil && c.missing.isPartial(*c.query.Trace) {
		a.Partials = []trace.ID{*c.query.Trace}
	}
	return step{answer: a}
}
