package blockbuilder

import "github.com/troupe-tracing/troupe/runtime/engine/jobs"

// cutLimit is how long the next cut may be. Cuts become shorter, down to one record, when one
// cannot be built because of what it holds: the same cut would fail again in the same way.
type cutLimit struct {
	most   int64 // offsets that a cut may span; 0: any number
	whole  int64 // offsets of the cut that could not be built at first
	single int64 // offset of the last record that could not be built alone; -1: none
	tries  int   // builds of that record in a row that have failed
}

// shorten halves the next cut, because this one could not be built. Of a cut of one record it
// counts the tries.
func (l *cutLimit) shorten(cut *jobs.CutResult) {
	if n := cut.To - cut.From; cut.Records > 1 {
		if l.most == 0 {
			l.whole = n
		}
		l.most = max(n/2, 1)
		return
	}
	if l.single != cut.From {
		l.single, l.tries = cut.From, 0
	}
	l.tries++
}

// lengthen doubles the next cut, because one was published, until it may have any length.
func (l *cutLimit) lengthen() {
	if l.most *= 2; l.most >= l.whole {
		l.most = 0
	}
	l.tries = 0
}

// triesOf returns how many builds of a cut of one record have failed in a row; 0 for a longer cut.
func (l *cutLimit) triesOf(cut *jobs.CutResult) int {
	if cut.Records != 1 || cut.From != l.single {
		return 0
	}
	return l.tries
}
