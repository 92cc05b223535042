package trace

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const goodID = `"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"`

// inSpan is a request of one span with more members.
func inSpan(members string) string {
	return `{"resourceSpans":[{"scopeSpans":[{"spans":[{` + goodID + `,` + members + `}]}]}]}`
}

func inValue(value string) string { return inSpan(`"attributes":[{"key":"a","value":` + value + `}]`) }

// ProtoJSON has many spellings for one message. Each list holds spellings of the same one.
func TestFromJSONSpellings(t *testing.T) {
	for name, spellings := range map[string][]string{
		"nothing":      {"null", "{}", ` {"resourceSpans":[]}` + "\n", `{"resourceSpans":null}`, `{"unknown":[1,{"a":[null,true,"\u0041",-1.5e-7]}]}`, "\xef\xbb\xbf{}"},
		"names":        {inSpan(`"startTimeUnixNano":"5"`), strings.NewReplacer("resourceSpans", "resource_spans", "traceId", "trace_id", "scopeSpans", "scope_spans").Replace(inSpan(`"start_time_unix_nano":5`)), inSpan(`"start\u0054imeUnixNano":5`)},
		"whole":        {inValue(`{"intValue":"1000"}`), inValue(`{"intValue":1000}`), inValue(`{"intValue":1e3}`), inValue(`{"intValue":"1E3"}`), inValue(`{"intValue":1.0e+3}`), inValue(`{"int_value":1000.000}`), inValue(`{"intValue":10000e-1}`), inValue(`{"intValue":0.1e4}`)},
		"least":        {inValue(`{"intValue":"-9223372036854775808"}`), inValue(`{"intValue":-9223372036854775808}`), inValue(`{"intValue":-9.223372036854775808e18}`)},
		"zero":         {inValue(`{"intValue":0}`), inValue(`{"intValue":-0}`), inValue(`{"intValue":0e99999999999999999999}`), inValue(`{"intValue":"0.000"}`)},
		"time":         {inSpan(`"endTimeUnixNano":"1767225601000000000"`), inSpan(`"endTimeUnixNano":1767225601000000000`), inSpan(`"endTimeUnixNano":1.767225601e18`), inSpan(`"endTimeUnixNano":1767225601E9`)},
		"far time":     {inSpan(`"endTimeUnixNano":"18446744073709551615"`), inSpan(`"endTimeUnixNano":18446744073709551615`), inSpan(`"endTimeUnixNano":1.8446744073709551615e19`)},
		"bytes":        {inValue(`{"bytesValue":"AAH/+w=="}`), inValue(`{"bytesValue":"AAH_-w=="}`), inValue(`{"bytesValue":"AAH/+w"}`), inValue(`{"bytesValue":"AAH_-w"}`), inValue(`{"bytes_value":"AAH\/+w=="}`)},
		"double":       {inValue(`{"doubleValue":1000}`), inValue(`{"doubleValue":1e3}`), inValue(`{"doubleValue":"1000.0"}`)},
		"kind":         {inSpan(`"kind":2`), inSpan(`"kind":"SPAN_KIND_SERVER"`), inSpan(`"kind":2.0`), inSpan(`"kind":"2"`)},
		"status":       {inSpan(`"status":{"code":2}`), inSpan(`"status":{"code":"STATUS_CODE_ERROR","message":null}`)},
		"flags":        {inSpan(`"flags":257`), inSpan(`"flags":"257"`), inSpan(`"flags":2.57e2`)},
		"ids":          {inSpan(`"parentSpanId":"aBcDeF0123456789"`), inSpan(`"parentSpanId":"ABCDEF0123456789"`), inSpan(`"parent_span_id":"abcdef0123456789"`)},
		"no parent":    {inSpan(`"name":""`), inSpan(`"parentSpanId":""`), inSpan(`"parentSpanId":null,"name":null,"kind":null,"startTimeUnixNano":null,"flags":null,"droppedAttributesCount":null`)},
		"null lists":   {inSpan(`"attributes":[]`), inSpan(`"attributes":null,"events":null,"links":null`), inSpan(`"attributes":[null],"events":[null]`)},
		"null value":   {inValue(`{}`), inValue(`null`), inValue(`{"doubleValue":null}`), inValue(`{"stringValue":null,"intValue":null}`), inSpan(`"attributes":[{"key":"a"}]`)},
		"one of two":   {inValue(`{"stringValue":"x"}`), inValue(`{"stringValue":"x","intValue":null}`), inValue(`{"boolValue":null,"stringValue":"x"}`)},
		"null in list": {inValue(`{"arrayValue":{"values":[{},{"intValue":1}]}}`), inValue(`{"arrayValue":{"values":[null,{"intValue":1}]}}`)},
		"escapes":      {inSpan(`"name":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`), inSpan("\"name\":\"a\\\"\\\\/\\b\\f\\n\\r\\té😀\"")},
		"half a pair":  {inSpan(`"name":"\ud83d!"`), inSpan("\"name\":\"\ufffd!\""), inSpan(`"name":"\ude00!"`)},
		"not a pair":   {inSpan(`"name":"\ud83dA\u0042"`), inSpan("\"name\":\"\ufffdAB\"")},
	} {
		var first []byte
		for i, s := range spellings {
			out, losses, err := FromJSON([]byte(s))
			require.NoError(t, err, s)
			require.Zero(t, losses, s)
			out = byPdata(t, out)
			if i == 0 {
				first = out
			}
			require.Equal(t, hex.EncodeToString(first), hex.EncodeToString(out), "%s: %s", name, s)
		}
	}
}

