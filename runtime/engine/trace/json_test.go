package trace

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// hexIDs turns the base64 ids of Tempo's JSON into OTLP's.
func hexIDs(t testing.TB, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if k == "traceId" || k == "spanId" || k == "parentSpanId" {
				id, err := base64.StdEncoding.DecodeString(e.(string))
				require.NoError(t, err)
				v[k] = hex.EncodeToString(id)
			} else {
				v[k] = hexIDs(t, e)
			}
		}
	case []any:
		for i := range v {
			v[i] = hexIDs(t, v[i])
		}
	}
	return v
}

// sameJSON requires that AppendJSON, its ids in hex, is read by pdata as the message it came from.
func sameJSON(t testing.TB, otlp []byte) {
	t.Helper()
	b, err := AppendJSON(nil, otlp, false)
	require.NoError(t, err)
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	require.NoError(t, d.Decode(&v), string(b))
	b, err = json.Marshal(hexIDs(t, v))
	require.NoError(t, err)
	got, losses, err := FromJSON(b)
	require.NoError(t, err)
	require.Zero(t, losses)
	require.True(t, bytes.Equal(byPdata(t, otlp), byPdata(t, got)), string(b[:min(len(b), 500)]))
}

// The JSON of any message is read back as the same message by pdata.
func TestJSONReadsBack(t *testing.T) {
	for seed := range uint64(1500) {
		td := randomTraces(rand.New(rand.NewPCG(seed, 3)))
		b := marshal(t, td)
		if bytes.Contains(b, []byte("\xff\xc3")) { // becomes U+FFFD on the way
			b = bytes.ReplaceAll(b, []byte("\xff\xc3"), []byte("\u00ff")) // as long
		}
		sameJSON(t, b)
	}
}

// The form is Tempo's: the example of the HTTP API's page, letter by letter.
func TestJSONForm(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "cart")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("lib")
	ss.Scope().SetVersion("1.2")
	s := ss.Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	s.SetSpanID(pcommon.SpanID{1, 2, 3, 4, 5, 6, 7, 8})
	s.SetParentSpanID(pcommon.SpanID{8, 7, 6, 5, 4, 3, 2, 1})
	s.SetName("GET /cart")
	s.SetKind(ptrace.SpanKindServer)
	s.SetStartTimestamp(1700000000000000000)
	s.SetEndTimestamp(1700000000120000000)
	s.Attributes().PutInt("http.status_code", 500)
	e := s.Events().AppendEmpty()
	e.SetTimestamp(1700000000050000000)
	e.SetName("exception")
	s.Status().SetMessage("boom")
	s.Status().SetCode(ptrace.StatusCodeError)
	b, err := AppendJSON(nil, marshal(t, td), true)
	require.NoError(t, err)
	require.Equal(t, `{"batches":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},`+
		`"scopeSpans":[{"scope":{"name":"lib","version":"1.2"},`+
		`"spans":[{"traceId":"AAECAwQFBgcICQoLDA0ODw==","spanId":"AQIDBAUGBwg=","parentSpanId":"CAcGBQQDAgE=",`+
		`"name":"GET /cart","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1700000000000000000",`+
		`"endTimeUnixNano":"1700000000120000000",`+
		`"attributes":[{"key":"http.status_code","value":{"intValue":"500"}}],`+
		`"events":[{"timeUnixNano":"1700000000050000000","name":"exception"}],`+
		`"status":{"message":"boom","code":"STATUS_CODE_ERROR"}}]}]}]}`, string(b))
}

// Odd values have their defined forms, and what was there before stays.
func TestJSONOddValues(t *testing.T) {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetKind(77)
	s.Attributes().PutDouble("n", math.NaN())
	s.Attributes().PutDouble("i", math.Inf(1))
	s.Attributes().PutDouble("m", math.Inf(-1))
	s.Attributes().PutEmpty("e")
	s.Attributes().PutEmptySlice("s")
	s.Attributes().PutEmptyMap("k")
	s.Attributes().PutEmptyBytes("b")
	s.Attributes().PutStr("u", "a\xe6")
	b, err := AppendJSON([]byte("x"), marshal(t, td), false)
	require.NoError(t, err)
	require.Equal(t, `x{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"kind":77,"attributes":[`+
		`{"key":"n","value":{"doubleValue":"NaN"}},{"key":"i","value":{"doubleValue":"Infinity"}},`+
		`{"key":"m","value":{"doubleValue":"-Infinity"}},{"key":"e","value":{}},{"key":"s","value":{"arrayValue":{}}},`+
		`{"key":"k","value":{"kvlistValue":{}}},{"key":"b","value":{"bytesValue":""}},`+
		`{"key":"u","value":{"stringValue":"a\ufffd"}}],"status":{}}]}]}]}`, string(b))
	for _, v1 := range []bool{true, false} {
		b, err = AppendJSON(nil, nil, v1)
		require.NoError(t, err)
		require.Equal(t, "{}", string(b))
	}
	b, err = AppendJSON([]byte("x"), []byte{0x0a, 5}, false)
	require.ErrorIs(t, err, ErrMalformed)
	require.Equal(t, "x", string(b))
}

// Strings and numbers are printed as encoding/json prints them.
func TestJSONAsEncodingJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		s := make([]byte, r.IntN(12))
		for i := range s {
			s[i] = byte(r.IntN(256))
		}
		s = append(s, "\u2028\u2029é日"[:r.IntN(11)]...)
		want, err := json.Marshal(string(s))
		require.NoError(t, err)
		require.Equal(t, string(want), string(appendJSONString(nil, s)))
		f := math.Float64frombits(r.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		want, err = json.Marshal(f)
		require.NoError(t, err)
		require.Equal(t, string(want), string(appendJSONFloat(nil, f)))
	}
}
