package limits

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func processors() []string {
	return []string{"service-graphs", "service-graphs-request", "service-graphs-latency", "service-graphs-connection-info", "span-metrics", "span-metrics-count",
		"span-metrics-latency", "span-metrics-size", "host-info"}
}

func intrinsicDimensions() []string {
	return []string{"service", "span_name", "span_kind", "status_code", "status_message"}
}

// Validate returns the first value that may not be set. forwarders are the names of those there
// are.
func (o Own) Validate(forwarders []string) error {
	for _, f := range of(o.Forwarders) {
		if !slices.Contains(forwarders, f) {
			return fmt.Errorf("forwarder %q is not a known forwarder, contact your system administrator", f)
		}
	}
	return o.Generator.Validate()
}

// Validate returns the first value that may not be set.
func (g Generator) Validate() error {
	const at = "metrics_generator."
	for _, p := range of(g.Processors) {
		if !slices.Contains(processors(), p) {
			return fmt.Errorf("metrics_generator.processor %q is not a known processor, valid values: %v", p, processors())
		}
	}
	if err := within(at+"collection_interval", g.Interval, 15*time.Second, 5*time.Minute); err != nil {
		return err
	}
	if err := within(at+"ingestion_time_range_slack", g.Slack, 0, 12*time.Hour); err != nil {
		return err
	}
	if n := g.TraceIDLabel; n != nil && !labelName(*n) {
		return fmt.Errorf("%strace_id_label_name %q is not a valid label name", at, *n)
	}
	if err := oneOf(at+"generate_native_histograms", g.NativeHistograms, "classic", "native", "both"); err != nil {
		return err
	}
	if err := oneOf(at+"span_name_sanitization", g.SpanNameSanitization, "", "dry_run", "enabled"); err != nil {
		return err
	}
	if f := g.NativeFactor; f != nil && *f <= 1 {
		return fmt.Errorf("%snative_histogram_bucket_factor %v must be greater than 1", at, *f)
	}
	if d := g.NativeReset; d != nil && *d < 0 {
		return fmt.Errorf("%snative_histogram_min_reset_duration %q must not be negative", at, d)
	}
	return g.Processor.validate(at + "processor.")
}

func (p Processors) validate(at string) error {
	if err := increasing(at+"service_graphs.histogram_buckets", of(p.ServiceGraphs.Buckets)); err != nil {
		return err
	}
	if err := increasing(at+"span_metrics.histogram_buckets", of(p.SpanMetrics.Buckets)); err != nil {
		return err
	}
	for _, l := range [][]FilterPolicy{of(p.ServiceGraphs.Policies), of(p.SpanMetrics.Policies)} {
		if err := policies(at+"filter_policies", l); err != nil {
			return err
		}
	}
	taken := intrinsicDimensions()
	for name := range of(p.SpanMetrics.IntrinsicDimensions) {
		if !slices.Contains(taken, name) {
			return fmt.Errorf("%sspan_metrics.intrinsic_dimensions: %q is not a known dimension, valid values: %v", at, name, taken)
		}
	}
	for _, d := range of(p.SpanMetrics.Dimensions) {
		taken = append(taken, label(d))
	}
	for _, m := range of(p.SpanMetrics.Mappings) {
		if m.Name == "" || slices.Contains(taken, label(m.Name)) {
			return fmt.Errorf("%sspan_metrics.dimension_mappings: name %q is empty or another label's", at, m.Name)
		}
		taken = append(taken, label(m.Name))
	}
	if ids := p.HostInfo.Identifiers; ids != nil && len(*ids) == 0 {
		return fmt.Errorf("%shost_info.host_identifiers must not be empty", at)
	}
	if n := p.HostInfo.MetricName; n != nil && !labelName(strings.ReplaceAll(*n, ":", "_")) {
		return fmt.Errorf("%shost_info.metric_name %q is not a valid metric name", at, *n)
	}
	return nil
}

func policies(key string, list []FilterPolicy) error {
	for _, p := range list {
		for _, m := range []*PolicyMatch{p.Include, p.IncludeAny, p.Exclude} {
			if m == nil {
				continue
			}
			if m.MatchType != "strict" && m.MatchType != "regex" {
				return fmt.Errorf("%s: match_type %q is unknown, valid values: [strict regex]", key, m.MatchType)
			}
			for _, a := range m.Attributes {
				if a.Key == "" {
					return fmt.Errorf("%s: an attribute has no key", key)
				}
			}
		}
	}
	return nil
}

func of[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func within(key string, d *Duration, least, most time.Duration) error {
	if d != nil && (time.Duration(*d) < least || time.Duration(*d) > most) {
		return fmt.Errorf("%s %q is outside acceptable range of %s to %s", key, *d, Duration(least), Duration(most))
	}
	return nil
}

func oneOf(key string, v *string, known ...string) error {
	if v != nil && !slices.Contains(known, *v) {
		return fmt.Errorf("%s %q is not a known value, valid values: %q", key, *v, known)
	}
	return nil
}

func increasing(key string, buckets []float64) error {
	for i := 1; i < len(buckets); i++ {
		if buckets[i] <= buckets[i-1] {
			return fmt.Errorf("%s must be strictly increasing: %v follows %v", key, buckets[i], buckets[i-1])
		}
	}
	return nil
}

// labelName reports whether s can name a label.
func labelName(s string) bool { return s != "" && label(s) == s && (s[0] < '0' || s[0] > '9') }

// label is the name of the label that an attribute becomes.
func label(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
}