// What is wrong is named with its place, and costs its span or, if the span's surroundings are
// wrong, the spans in them.
func TestFromJSONLosesTheBadPart(t *testing.T) {
	good := `{` + goodID + `}`
	group := func(resource, scope, spans string) string {
		return `{"resource":` + resource + `,"scopeSpans":[{"scope":` + scope + `,"spans":[` + spans + `]}]}`
	}
	request := func(groups ...string) string { return `{"resourceSpans":[` + strings.Join(groups, ",") + `]}` }
	for _, c := range []struct {
		text string
		kept int
		code string
		lost int
		says string
	}{
		{request(group("{}", "{}", good+`,{"traceId":"","spanId":"ff"}`)), 1, InvalidID, 1,
			`1 span refused: resourceSpans[0].scopeSpans[0].spans[1]: spanId: want 16 hex digits, found 2 characters: "ff"`},
		{request(group("{}", "{}", `{`+goodID+`,"startTimeUnixNano":{"low":1,"high":2}},`+good)), 1, MalformedSpan, 1,
			"resourceSpans[0].scopeSpans[0].spans[0]: startTimeUnixNano: want a number, found an object"},
		{request(group("{}", "{}", good+`,{"kind":{}},{"kind":[]},7`)), 1, MalformedSpan, 3, "3 spans refused: resourceSpans[0].scopeSpans[0].spans[1]: kind: "},
		{request(group("{}", "{}", `{"attributes":[{"key":"a","value":{"stringValue":"x","intValue":1}}]},`+good)), 1, MalformedSpan, 1,
			"attributes: value: intValue: more than one value is given"},
		{request(group("{}", "{}", `{"kind":"client"},{"status":{"code":"ERROR"}},`+good)), 1, MalformedSpan, 2,
			"kind: want a number or one of the names SPAN_KIND_UNSPECIFIED, SPAN_KIND_INTERNAL, SPAN_KIND_SERVER, SPAN_KIND_CLIENT, " +
				"SPAN_KIND_PRODUCER, SPAN_KIND_CONSUMER, found \"client\""},
		{request(group("{}", "{}", `{"links":[{"traceId":"zz"}]},`+good)), 1, InvalidID, 1, "links: traceId: want 32 hex digits"},
		{request(group(`{"attributes":{}}`, "{}", good+","+good), group("{}", "{}", good)), 1, MalformedSpan, 2,
			"2 spans refused: resourceSpans[0]: resource: attributes: want a list, found an object"},
		{request(`{"scopeSpans":[{"spans":[{"kind":{}},`+good+`]}],"resource":[]}`, group("{}", "{}", good)), 1, MalformedSpan, 2, "resourceSpans[0]: resource: want an object, found a list"},
		{request(group("{}", `{"name":1}`, good+","+good), group("{}", "{}", good)), 1, MalformedSpan, 2, "resourceSpans[0].scopeSpans[0]: scope: name: want a text, found a number"},
		{request(`{"resource":{},"instrumentationLibrarySpans":[{"spans":[{},{}]},{"spans":[{}]}]}`, group("{}", "{}", good)), 1, OldNames, 3,
			"instrumentationLibrarySpans is not read here: send scopeSpans"},
		{request(group("{}", "{}", `{`+goodID+`,"kind":1e99},{`+goodID+`,"flags":-1},{`+goodID+`,"name":1},{`+goodID+`,"endTimeUnixNano":1.5},`+good)), 1, MalformedSpan, 4, "kind: "},
	} {
		out, losses, err := FromJSON([]byte(c.text))
		require.NoError(t, err, c.text)
		require.Equal(t, c.kept, CountSpans(out), c.text)
		require.Equal(t, c.lost, losses.Refused, c.text)
		require.Len(t, losses.Reasons, 1, c.text)
		require.Equal(t, c.code, losses.Reasons[0].Code, c.text)
		require.Contains(t, losses.Message(), c.says)
		byPdata(t, out)
	}
	for text, says := range map[string]string{
		`{"resourceLogs":[{}]}`: "resourceLogs is not read here: send resourceSpans",
		`{"resourceSpans":[{"scopeSpans":[{"instrumentationLibrary":{"name":"x"},"spans":[` + good + `]}]}]}`: "instrumentationLibrary is not read here: send scope",
		`{"resourceSpans":[{"scopeSpans":7},` + group("{}", "{}", good) + `]}`:                                "resourceSpans[0]: scopeSpans: want a list, found a number",
	} {
		_, losses, err := FromJSON([]byte(text))
		require.NoError(t, err, text)
		require.Zero(t, losses.Refused)
		require.Contains(t, losses.Message(), says)
	}
}

