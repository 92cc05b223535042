package limits

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Own is the settings that a tenant makes itself, through the API. A field that is not set is left
// to the operator; an empty list is set. It is the body of /api/overrides.
type Own struct {
	Forwarders      *[]string       `json:"forwarders,omitempty"`
	CostAttribution CostAttribution `json:"cost_attribution"`
	Generator       Generator       `json:"metrics_generator"`
}

// CostAttribution maps the attributes by which the cost of spans is attributed to their labels.
type CostAttribution struct {
	Dimensions map[string]string `json:"dimensions,omitempty"`
}

// Generator configures how metrics are made of a tenant's spans.
type Generator struct {
	Processors           *[]string  `json:"processors,omitempty"`
	Disable              *bool      `json:"disable_collection,omitempty"`
	Interval             *Duration  `json:"collection_interval,omitempty"`
	TraceIDLabel         *string    `json:"trace_id_label_name,omitempty"`
	Slack                *Duration  `json:"ingestion_time_range_slack,omitempty"`
	NativeHistograms     *string    `json:"generate_native_histograms,omitempty"`
	NativeBuckets        *uint32    `json:"native_histogram_max_bucket_number,omitempty"`
	NativeFactor         *float64   `json:"native_histogram_bucket_factor,omitempty"`
	NativeReset          *Duration  `json:"native_histogram_min_reset_duration,omitempty"`
	SpanNameSanitization *string    `json:"span_name_sanitization,omitempty"`
	Processor            Processors `json:"processor"`
}

// Processors configures each processor.
type Processors struct {
	ServiceGraphs ServiceGraphs `json:"service_graphs"`
	SpanMetrics   SpanMetrics   `json:"span_metrics"`
	HostInfo      HostInfo      `json:"host_info"`
}

// ServiceGraphs configures the metrics of calls between services.
type ServiceGraphs struct {
	Dimensions        *[]string       `json:"dimensions,omitempty"`
	Prefix            *bool           `json:"enable_client_server_prefix,omitempty"`
	MessagingLatency  *bool           `json:"enable_messaging_system_latency_histogram,omitempty"`
	VirtualNodeLabel  *bool           `json:"enable_virtual_node_label,omitempty"`
	PeerAttributes    *[]string       `json:"peer_attributes,omitempty"`
	Policies          *[]FilterPolicy `json:"filter_policies,omitempty"`
	Buckets           *[]float64      `json:"histogram_buckets,omitempty"`
	MultiplierKey     *string         `json:"span_multiplier_key,omitempty"`
	TraceStateFactors *bool           `json:"enable_tracestate_span_multiplier,omitempty"`
}

// SpanMetrics configures the metrics of spans.
type SpanMetrics struct {
	Dimensions          *[]string        `json:"dimensions,omitempty"`
	IntrinsicDimensions *map[string]bool `json:"intrinsic_dimensions,omitempty"`
	Mappings            *[]Mapping       `json:"dimension_mappings,omitempty"`
	TargetInfo          *bool            `json:"enable_target_info,omitempty"`
	Policies            *[]FilterPolicy  `json:"filter_policies,omitempty"`
	Buckets             *[]float64       `json:"histogram_buckets,omitempty"`
	TargetInfoExcluded  *[]string        `json:"target_info_excluded_dimensions,omitempty"`
	InstanceLabel       *bool            `json:"enable_instance_label,omitempty"`
	MultiplierKey       *string          `json:"span_multiplier_key,omitempty"`
	TraceStateFactors   *bool            `json:"enable_tracestate_span_multiplier,omitempty"`
}

// HostInfo configures the metric of the hosts that send spans.
type HostInfo struct {
	Identifiers *[]string `json:"host_identifiers,omitempty"`
	MetricName  *string   `json:"metric_name,omitempty"`
}

// Mapping joins several attributes into one label.
type Mapping struct {
	Name         string   `json:"name"`
	SourceLabels []string `json:"source_labels"`
	Join         string   `json:"join"`
}

// FilterPolicy selects spans.
type FilterPolicy struct {
	Include    *PolicyMatch `json:"include,omitempty"`
	IncludeAny *PolicyMatch `json:"include_any,omitempty"`
	Exclude    *PolicyMatch `json:"exclude,omitempty"`
}

// PolicyMatch matches spans whose attributes have these values.
type PolicyMatch struct {
	MatchType  string            `json:"match_type"`
	Attributes []PolicyAttribute `json:"attributes"`
}

// PolicyAttribute is one attribute and the value that it must have.
type PolicyAttribute struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

// Duration is a duration that is written as Go writes it: 15s, 1h30m.
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText writes the duration as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String returns the duration without zero units at its end: 5m and not 5m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if len(s) > 3 && s[len(s)-3:] == "m0s" {
		s = s[:len(s)-2]
	}
	if len(s) > 3 && s[len(s)-3:] == "h0m" {
		s = s[:len(s)-2]
	}
	return s
}

// The limits of a document. They hold for what is stored, so that reading and merging it later is
// always cheap.
const (
	MaxBytes = 64 << 10
	maxDepth = 32 // levels of nested values
)

// ErrTooLarge is matched by the error for a document above MaxBytes.
var ErrTooLarge = errors.New("http: request body too large")

// ErrPatch is matched by the error for a patch that is not JSON.
//
//lint:ignore ST1005 the text is the API's
var ErrPatch = errors.New("Invalid JSON Patch")

// ParseOwn reads a document. Unknown fields are an error; values are checked by Validate only. The
// error may match ErrTooLarge.
func ParseOwn(b []byte) (Own, error) {
	var o Own
	if len(b) > MaxBytes {
		return o, fmt.Errorf("%w: %d bytes, the most is %d", ErrTooLarge, len(b), MaxBytes)
	}
	if !trace.NestsWithin(b, maxDepth) {
		return o, fmt.Errorf("values are nested deeper than %d", maxDepth)
	}
	return o, decodeStrict(b, &o)
}

// decodeStrict decodes one JSON value into v. It refuses fields that v does not have, and anything
// after the value.
func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more after the JSON value")
	}
	return nil
}

// JSON returns the document. Sections are written even if nothing in them is set.
func (o Own) JSON() []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic("BUG: write limits: " + err.Error()) // all its values can be written, or were read from JSON
	}
	return b
}

// Patch applies a merge patch (RFC 7386) to a document, which may be empty, and returns the result.
// Errors are ErrPatch, ErrTooLarge and those of ParseOwn.
func Patch(doc, patch []byte) (Own, error) {
	if len(patch) > MaxBytes {
		return Own{}, fmt.Errorf("%w: %d bytes, the most is %d", ErrTooLarge, len(patch), MaxBytes)
	}
	if !trace.NestsWithin(patch, maxDepth) || !json.Valid(patch) {
		return Own{}, ErrPatch
	}
	if len(doc) == 0 {
		doc = []byte("{}")
	}
	merged, err := json.Marshal(mergePatch(decodeTree(doc), decodeTree(patch)))
	if err != nil {
		return Own{}, fmt.Errorf("%w: %w", ErrPatch, err)
	}
	return ParseOwn(merged)
}

// decodeTree decodes valid JSON. Numbers keep their digits.
func decodeTree(b []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	_ = d.Decode(&v) // it is valid
	return v
}

// mergePatch returns doc changed by patch; it may change doc.
func mergePatch(doc, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out, ok := doc.(map[string]any)
	if !ok {
		out = map[string]any{}
	}
	for key, v := range p {
		if v == nil {
			delete(out, key)
		} else {
			out[key] = mergePatch(out[key], v)
		}
	}
	return out
}
