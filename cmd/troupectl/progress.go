package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

const progressEvery = 100 * time.Millisecond // between two drawings

// newBar makes a progress bar on standard error; away from a terminal it shows nothing. A total of
// -1 is not known.
func newBar(cmd *cobra.Command, what string, total int64, more ...progressbar.Option) *progressbar.ProgressBar {
	w := cmd.ErrOrStderr()
	if !isTerminal(w) {
		return progressbar.NewOptions64(total, progressbar.OptionSetWriter(io.Discard),
			progressbar.OptionSetVisibility(false))
	}
	options := []progressbar.Option{progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(progressEvery), progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish()}
	return progressbar.NewOptions64(total, append(options, more...)...)
}

// queryProgress shows how far a query is. It is nil away from a terminal, where answers need not
// come in pieces.
type queryProgress struct{ bar *progressbar.ProgressBar }

func newQueryProgress(cmd *cobra.Command) *queryProgress {
	if !isTerminal(cmd.ErrOrStderr()) {
		return nil
	}
	return &queryProgress{newBar(cmd, "searching", -1)}
}

// progressFunc returns what client.follow calls with what is known so far.
func (p *queryProgress) progressFunc() func([]byte) {
	if p == nil {
		return nil
	}
	return p.showCounts
}

// showCounts draws counts only: names in an answer that is not finished are not shown.
func (p *queryProgress) showCounts(body []byte) {
	var a struct {
		Traces  []json.RawMessage
		Metrics struct{ CompletedJobs, TotalJobs int }
	}
	if json.Unmarshal(body, &a) != nil || a.Metrics.TotalJobs == 0 {
		return
	}
	p.bar.ChangeMax(a.Metrics.TotalJobs)
	if a.Traces != nil {
		p.bar.Describe(fmt.Sprintf("searching, %d traces so far", len(a.Traces)))
	}
	_ = p.bar.Set(a.Metrics.CompletedJobs)
}

func (p *queryProgress) finishBar() {
	if p != nil {
		_ = p.bar.Finish()
	}
}