// A request that is not JSON, or of which nothing can be kept, is refused with the place and the
// cause.
func TestFromJSONRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                                      "the body is empty",
		" \n":                                   "the body is empty",
		"[]":                                    `want an object {"resourceSpans": […]}, found a list`,
		`"x"`:                                   "found a text",
		"{}\n{}":                                `line 2, column 1: want nothing, found '{' after the first JSON value: send one object a request`,
		"{} x":                                  "after the first JSON value",
		"null null":                             "after the first JSON value",
		"{":                                     "line 1, column 2: want a name in quotes, found the end of the text",
		`{"a"`:                                  "want a colon",
		`{"a":}`:                                "want a value",
		`{"a":1,}`:                              "want a name in quotes",
		`{"a":[1,]}`:                            "want a value",
		`{"a":[1}`:                              `want a comma or ']'`,
		`{"a":01}`:                              "want a value",
		`{"a":tru}`:                             "want true",
		`{"a":"\x"}`:                            "want an escape that JSON has",
		`{"a":"\u12"}`:                          "want four hex digits",
		`{"a":"`:                                "want a quote that ends the text",
		`{"a":"\`:                               "want a quote that ends the text",
		"\n\n  {\"resourceSpans\":[{]":          "line 3, column 22: want a name in quotes, found ']'",
		`{"resourceSpans":{}}`:                  "resourceSpans: want a list, found an object",
		inSpan(`"startTimeUnixNano":{"low":1}`): "resourceSpans[0].scopeSpans[0].spans[0]: startTimeUnixNano: want a number, found an object",
		strings.Repeat(`{"arrayValue":{"values":[`, 1<<20): "want a value",
	} {
		_, _, err := FromJSON([]byte(text))
		require.ErrorContains(t, err, says, text[:min(len(text), 100)])
	}
}

// Values of any depth are kept: what is nested too deep becomes one text.
func TestFromJSONFoldsDeepValues(t *testing.T) {
	for _, c := range []struct{ open, shut string }{
		{`{"arrayValue":{"values":[`, `]}}`},
		{`{"kvlistValue":{"values":[{"key":"k","value":`, `}]}}`},
	} {
		for _, depth := range []int{1, maxDepth - 1, maxDepth + 1, 150, 100_000} {
			text := inValue(strings.Repeat(c.open, depth) + `{"intValue":"7"}` + strings.Repeat(c.shut, depth))
			out, losses, err := FromJSON([]byte(text))
			require.NoError(t, err)
			require.Zero(t, losses.Refused)
			require.Equal(t, depth > maxDepth-1, len(losses.Changed) == 1)
			var r Reader
			require.NoError(t, r.Walk(out, &countVisitor{}))
			if depth > maxDepth {
				require.Contains(t, string(out), `{"intValue":"7"}`)
				require.Equal(t, ValuesNested, losses.Changed[0].Code)
			}
		}
	}
}

// What pdata writes is read as pdata reads it.
func TestFromJSONAgreesWithPdata(t *testing.T) {
	for seed := range uint64(500) {
		td := randomTraces(rand.New(rand.NewPCG(seed, 9)))
		text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		want, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text)
		require.NoError(t, err)
		out, losses, err := FromJSON(text)
		require.NoError(t, err)
		require.Zero(t, losses)
		require.True(t, bytes.Equal(marshal(t, want), byPdata(t, out)), string(text))
	}
}

// Memory goes with the length of the text, whatever it holds: the message and nothing of its size
// beside it.
func TestFromJSONMemory(t *testing.T) {
	const size = 1 << 20
	fill := func(head, part, tail string) []byte {
		return []byte(head + strings.Repeat(part+",", (size-len(head)-len(tail))/(len(part)+1)) + part + tail)
	}
	head, tail := `{"resourceSpans":[{"scopeSpans":[{"spans":[`, `]}]}]}`
	for name, text := range map[string][]byte{
		"empty spans":      fill(head, `{}`, tail),
		"bad spans":        fill(head, `{"kind":{}}`, tail),
		"small spans":      fill(head, `{`+goodID+`}`, tail),
		"empty resources":  fill(`{"resourceSpans":[`, `{}`, `]}`),
		"bad resources":    fill(`{"resourceSpans":[`, `7`, `]}`),
		"events":           fill(head+`{`+goodID+`,"events":[`, `{}`, `]}`+tail),
		"attributes":       fill(head+`{`+goodID+`,"attributes":[`, `{}`, `]}`+tail),
		"values":           fill(head+`{`+goodID+`,"attributes":[{"key":"a","value":{"arrayValue":{"values":[`, `{}`, `]}}}]}`+tail),
		"nulls":            fill(head+`{`+goodID+`,"attributes":[{"key":"a","value":{"arrayValue":{"values":[`, `null`, `]}}}]}`+tail),
		"one text":         []byte(inSpan(`"name":"` + strings.Repeat("x", size) + `"`)),
		"escaped text":     []byte(inSpan(`"name":"` + strings.Repeat(`\n`, size/2) + `"`)),
		"escaped bytes":    []byte(inValue(`{"bytesValue":"` + strings.Repeat(`\/`, size/2) + `"}`)),
		"unknown brackets": []byte(`{"a":` + strings.Repeat("[", size/2) + strings.Repeat("]", size/2) + `}`),
		"deep value":       []byte(inValue(strings.Repeat(`{"arrayValue":{"values":[`, size/28) + strings.Repeat(`]}}`, size/28))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, _, _ := FromJSON(text)
		runtime.ReadMemStats(&after)
		require.LessOrEqual(t, len(out), len(text), name)
		live := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(text))
		if name != "bad spans" && name != "bad resources" { // their errors are garbage at once
			require.Less(t, live, 3.5, name) // a list that grows is copied some times
		}
	}
}

// Every name that is known to be old is told of, whatever stands behind it, unless that is null.
func TestFromJSONOldNames(t *testing.T) {
	inside := map[*jsonSchema]string{
		tracesSchema:        `{%s}`,
		resourceSpansSchema: `{"resourceSpans":[{%s}]}`,
		scopeSpansSchema:    `{"resourceSpans":[{"scopeSpans":[{%s}]}]}`,
		spanSchema:          inSpan("%s"),
		statusSchema:        inSpan(`"status":{%s}`),
	}
	told := 0
	for schema, text := range inside {
		for name := range schema.old {
			for _, value := range []string{"{}", "[]", "[{}]", "7", `"x"`, "null"} {
				_, losses, err := FromJSON(fmt.Appendf(nil, text, `"`+name+`":`+value))
				require.NoError(t, err, name)
				require.Equal(t, value != "null", strings.Contains(losses.Message(), name+" is not read here"), name)
				told++
			}
		}
	}
	require.Greater(t, told, 40)
}

// Any text: an error, or a message that can be read, not longer than the text; and where the judge
// reads the text, the same message.
func FuzzFromJSON(f *testing.F) {
	f.Add([]byte(inValue(`{"arrayValue":{"values":[{"intValue":"1e3"},null,{"bytesValue":"AA_-"}]}}`)))
	f.Add([]byte(`{"resource_spans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_SERVER","status":{"code":2},"startTimeUnixNano":1.5e3,"events":[{"name":"\u00e9\ud83d"}]},7]}]}]}`))
	f.Add([]byte(`{"resourceSpans":[{"instrumentationLibrarySpans":[{"spans":[{},{}]}]},null,[]]} `))
	f.Add([]byte("null"))
	f.Add([]byte(`{"resourceLogs":{},"resourceSpans":[{"scopeSpans":[{"instrumentationLibrary":7,"spans":[{"status":{"deprecatedCode":1}}]}]}]}`))
	f.Add([]byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":{"doubleValue":"NaN"}}],"entityRefs":[{"type":"t","idKeys":["a"]}]},"schemaUrl":"u"}]}`))
	// Ids are hex here and base64 to the judge, and enums may be numbers in quotes here.
	apart := regexp.MustCompile(`(?i)id"|\\u|(kind|code)"\s*:\s*"`)
	f.Fuzz(func(t *testing.T, b []byte) {
		out, losses, err := FromJSON(b)
		if err == nil {
			var r Reader
			require.NoError(t, r.Walk(out, &countVisitor{}))
			require.LessOrEqual(t, len(out), len(b))
			total := 0
			for _, reason := range losses.Reasons {
				total += reason.Spans
			}
			require.Equal(t, losses.Refused, total)
		}
		var want tracepb.TracesData
		if apart.Match(b) || !json.Valid(b) || (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, &want) != nil {
			return
		}
		require.NoError(t, err)
		if losses.Refused > 0 || len(losses.Changed) > 0 {
			require.Empty(t, without(losses, OldNames, ValuesNested), losses.Message())
			return
		}
		var got tracepb.TracesData
		require.NoError(t, proto.Unmarshal(out, &got))
		require.True(t, proto.Equal(&want, &got), "%v\n%v", &want, &got)
	})
}

func without(l Losses, codes ...string) (rest []string) {
	for _, r := range append(l.Reasons, l.Changed...) {
		if !strings.Contains(fmt.Sprint(codes), r.Code) {
			rest = append(rest, r.Code)
		}
	}
	return rest
}

func BenchmarkFromJSON(b *testing.B) {
	td := loadTraces(rand.New(rand.NewPCG(7, 7)), 1000)
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	require.NoError(b, err)
	b.Run("here", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = FromJSON(text)
		}
	})
	b.Run("pdata", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			td, _ := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text)
			_, _ = (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		}
	})
}
