package livestore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A cut ends with the day of its first record, whatever came in which order after it. A record from
// the future is of today.
func TestCutEndsWithItsDay(t *testing.T) {
	midnight := time.Unix(20_000*86_400, 0)
	listOf := func(arrived ...time.Duration) *recordList {
		l := &recordList{}
		for i, d := range arrived {
			l.list = append(l.list, record{offset: int64(i), arrived: midnight.Add(d)})
		}
		return l
	}
	const hour = time.Hour
	for name, c := range map[string]struct {
		arrived []time.Duration
		first   int
		now     time.Duration
		want    int
	}{
		"one day":                        {[]time.Duration{-2 * hour, -hour, -1}, 0, -1, 3},
		"midnight is of the next":        {[]time.Duration{-2 * hour, -1, 0, hour}, 0, hour, 2},
		"from the next day on":           {[]time.Duration{-2 * hour, -1, 0, hour}, 2, hour, 4},
		"a late record joins":            {[]time.Duration{-hour, hour, -1, hour}, 0, hour, 1},
		"a late record begins":           {[]time.Duration{hour, -hour, hour}, 0, hour, 3},
		"an hour ahead is believed":      {[]time.Duration{-hour, hour / 2}, 0, -hour / 2, 1},
		"a year ahead counts as now":     {[]time.Duration{-hour, 365 * 24 * hour, -1}, 0, -1, 3},
		"and after midnight as tomorrow": {[]time.Duration{-hour, 365 * 24 * hour}, 0, hour, 1},
	} {
		require.Equal(t, c.want, listOf(c.arrived...).firstOfNextDay(c.first, midnight.Add(c.now)), name)
	}
}
