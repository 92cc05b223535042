package trace

import "strings"

// jsonKind says how the value of a field is read.
type jsonKind uint8

const (
	kindText    jsonKind = iota
	kindBase64           // bytes
	kindID               // bytes in hex, of size
	kindBool             // bool
	kindInt              // int64
	kindUint32           // uint32
	kindFixed32          // fixed32
	kindFixed64          // fixed64
	kindDouble           // double
	kindEnum             // by number or by name
	kindMessage          // of schema
)

// jsonField is one field of a message of OTLP.
type jsonField struct {
	name     string // in lowerCamelCase
	num      uint32
	kind     jsonKind
	repeated bool
	size     int               // of an id, in bytes
	names    map[string]uint64 // of an enum
	schema   *jsonSchema       // of a message
}

// jsonSchema is a message of OTLP. It is never changed.
type jsonSchema struct {
	fields   map[string]*jsonField // by both names that ProtoJSON has for a field: traceId, trace_id
	oneof    bool                  // at most one of the fields may be set
	tolerant bool                  // where one is wrong it is refused alone, with what it holds
	below    *jsonField            // of a tolerant message: its list of tolerant messages
	old      map[string]string     // names of older versions and other signals, and what to send instead
}

// jsonFields makes the fields of a message. Names are those of the protobuf definition.
func jsonFields(byName map[string]*jsonField) map[string]*jsonField {
	out := make(map[string]*jsonField, 2*len(byName))
	for name, f := range byName {
		parts := strings.Split(name, "_")
		for i := 1; i < len(parts); i++ {
			parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
		}
		f.name = strings.Join(parts, "")
		out[name], out[f.name] = f, f
	}
	return out
}

func listOf(num uint32, of *jsonSchema) *jsonField {
	return &jsonField{num: num, kind: kindMessage, repeated: true, schema: of}
}

// Source: opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto, version 1.
var (
	anySchema      = &jsonSchema{oneof: true}
	keyValueSchema = &jsonSchema{fields: jsonFields(map[string]*jsonField{
		"key":   {num: 1},
		"value": {num: 2, kind: kindMessage, schema: anySchema},
	})}
	arraySchema = &jsonSchema{fields: jsonFields(map[string]*jsonField{"values": listOf(1, anySchema)})}
	mapSchema   = &jsonSchema{fields: jsonFields(map[string]*jsonField{"values": listOf(1, keyValueSchema)})}

	entitySchema = &jsonSchema{fields: jsonFields(map[string]*jsonField{
		"schema_url":       {num: 1},
		"type":             {num: 2},
		"id_keys":          {num: 3, repeated: true},
		"description_keys": {num: 4, repeated: true},
	})}
	resourceSchema = &jsonSchema{fields: jsonFields(map[string]*jsonField{
		"attributes":               listOf(1, keyValueSchema),
		"dropped_attributes_count": {num: 2, kind: kindUint32},
		"entity_refs":              listOf(3, entitySchema),
	})}
	scopeSchema = &jsonSchema{fields: jsonFields(map[string]*jsonField{
		"name":                     {num: 1},
		"version":                  {num: 2},
		"attributes":               listOf(3, keyValueSchema),
		"dropped_attributes_count": {num: 4, kind: kindUint32},
	})}
	statusSchema = &jsonSchema{fields: jsonFields(map[string]*jsonField{
		"message": {num: 2},
		"code": {num: 3, kind: kindEnum, names: map[string]uint64{
			"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}},
	})}
	eventSchema = &jsonSchema{fields: jsonFields(map[string]*jsonField{
		"time_unix_nano":           {num: 1, kind: kindFixed64},
		"name":                     {num: 2},
		"attributes":               listOf(3, keyValueSchema),
		"dropped_attributes_count": {num: 4, kind: kindUint32},
	})}
	linkSchema = &jsonSchema{fields: jsonFields(map[string]*jsonField{
		"trace_id":                 {num: 1, kind: kindID, size: 16},
		"span_id":                  {num: 2, kind: kindID, size: 8},
		"trace_state":              {num: 3},
		"attributes":               listOf(4, keyValueSchema),
		"dropped_attributes_count": {num: 5, kind: kindUint32},
		"flags":                    {num: 6, kind: kindFixed32},
	})}
	spanSchema = &jsonSchema{tolerant: true, fields: jsonFields(map[string]*jsonField{
		"trace_id":       {num: 1, kind: kindID, size: 16},
		"span_id":        {num: 2, kind: kindID, size: 8},
		"trace_state":    {num: 3},
		"parent_span_id": {num: 4, kind: kindID, size: 8},
		"name":           {num: 5},
		"kind": {num: 6, kind: kindEnum, names: map[string]uint64{"SPAN_KIND_UNSPECIFIED": 0, "SPAN_KIND_INTERNAL": 1,
			"SPAN_KIND_SERVER": 2, "SPAN_KIND_CLIENT": 3, "SPAN_KIND_PRODUCER": 4, "SPAN_KIND_CONSUMER": 5}},
		"start_time_unix_nano":     {num: 7, kind: kindFixed64},
		"end_time_unix_nano":       {num: 8, kind: kindFixed64},
		"attributes":               listOf(9, keyValueSchema),
		"dropped_attributes_count": {num: 10, kind: kindUint32},
		"events":                   listOf(11, eventSchema),
		"dropped_events_count":     {num: 12, kind: kindUint32},
		"links":                    listOf(13, linkSchema),
		"dropped_links_count":      {num: 14, kind: kindUint32},
		"status":                   {num: 15, kind: kindMessage, schema: statusSchema},
		"flags":                    {num: 16, kind: kindFixed32},
	})}
	spansField       = listOf(2, spanSchema)
	scopeSpansSchema = &jsonSchema{tolerant: true, below: spansField, fields: jsonFields(map[string]*jsonField{
		"scope":      {num: 1, kind: kindMessage, schema: scopeSchema},
		"spans":      spansField,
		"schema_url": {num: 3},
	}), old: map[string]string{"instrumentationLibrary": "scope", "instrumentation_library": "scope"}}
	scopesField         = listOf(2, scopeSpansSchema)
	resourceSpansSchema = &jsonSchema{tolerant: true, below: scopesField, fields: jsonFields(map[string]*jsonField{
		"resource":    {num: 1, kind: kindMessage, schema: resourceSchema},
		"scope_spans": scopesField,
		"schema_url":  {num: 3},
	}), old: map[string]string{
		"instrumentationLibrarySpans": "scopeSpans", "instrumentation_library_spans": "scopeSpans"}}
	resourcesField = listOf(1, resourceSpansSchema)
	tracesSchema   = &jsonSchema{
		below:  resourcesField,
		fields: jsonFields(map[string]*jsonField{"resource_spans": resourcesField}),
		old: map[string]string{
			"resourceLogs": "resourceSpans", "resource_logs": "resourceSpans",
			"resourceMetrics": "resourceSpans", "resource_metrics": "resourceSpans",
			"batches": "resourceSpans",
		},
	}
)

// AnyValue holds messages that hold AnyValue.
func init() {
	anySchema.fields = jsonFields(map[string]*jsonField{
		"string_value": {num: 1},
		"bool_value":   {num: 2, kind: kindBool},
		"int_value":    {num: 3, kind: kindInt},
		"double_value": {num: 4, kind: kindDouble},
		"array_value":  {num: 5, kind: kindMessage, schema: arraySchema},
		"kvlist_value": {num: 6, kind: kindMessage, schema: mapSchema},
		"bytes_value":  {num: 7, kind: kindBase64},
	})
}
