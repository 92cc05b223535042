package limits

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The error for a value that may not be set must name it. An empty list counts as set, and is kept.
func TestOwn(t *testing.T) {
	for body, want := range map[string]string{
		``:                         "EOF",
		`{"foo": 1}`:               `json: unknown field "foo"`,
		`{} {}`:                    "there is more after the JSON value",
		`[]`:                       "cannot unmarshal array",
		`{"forwarders": ["x"]}`:    `forwarder "x" is not a known forwarder, contact your system administrator`,
		`{"forwarders": ["here"]}`: "",
		`{"metrics_generator": {"processors": ["nope"]}}`:                                                                `metrics_generator.processor "nope" is not a known processor`,
		`{"metrics_generator": {"collection_interval": "1d"}}`:                                                           `unknown unit "d" in duration "1d"`,
		`{"metrics_generator": {"collection_interval": 15}}`:                                                             "cannot unmarshal number",
		`{"metrics_generator": {"collection_interval": "1s"}}`:                                                           `metrics_generator.collection_interval "1s" is outside acceptable range of 15s to 5m`,
		`{"metrics_generator": {"collection_interval": "5m"}}`:                                                           "",
		`{"metrics_generator": {"ingestion_time_range_slack": "13h"}}`:                                                   "outside acceptable range of 0s to 12h",
		`{"metrics_generator": {"trace_id_label_name": "1a"}}`:                                                           "not a valid label name",
		`{"metrics_generator": {"generate_native_histograms": "all"}}`:                                                   "generate_native_histograms",
		`{"metrics_generator": {"span_name_sanitization": "dry_run"}}`:                                                   "",
		`{"metrics_generator": {"native_histogram_bucket_factor": 1}}`:                                                   "must be greater than 1",
		`{"metrics_generator": {"native_histogram_min_reset_duration": "-1s"}}`:                                          "must not be negative",
		`{"metrics_generator": {"processor": {"span_metrics": {"histogram_buckets": [1, 1]}}}}`:                          "span_metrics.histogram_buckets must be strictly increasing",
		`{"metrics_generator": {"processor": {"service_graphs": {"histogram_buckets": [2, 1]}}}}`:                        "service_graphs.histogram_buckets must be strictly increasing",
		`{"metrics_generator": {"processor": {"span_metrics": {"intrinsic_dimensions": {"span": true}}}}}`:               "is not a known dimension",
		`{"metrics_generator": {"processor": {"span_metrics": {"dimension_mappings": [{"name": "span_name"}]}}}}`:        "another label's",
		`{"metrics_generator": {"processor": {"span_metrics": {"filter_policies": [{"include": {"match_type": ""}}]}}}}`: "match_type",
		`{"metrics_generator": {"processor": {"host_info": {"host_identifiers": []}}}}`:                                  "must not be empty",
		`{"metrics_generator": {"processor": {"host_info": {"metric_name": "a b"}}}}`:                                    "not a valid metric name",
		`{"cost_attribution": {"dimensions": {"a": "b"}}}`:                                                               "",
		strings.Repeat(`[`, 40): "nested deeper",
		`{"forwarders": ["` + strings.Repeat("x", MaxBytes) + `"]}`: "request body too large",
	} {
		o, err := ParseOwn([]byte(body))
		if err == nil {
			err = o.Validate([]string{"here"})
		}
		if want == "" {
			require.NoError(t, err, body)
		} else {
			require.ErrorContains(t, err, want, body)
		}
	}
	o, err := ParseOwn([]byte(`{"metrics_generator": {"processors": []}}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"cost_attribution": {}, "metrics_generator": {"processors": [], "processor": {"service_graphs": {}, "span_metrics": {}, "host_info": {}}}}`, string(o.JSON()))
}

// A patch must change the fields that it names and remove those that it names null. It is refused
// if its result would be.
func TestPatch(t *testing.T) {
	o, err := Patch(nil, []byte(`{"metrics_generator": {"collection_interval": "1h0m0s", "disable_collection": true}}`))
	require.NoError(t, err)
	o, err = Patch(o.JSON(), []byte(`{"metrics_generator": {"collection_interval": null, "native_histogram_max_bucket_number": 160}}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"cost_attribution": {}, "metrics_generator": {"disable_collection": true, "native_histogram_max_bucket_number": 160,
		"processor": {"service_graphs": {}, "span_metrics": {}, "host_info": {}}}}`, string(o.JSON()))
	for _, patch := range []string{`[]`, `5`, `{"foo": 1}`, `{"metrics_generator": 7}`} {
		_, err = Patch(o.JSON(), []byte(patch))
		require.Error(t, err, patch)
		require.NotErrorIs(t, err, ErrPatch, patch)
	}
	for _, patch := range []string{``, `{`, `{} x`, strings.Repeat(`[`, 1000)} {
		_, err = Patch(o.JSON(), []byte(patch))
		require.ErrorIs(t, err, ErrPatch, patch)
	}
}

// The settings in force must be the tenant's or, where it has none, the operator's, and every field
// must be there.
func TestEffective(t *testing.T) {
	own, err := ParseOwn([]byte(`{"metrics_generator": {"collection_interval": "30s", "processor": {"span_metrics": {"enable_target_info": true}}}}`))
	require.NoError(t, err)
	b, err := Effective(own, Tenant{Generator: map[string]any{"processors": []any{"host-info"}, "collection_interval": "15s",
		"processor": map[string]any{"span_metrics": map[string]any{"dimensions": []any{"a"}}}}})
	require.NoError(t, err)
	var got struct {
		Forwarders *[]string      `json:"forwarders"`
		Generator  map[string]any `json:"metrics_generator"`
	}
	require.NoError(t, json.Unmarshal(b, &got))
	g := got.Generator
	require.Equal(t, []any{"host-info"}, g["processors"])
	require.Equal(t, "30s", g["collection_interval"])
	require.Contains(t, g, "trace_id_label_name")
	require.Nil(t, g["trace_id_label_name"])
	spans := g["processor"].(map[string]any)["span_metrics"].(map[string]any)
	require.Equal(t, true, spans["enable_target_info"])
	require.Equal(t, []any{"a"}, spans["dimensions"])
}

// Durations must be written without zero units at their end.
func TestDuration(t *testing.T) {
	for in, want := range map[string]string{"15s": "15s", "5m": "5m", "12h": "12h", "1h30m": "1h30m", "1h1s": "1h0m1s", "0s": "0s", "10m0.5s": "10m0.5s", "10m10s": "10m10s"} {
		var d Duration
		require.NoError(t, d.UnmarshalText([]byte(in)))
		require.Equal(t, want, d.String())
	}
}

// No document may panic, grow or lose anything: written after it was read, it must be read as the
// same again, and applied as a patch to an empty document it must give itself.
func FuzzOwn(f *testing.F) {
	f.Add([]byte(`{"metrics_generator": {"processors": ["span-metrics"], "collection_interval": "30s", "disable_collection": true}}`))
	f.Add([]byte(`{"forwarders": [], "cost_attribution": {"dimensions": {"service.name": "svc"}}}`))
	f.Add([]byte(`{"metrics_generator": {"processor": {"span_metrics": {"filter_policies": [{"include": {"match_type": "strict", "attributes": [{"key": "kind", "value": 1}]}}]}}}}`))
	f.Add([]byte(`{"metrics_generator": {"processor": {"span_metrics": {"dimension_mappings": [{"name": "a", "source_labels": ["b"], "join": "/"}], "intrinsic_dimensions": {"service": false}}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Patch([]byte(`{"forwarders":["a"]}`), b)
		o, err := ParseOwn(b)
		if err != nil {
			return
		}
		_ = o.Validate(nil)
		again, err := ParseOwn(o.JSON())
		if len(o.JSON()) <= MaxBytes {
			require.NoError(t, err)
			require.Equal(t, string(o.JSON()), string(again.JSON()))
			patched, err := Patch(nil, o.JSON())
			require.NoError(t, err)
			require.LessOrEqual(t, len(patched.JSON()), len(o.JSON()), "null values may go")
		}
		_, err = Effective(o, Tenant{})
		if len(o.JSON()) <= MaxBytes {
			require.NoError(t, err)
		}
	})
}
