package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"github.com/openzipkin/zipkin-go/reporter"
	zipkinhttp "github.com/openzipkin/zipkin-go/reporter/http"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
)

// pair is a client's and a server's span of one call, which share an id as Zipkin has them.
func pair(traceID uint64, start time.Time) []*model.SpanModel {
	client := &model.SpanModel{SpanContext: model.SpanContext{TraceID: model.TraceID{Low: traceID}, ID: 7}, Name: "call", Kind: model.Client, Timestamp: start,
		Duration: 20 * time.Millisecond, LocalEndpoint: &model.Endpoint{ServiceName: "front"}, Tags: map[string]string{"who": "zipkin"}}
	server := *client
	server.Kind, server.Shared, server.LocalEndpoint, server.Duration = model.Server, true, &model.Endpoint{ServiceName: "back"}, 10*time.Millisecond
	return []*model.SpanModel{client, &server}
}

// What Zipkin's own client reports, as JSON and as protobuf, is found by id and by search; a client
// and a server that share a span id are both kept.
func TestZipkinClients(t *testing.T) {
	n := kit.NewNode(t)
	n.WithZipkin()
	n.Start()
	start := time.Now().Add(-time.Minute).Truncate(time.Microsecond)
	for id, form := range map[uint64]reporter.SpanSerializer{0x51: reporter.JSONSerializer{}, 0x52: zipkin_proto3.SpanSerializer{}} {
		r := zipkinhttp.NewReporter("http://"+n.Zipkin+"/api/v2/spans", zipkinhttp.Serializer(form))
		for _, s := range pair(id, start) {
			r.Send(*s)
		}
		require.NoError(t, r.Close())
		trace := fmt.Sprintf("%032x", id)
		require.Eventually(t, func() bool {
			code, body := n.Get("/api/traces/" + trace)
			return code == http.StatusOK && strings.Contains(string(body), "SPAN_KIND_CLIENT") && strings.Contains(string(body), "SPAN_KIND_SERVER")
		}, time.Minute, 50*time.Millisecond)
		require.Eventually(t, func() bool {
			_, body := n.Get("/api/search?q=" + url.QueryEscape(`{ span.who = "zipkin" && resource.service.name = "back" && kind = server }`))
			return strings.Contains(string(body), fmt.Sprintf(`"%x"`, id)) || strings.Contains(string(body), trace)
		}, time.Minute, 50*time.Millisecond)
	}
}

// A packed body is read; one that is no list of spans, is too large, in another method or of an
// unknown packing is refused with the reason. Of a list with a bad span the others are kept, and
// the answer says how many are not.
func TestZipkinAnswers(t *testing.T) {
	n := kit.NewNode(t)
	n.WithZipkin()
	n.Start()
	good, err := json.Marshal(pair(0x53, time.Now().Add(-time.Minute)))
	require.NoError(t, err)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(good)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for _, c := range []struct {
		method, path, encoding string
		body                   []byte
		code                   int
		text                   string
	}{
		{"POST", "/api/v2/spans", "gzip", packed.Bytes(), 202, ""},
		{"POST", "/api/v2/spans", "", []byte("[]"), 202, ""},
		{"POST", "/api/v2/spans", "br", []byte("[]"), 400, "unsupported Content-Encoding: br"},
		{"POST", "/api/v2/spans", "gzip", []byte("[]"), 400, "EOF"},
		{"POST", "/api/v2/spans", "", []byte(`[{"traceId":"55","id":"1"},{"traceId":"55"}]`), 400, "1 of 2 spans are not kept: read spans: span 1 of the list"},
		{"POST", "/api/v1/spans", "", []byte(`[{"traceId":"0000000000000056","id":"0000000000000001"},{"traceId":"5"}]`), 400, "1 of 2 spans are not kept"},
		{"POST", "/api/v2/spans", "", []byte(`[{"traceId":"54","id":"1"},{"id":"2"}]`), 400, "1 of 2 spans are not kept: read spans: a span of the list has no trace id"},
		{"POST", "/api/v2/spans", "", bytes.Repeat([]byte(" "), 5<<20), 400, "request body too large"},
		{"GET", "/api/v2/spans", "", nil, 405, "spans come by POST"},
		{"POST", "/api/v1/spans", "", []byte("{"), 400, "read spans"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+n.Zipkin+c.path, bytes.NewReader(c.body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		if c.encoding != "" {
			req.Header.Set("Content-Encoding", c.encoding)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, c.code, resp.StatusCode, "%+v: %s", c.text, text)
		require.Contains(t, string(text), c.text)
		require.Equal(t, c.code == 202, len(text) == 0)
	}
	code, _ := n.Get("/api/traces/53")
	require.Equal(t, 200, code)
	for _, id := range []string{"54", "55", "56"} {
		code, _ = n.Get("/api/traces/" + id)
		require.Equal(t, 200, code, "the good span of a list is kept")
	}
}
