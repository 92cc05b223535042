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

// Own are what tenants set themselves, through the API. A field that is not set leaves it to the
// operator; an empty list is set.
// Source: the body of /api/overrides.
type Own struct {
	Forwarders      *[]string       `json:"forwarders,omitempty"`
	CostAttribution CostAttribution `json:"cost_attribution"`
	Generator       Generator       `json:"metrics_generator"`
}

// CostAttribution names the attributes by which the cost of spans is told apart, and their labels.
type CostAttribution struct {
	Dimensions map[string]string `json:"dimensions,omitempty"`
}

// Generator is how metrics are made of a tenant's spans.
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

// Processors are the settings of each processor.
type Processors struct {
	ServiceGraphs ServiceGraphs `json:"service_graphs"`
	SpanMetrics   SpanMetrics   `json:"span_metrics"`
	HostInfo      HostInfo      `json:"host_info"`
}

// ServiceGraphs makes metrics of calls between services.
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

// SpanMetrics makes metrics of spans.
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

// HostInfo makes a metric of the hosts that send spans.
type HostInfo struct {
	Identifiers *[]string `json:"host_identifiers,omitempty"`
	MetricName  *string   `json:"metric_name,omitempty"`
}

// Mapping makes one label of several attributes.
type Mapping struct {
	Name         string   `json:"name"`
	SourceLabels []string `json:"source_labels"`
	Join         string   `json:"join"`
}

// FilterPolicy chooses spans.
type FilterPolicy struct {
	Include    *PolicyMatch `json:"include,omitempty"`
	IncludeAny *PolicyMatch `json:"include_any,omitempty"`
	Exclude    *PolicyMatch `json:"exclude,omitempty"`
}

// PolicyMatch is met by spans whose attributes have the values.
type PolicyMatch struct {
	MatchType  string            `json:"match_type"`
	Attributes []PolicyAttribute `json:"attributes"`
}

// PolicyAttribute is one attribute and what it must be.
type PolicyAttribute struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

// Duration is written as Go writes it: 15s, 1h30m.
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText writes the duration without units that are zero at its end.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is what MarshalText writes: 5m and not 5m0s.
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

// Limits of a document: its bytes and how deep its values nest. What is stored can be read and
// merged at any time without care.
const (
	MaxBytes = 64 << 10
	maxDepth = 32
)

// ErrTooLarge is matched by the refusal of a document above MaxBytes.
var ErrTooLarge = errors.New("http: request body too large")

// ErrPatch is matched by the refusal of a patch that is no JSON.
//
//lint:ignore ST1005 the text is the API's
var ErrPatch = errors.New("Invalid JSON Patch")

// ParseOwn reads a document; unknown fields are refused. It does not judge values, which Validate
// does.
func ParseOwn(b []byte) (Own, error) {
	var o Own
	if len(b) > MaxBytes {
		return o, fmt.Errorf("%w: %d bytes, the most is %d", ErrTooLarge, len(b), MaxBytes)
	}
	if !trace.NestsWithin(b, maxDepth) {
		return o, fmt.Errorf("values are nested deeper than %d", maxDepth)
	}
	return o, strict(b, &o)
}

// strict decodes one JSON value with nothing after it and no field that v does not have.
func strict(b []byte, v any) error {
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

// JSON writes the document; sections are there also when nothing in them is set.
func (o Own) JSON() []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic("BUG: write limits: " + err.Error()) // of strings, numbers and what JSON was read into
	}
	return b
}

// Patch applies a merge patch (RFC 7386) to a document and reads what comes of it. doc may be
// empty.
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
	merged, err := json.Marshal(merge(tree(doc), tree(patch)))
	if err != nil {
		return Own{}, fmt.Errorf("%w: %w", ErrPatch, err)
	}
	return ParseOwn(merged)
}

// tree reads valid JSON; numbers keep their digits.
func tree(b []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	_ = d.Decode(&v) // it is valid
	return v
}

func merge(doc, patch any) any {
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
			out[key] = merge(out[key], v)
		}
	}
	return out
}
