package limits

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func knownProcessors() []string {
	return []string{
		"service-graphs", "service-graphs-request", "service-graphs-latency", "service-graphs-connection-info",
		"span-metrics", "span-metrics-count", "span-metrics-latency", "span-metrics-size",
		"host-info",
	}
}

func knownIntrinsicDimensions() []string {
	return []string{"service", "span_name", "span_kind", "status_code", "status_message"}
}

// Validate returns an error for the first value that may not be set. forwarders is the names of the
// forwarders that exist.
func (o Own) Validate(forwarders []string) error {
	for _, f := range valueOf(o.Forwarders) {
		if !slices.Contains(forwarders, f) {
			return fmt.Errorf("forwarder %q is not a known forwarder, contact your system administrator", f)
		}
	}
	return o.Generator.Validate()
}

// Validate returns an error for the first value that may not be set.
func (g Generator) Validate() error {
	const at = "metrics_generator."
	for _, p := range valueOf(g.Processors) {
		if !slices.Contains(knownProcessors(), p) {
			return fmt.Errorf("metrics_generator.processor %q is not a known processor, valid values: %v",
				p, knownProcessors())
		}
	}
	if err := checkRange(at+"collection_interval", g.Interval, 15*time.Second, 5*time.Minute); err != nil {
		return err
	}
	if err := checkRange(at+"ingestion_time_range_slack", g.Slack, 0, 12*time.Hour); err != nil {
		return err
	}
	if n := g.TraceIDLabel; n != nil && !isLabelName(*n) {
		return fmt.Errorf("%strace_id_label_name %q is not a valid label name", at, *n)
	}
	if err := checkOneOf(at+"generate_native_histograms", g.NativeHistograms, "classic", "native", "both"); err != nil {
		return err
	}
	if err := checkOneOf(at+"span_name_sanitization", g.SpanNameSanitization, "", "dry_run", "enabled"); err != nil {
		return err
	}
	if f := g.NativeFactor; f != nil && *f <= 1 {
		return fmt.Errorf("%snative_histogram_bucket_factor %v must be greater than 1", at, *f)
	}
	if d := g.NativeReset; d != nil && *d < 0 {
		return fmt.Errorf("%snative_histogram_min_reset_duration %q must not be negative", at, d)
	}
	return g.Processor.validateAt(at + "processor.")
}

// validateAt is Validate for the processors; at is the prefix of the keys in its errors.
func (p Processors) validateAt(at string) error {
	if err := checkIncreasing(at+"service_graphs.histogram_buckets", valueOf(p.ServiceGraphs.Buckets)); err != nil {
		return err
	}
	if err := checkIncreasing(at+"span_metrics.histogram_buckets", valueOf(p.SpanMetrics.Buckets)); err != nil {
		return err
	}
	for _, l := range [][]FilterPolicy{valueOf(p.ServiceGraphs.Policies), valueOf(p.SpanMetrics.Policies)} {
		if err := validatePolicies(at+"filter_policies", l); err != nil {
			return err
		}
	}
	taken := knownIntrinsicDimensions()
	for name := range valueOf(p.SpanMetrics.IntrinsicDimensions) {
		if !slices.Contains(taken, name) {
			return fmt.Errorf("%sspan_metrics.intrinsic_dimensions: %q is not a known dimension, valid values: %v",
				at, name, taken)
		}
	}
	for _, d := range valueOf(p.SpanMetrics.Dimensions) {
		taken = append(taken, toLabelName(d))
	}
	for _, m := range valueOf(p.SpanMetrics.Mappings) {
		if m.Name == "" || slices.Contains(taken, toLabelName(m.Name)) {
			return fmt.Errorf("%sspan_metrics.dimension_mappings: name %q is empty or another label's", at, m.Name)
		}
		taken = append(taken, toLabelName(m.Name))
	}
	if ids := p.HostInfo.Identifiers; ids != nil && len(*ids) == 0 {
		return fmt.Errorf("%shost_info.host_identifiers must not be empty", at)
	}
	if n := p.HostInfo.MetricName; n != nil && !isLabelName(strings.ReplaceAll(*n, ":", "_")) {
		return fmt.Errorf("%shost_info.metric_name %q is not a valid metric name", at, *n)
	}
	return nil
}

func validatePolicies(key string, list []FilterPolicy) error {
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

// valueOf returns what p points to, or the zero value if it is nil.
func valueOf[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func checkRange(key string, d *Duration, least, most time.Duration) error {
	if d != nil && (time.Duration(*d) < least || time.Duration(*d) > most) {
		return fmt.Errorf("%s %q is outside acceptable range of %s to %s", key, *d, Duration(least), Duration(most))
	}
	return nil
}

func checkOneOf(key string, v *string, known ...string) error {
	if v != nil && !slices.Contains(known, *v) {
		return fmt.Errorf("%s %q is not a known value, valid values: %q", key, *v, known)
	}
	return nil
}

func checkIncreasing(key string, buckets []float64) error {
	for i := 1; i < len(buckets); i++ {
		if buckets[i] <= buckets[i-1] {
			return fmt.Errorf("%s must be strictly increasing: %v follows %v", key, buckets[i], buckets[i-1])
		}
	}
	return nil
}

// isLabelName reports whether s can be the name of a label.
func isLabelName(s string) bool { return s != "" && toLabelName(s) == s && (s[0] < '0' || s[0] > '9') }

// toLabelName returns the name of the label that an attribute becomes.
func toLabelName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
}
