package httpapi

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

// parseNumber reads a parameter of 32 bits. Where it is absent or empty it is zero.
func parseNumber(v url.Values, name string) (uint32, error) {
	s := v.Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, invalidf("invalid %s: %s", name, err)
	}
	return uint32(n), nil
}

// numberOrZero reads a parameter of 32 bits. Whatever is no number is zero.
func numberOrZero(v url.Values, name string) uint32 {
	n, err := strconv.ParseUint(v.Get(name), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// parseInstant reads a time as Tempo does. Up to ten digits are unix seconds, more are nanoseconds,
// and a number with a point is seconds with a fraction. Otherwise the time is in RFC 3339.
func parseInstant(name, s string) (time.Time, error) {
	if strings.Contains(s, ".") {
		if f, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(f) < math.MaxInt64/1e9 {
			whole, part := math.Modf(f)
			return time.Unix(int64(whole), int64(math.Round(part*1e3)*1e6)), nil
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		if t, terr := time.Parse(time.RFC3339Nano, s); terr == nil {
			return t, nil
		}
		return time.Time{}, fmt.Errorf("could not parse '%s' parameter: %w", name, err)
	}
	if len(s) <= 10 {
		return time.Unix(n, 0), nil
	}
	return time.Unix(0, n), nil
}

// parseSince reads how far back a range reaches.
func parseSince(s string) (time.Duration, error) {
	d, err := model.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("could not parse 'since' parameter: %w", err)
	}
	return time.Duration(d), nil
}

// rangeBack returns the range that begins d ago.
func (a *handlers) rangeBack(d time.Duration) query.Seconds {
	now := a.Now()
	return query.Seconds{Start: unixSeconds(now.Add(-d)), End: unixSeconds(query.DefaultEnd(now)), Asked: d}
}

func unixSeconds(t time.Time) uint64 { return uint64(max(t.Unix(), 1)) }

// parseSearchRange reads the range of a search: since, or start and end in seconds.
func (a *handlers) parseSearchRange(v url.Values) (out query.Seconds, err error) {
	if s := v.Get("since"); s != "" {
		d, err := parseSince(s)
		if err != nil {
			return out, invalidf("error parsing date range: %s", err)
		}
		return a.rangeBack(d), nil
	}
	start, err := parseNumber(v, "start")
	if err != nil {
		return out, err
	}
	end, err := parseNumber(v, "end")
	if err != nil {
		return out, err
	}
	if start != 0 && end <= start {
		return out, invalidf("http parameter start must be before end. received start=%d end=%d", start, end)
	}
	return query.Seconds{Start: uint64(start), End: uint64(end)}, nil
}

// parseTagsRange reads the range of a question for names or values: since, or start and end in any
// form that parseInstant reads.
func (a *handlers) parseTagsRange(v url.Values) (out query.Seconds, err error) {
	if s := v.Get("since"); s != "" {
		d, err := parseSince(s)
		if err != nil {
			return out, invalidf("error parsing date range: %s", err)
		}
		return a.rangeBack(d), nil
	}
	for _, p := range []struct {
		name string
		to   *uint64
	}{{"start", &out.Start}, {"end", &out.End}} {
		s := v.Get(p.name)
		if s == "" || s == "0" {
			continue
		}
		t, err := parseInstant(p.name, s)
		if err != nil {
			return out, invalidf("error parsing date range: %s", err)
		}
		*p.to = unixSeconds(t)
	}
	return out, nil
}

// parseSeries reads the parameters that all metrics queries share. Its errors begin as those of
// Tempo do, which clients look at.
func (a *handlers) parseSeries(v url.Values) (q query.SeriesParams, err error) {
	fail := func(err error) (query.SeriesParams, error) {
		return q, invalidf("rpc error: code = Code(400) desc = %s", err)
	}
	if q.Query = v.Get("q"); q.Query == "" {
		q.Query = v.Get("query")
	}
	back := time.Hour
	if s := v.Get("since"); s != "" {
		if back, err = parseSince(s); err != nil {
			return fail(err)
		}
	}
	start := a.Now()
	if s := v.Get("end"); s != "" {
		end, err := parseInstant("end", s)
		if err != nil {
			return fail(err)
		}
		q.End = uint64(max(end.UnixNano(), 0))
		if end.Before(start) {
			start = end
		}
	}
	start = start.Add(-back)
	if s := v.Get("start"); s != "" {
		if start, err = parseInstant("start", s); err != nil {
			return fail(err)
		}
	}
	q.Start = uint64(max(start.UnixNano(), 0))
	q.AutoStep = true
	if s := v.Get("step"); s != "" {
		if q.Step, err = parseStep(s); err != nil {
			return fail(err)
		}
		q.AutoStep = false
	}
	q.Exemplars, q.MaxSeries = int(numberOrZero(v, "exemplars")), int(numberOrZero(v, "maxSeries"))
	return q, nil
}

// parseStep reads a length of time, or a number of seconds.
func parseStep(s string) (d time.Duration, err error) {
	if f, ferr := strconv.ParseFloat(s, 64); ferr == nil {
		if math.IsNaN(f) || math.Abs(f) >= math.MaxInt64/1e9 {
			return 0, fmt.Errorf("cannot parse %q to a valid duration: it overflows", s)
		}
		d = time.Duration(f * float64(time.Second))
	} else if d, err = time.ParseDuration(s); err != nil {
		p, perr := model.ParseDuration(s)
		if perr != nil {
			return 0, fmt.Errorf("cannot parse %q to a valid duration", s)
		}
		d = time.Duration(p)
	}
	if d < 0 {
		return 0, fmt.Errorf("cannot parse %q: step must be positive", s)
	}
	return d, nil
}
