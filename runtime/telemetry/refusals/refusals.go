package refusals

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/telemetry"
)

const (
	logEvery     = time.Minute
	maxLines     = 100 // of the log in a minute, beside the line that sums up the rest
	maxMessage   = 500 // bytes of a logged message
	noTenantName = "no tenant"
)

// Refusals counts and logs. It is safe for concurrent use.
type Refusals struct {
	requests, spans, warnings *prometheus.CounterVec

	tenants telemetry.TenantLabels
	log     *slog.Logger

	mu      sync.Mutex
	sums    map[key]*sum // since the last line of each; an entry that is empty was logged within the last minute
	lines   int          // written at once since the timer was started
	timer   *time.Timer  // runs while there are sums
	stopped bool
}

type key struct {
	what   string
	tenant string
	reason Reason
}

type sum struct {
	requests, spans int64
	tenant, message string // of the newest one; the tenant as the request named it
}

const (
	whatRequests = "requests refused"
	whatSpans    = "spans refused"
	whatWarnings = "spans changed"
)

// New makes the counters and registers them.
func New(r prometheus.Registerer, log *slog.Logger) *Refusals {
	counter := func(name, help string) *prometheus.CounterVec {
		o := prometheus.CounterOpts{Name: "troupe_distributor_" + name, Help: help}
		return prometheus.NewCounterVec(o, []string{"tenant", "reason"})
	}
	f := &Refusals{
		requests: counter("requests_refused_total",
			"Requests refused as a whole, by any receiver or by the distributor."),
		spans: counter("spans_refused_total",
			"Spans refused, alone or with their whole request; sent again and refused again they count again."),
		warnings: counter("warnings_total", "Spans or requests that were kept in another form than they were sent."),
		log:      log, sums: map[key]*sum{},
	}
	r.MustRegister(f.requests, f.spans, f.warnings)
	return f
}

// Tenants are the labels of tenants in metrics; the metrics of what is kept share them.
func (f *Refusals) Tenants() *telemetry.TenantLabels {
	if f == nil {
		return nil
	}
	return &f.tenants
}

// CountRequest counts a request that was refused as a whole, with its spans as far as they are
// known. message is what the client is told.
func (f *Refusals) CountRequest(tenant string, reason Reason, spans int64, message string) {
	if f == nil {
		return
	}
	label := f.labelOf(tenant)
	f.requests.WithLabelValues(label, string(reason)).Inc()
	if spans > 0 {
		f.spans.WithLabelValues(label, string(reason)).Add(float64(spans))
	}
	f.noteSample(key{whatRequests, label, reason}, sum{1, spans, tenant, message})
}

// CountSpans counts spans that were refused while the rest of their request was kept.
func (f *Refusals) CountSpans(tenant string, reason Reason, spans int64, message string) {
	if f == nil || spans <= 0 {
		return
	}
	label := f.labelOf(tenant)
	f.spans.WithLabelValues(label, string(reason)).Add(float64(spans))
	f.noteSample(key{whatSpans, label, reason}, sum{1, spans, tenant, message})
}

// CountWarning counts spans, or parts of a request, that were kept in another form than they were
// sent.
func (f *Refusals) CountWarning(tenant string, reason Reason, spans int64, message string) {
	if f == nil || spans <= 0 {
		return
	}
	label := f.labelOf(tenant)
	f.warnings.WithLabelValues(label, string(reason)).Add(float64(spans))
	f.noteSample(key{whatWarnings, label, reason}, sum{1, spans, tenant, message})
}

func (f *Refusals) labelOf(tenant string) string {
	if tenant == "" {
		return noTenantName
	}
	return f.tenants.Find(tenant)
}

// noteSample logs the first refusal of its kind within a minute, and adds up the others.
func (f *Refusals) noteSample(k key, s sum) {
	if len(s.message) > maxMessage {
		s.message = s.message[:maxMessage] + "…"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	if f.timer == nil {
		f.timer, f.lines = time.AfterFunc(logEvery, f.flushDue), 0
	}
	if had, ok := f.sums[k]; ok {
		had.requests, had.spans = had.requests+s.requests, had.spans+s.spans
		had.tenant, had.message = s.tenant, s.message
		return
	}
	if f.lines >= maxLines {
		f.sums[k] = &s
		return
	}
	f.lines++
	f.sums[k] = &sum{}
	f.writeLine(k, &s)
}

// flushDue logs the sums of the last minute.
func (f *Refusals) flushDue() {
	f.mu.Lock()
	defer f.mu.Unlock()
	type line struct {
		key
		*sum
	}
	var lines []line
	for k, s := range f.sums {
		if s.requests == 0 {
			delete(f.sums, k)
			continue
		}
		lines = append(lines, line{k, s})
	}
	slices.SortFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(b.spans, a.spans), cmp.Compare(b.requests, a.requests),
			cmp.Compare(a.key.tenant, b.key.tenant), cmp.Compare(a.reason, b.reason), cmp.Compare(a.what, b.what))
	})
	f.timer, f.lines = nil, 0
	var rest sum
	for i, l := range lines {
		if i >= maxLines {
			rest.requests, rest.spans = rest.requests+l.requests, rest.spans+l.spans
			delete(f.sums, l.key)
			continue
		}
		f.writeLine(l.key, l.sum)
		f.sums[l.key] = &sum{} // goes on being added up
	}
	if n := len(lines) - maxLines; n > 0 {
		f.log.Warn("more refused", "lines_left_out", n, "requests", rest.requests, "spans", rest.spans)
	}
	if len(f.sums) > 0 && !f.stopped {
		f.timer, f.lines = time.AfterFunc(logEvery, f.flushDue), min(len(lines), maxLines)
	}
}

func (f *Refusals) writeLine(k key, s *sum) {
	tenant := k.tenant
	if s.tenant != "" {
		tenant = s.tenant // the newest of those that share a label
	}
	f.log.Warn(k.what, "tenant", tenant, "reason", string(k.reason), "requests", s.requests, "spans", s.spans,
		"message", s.message)
}

// Close logs the sums. Nothing is logged after it.
func (f *Refusals) Close() {
	if f == nil {
		return
	}
	f.mu.Lock()
	f.stopped = true
	if f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	f.flushDue()
}
