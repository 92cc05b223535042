package backendscheduler

import (
	"math"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
)

// upkeepMetrics are the instruments of merging, retention and removal. The gauges follow the status
// that is made every ten seconds.
type upkeepMetrics struct {
	levelBlocks *prometheus.GaugeVec // by level
	levelBytes  *prometheus.GaugeVec
	gauges      []statusGauge

	leasesLost, setAside, retired, removed, sweeps prometheus.Counter
}

// statusGauge shows one figure of a status.
type statusGauge struct {
	name, help string
	of         func(*upkeep.Status) float64
	gauge      prometheus.Gauge
}

// statusGauges are the figures of a status that are shown.
func statusGauges() []statusGauge {
	figure := func(name, help string, of func(*upkeep.Status) float64) statusGauge {
		return statusGauge{name: name, help: help, of: of}
	}
	return []statusGauge{
		figure("merge_jobs", "Merges that workers have begun.",
			func(s *upkeep.Status) float64 { return float64(len(s.Jobs)) }),
		figure("debt_blocks", "Blocks that are due to be merged, or are being merged.",
			func(s *upkeep.Status) float64 { return float64(s.Total.Debt.Blocks) }),
		figure("debt_bytes", "Bytes of these blocks.",
			func(s *upkeep.Status) float64 { return float64(s.Total.Debt.Bytes) }),
		figure("debt_seconds", "How long it takes until they are merged, with the rests of the workers; "+
			"NaN while that is not known.", etaOf),
		figure("waiting_blocks", "Blocks that are merged later: with more neighbours, or when their day is over.",
			func(s *upkeep.Status) float64 { return float64(s.Total.Waiting.Blocks) }),
		figure("set_aside_blocks", "Blocks that are not merged any more, because merges of them have failed.",
			func(s *upkeep.Status) float64 { return float64(s.Total.SetAside.Blocks) }),
		figure("retired_blocks", "Blocks that are no longer live, and whose objects are not removed yet.",
			func(s *upkeep.Status) float64 { return float64(s.Total.Retired.Blocks) }),
		figure("retired_bytes", "Bytes of these blocks.",
			func(s *upkeep.Status) float64 { return float64(s.Total.Retired.Bytes) }),
		figure("overdue_bytes", "Bytes of live blocks that are past their retention.",
			func(s *upkeep.Status) float64 { return float64(s.Retention.Overdue.Bytes) }),
		figure("retention_days", "Days of arrival of which there are live blocks.",
			func(s *upkeep.Status) float64 { return float64(len(s.Total.Days)) }),
		figure("clock_doubted", "1 while the clock is not believed and nothing is retired.", doubtOf),
	}
}

func etaOf(s *upkeep.Status) float64 {
	if !s.Merging.ETAKnown {
		return math.NaN()
	}
	return s.Merging.ETASeconds
}

func doubtOf(s *upkeep.Status) float64 {
	if s.Retention.DoubtedUntil.IsZero() {
		return 0
	}
	return 1
}

func newUpkeepMetrics(r prometheus.Registerer) upkeepMetrics {
	gauge, counter := makers(r)
	byLevel := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: metricsPrefix + name, Help: help}, []string{"level"})
		r.MustRegister(g)
		return g
	}
	m := upkeepMetrics{
		levelBlocks: byLevel("level_blocks",
			"Live blocks by level: how often their spans were merged; 3 is what is left of a day."),
		levelBytes: byLevel("level_bytes", "Bytes of live blocks by level."),
		leasesLost: counter("leases_lost_total", "Merges that were given up because their worker was silent."),
		setAside: counter("merges_set_aside_total",
			"Merges that have failed so often that some of their blocks are not merged any more."),
		retired: counter("retired_total", "Blocks that were retired because they were past their retention."),
		removed: counter("removed_total", "Retired blocks whose objects were removed."),
		sweeps:  counter("sweeps_total", "Searches of the bucket for objects that the catalog does not list."),
	}
	for _, g := range statusGauges() {
		g.gauge = gauge(g.name, g.help)
		m.gauges = append(m.gauges, g)
	}
	m.show(&upkeep.Status{Merging: upkeep.MergingStatus{ETAKnown: true}})
	return m
}

// note moves the instruments as a step says.
func (m *upkeepMetrics) note(st step) {
	m.leasesLost.Add(float64(st.counted.leasesLost))
	m.setAside.Add(float64(st.counted.setAside))
	m.retired.Add(float64(st.counted.retired))
	m.removed.Add(float64(st.counted.removed))
	if st.sweep != nil {
		m.sweeps.Inc()
	}
	if st.shown != nil {
		m.show(st.shown)
	}
}

// show sets the gauges to the figures of a status.
func (m *upkeepMetrics) show(s *upkeep.Status) {
	for _, g := range m.gauges {
		g.gauge.Set(g.of(s))
	}
	levels := [4]upkeep.Amount{}
	for _, l := range s.Total.Levels {
		levels[min(max(l.Level, 0), 3)] = l.Amount
	}
	for level, n := range levels {
		m.levelBlocks.WithLabelValues(strconv.Itoa(level)).Set(float64(n.Blocks))
		m.levelBytes.WithLabelValues(strconv.Itoa(level)).Set(float64(n.Bytes))
	}
}
