package queryfrontend

import (
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// explainEnd notes what a scan has read or why it failed, for a client that asks how its answer is
// found.
func (c *course) explainEnd(m jobEnded, now time.Time, err error) {
	scan, ok := m.job.task.(scanTask)
	if !c.query.Explain || !ok {
		return
	}
	s := jobs.Step{Outcome: jobs.WasRead, Took: now.Sub(m.sent)}
	scan.describeStep(&s)
	if result, ok := m.reply.(*jobs.ScanResult); ok && err == nil {
		s.Spans = result.Spans
		if result.Read != nil {
			s.Read = *result.Read
			if result.Read.Reads == 0 {
				s.Outcome, s.Spans = jobs.IndexOnly, 0
			}
		}
	}
	if err != nil {
		s.Outcome, s.Reason = jobs.Failed, err.Error()
	}
	c.explained.Steps = append(c.explained.Steps, s)
}

// explainNeedless notes a scan that was not made, or not waited for.
func (c *course) explainNeedless(j job) {
	scan, ok := j.task.(scanTask)
	if !c.query.Explain || !ok {
		return
	}
	s := jobs.Step{Outcome: jobs.Needless}
	scan.describeStep(&s)
	c.explained.Steps = append(c.explained.Steps, s)
}
