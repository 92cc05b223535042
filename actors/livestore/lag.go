package livestore

import (
	"fmt"
	"time"
)

// readSlack is how long before a question about the present the end of the log was seen that its
// answer rests on.
const readSlack = time.Second

// lag is how far what was read is behind the log.
type lag struct {
	behind string // why the log cannot be read at present; empty: it can
	// atEnd is when an end of the log was seen to which everything was read since.
	atEnd time.Time
	aim   logEnd // was seen, and is not reached yet
}

// logEnd is an end of the log. Whoever has seen it began to look at the time.
type logEnd struct {
	at  time.Time
	end int64
}

// noteEnd notes that an end of the log was seen, and that everything below next was read. While
// records come faster than they are read the newest end is never reached, so the oldest that was
// not is aimed at.
func (l *lag) noteEnd(next int64, seen logEnd) {
	if !l.aim.at.IsZero() && next >= l.aim.end {
		l.atEnd, l.aim = l.aim.at, logEnd{}
	}
	switch {
	case next >= seen.end:
		l.atEnd, l.aim = seen.at, logEnd{}
	case l.aim.at.IsZero():
		l.aim = seen
	}
}

// isFresh reports whether everything is held that was in the log shortly before a question came:
// neither a process that has slept nor a log that is read too slowly hides what was acknowledged.
func (l *lag) isFresh(asked time.Time) bool { return !l.atEnd.Before(asked.Add(-readSlack)) }

// whyBehind says why an answer about the present may miss something; empty: it does not.
func (l *lag) whyBehind(next int64, asked time.Time) string {
	switch {
	case l.behind != "" || l.isFresh(asked):
		return l.behind
	case l.aim.at.IsZero():
		return fmt.Sprintf("the read of the log that began after %s has not ended yet", l.atEnd.Format(time.RFC3339))
	}
	return fmt.Sprintf("it is read more slowly than it is written, and %d offsets from before %s are still to be read",
		l.aim.end-next, l.aim.at.Format(time.RFC3339))
}
