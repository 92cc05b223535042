package queryfrontend

import (
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// explain notes what came of a job, where the client asks how its answer is found.
func (r *running) explain(j job, took time.Duration, outcome jobs.Outcome, result *jobs.ScanResult, err error) {
	if !r.q.Explain {
		return
	}
	s := jobs.Step{Outcome: outcome, Held: j.spans, Took: took}
	switch m := j.msg.(type) {
	case *jobs.LiveScanJob:
		s.Home = fmt.Sprintf("live-store %d", j.partition)
	case *jobs.BlockScanJob:
		s.Home, s.Part, s.Parts, s.Start, s.End = m.Block.GetId(), m.Part, m.Parts, m.Block.GetMinStartUnixNano(), m.Block.GetMaxEndUnixNano()
	default:
		return
	}
	if err != nil {
		s.Reason = err.Error()
	}
	if result != nil {
		s.Spans = result.Spans
		if result.Read != nil {
			s.Read = *result.Read
			if result.Read.Reads == 0 {
				s.Outcome, s.Spans = jobs.IndexOnly, 0
			}
		}
	}
	r.explained.Steps = append(r.explained.Steps, s)
}
