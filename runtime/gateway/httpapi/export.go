package httpapi

import (
	"fmt"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

const exportPath = "/api/export/"

// serveExport answers with a trace as a file that other programs read. It is sent as it is read,
// whatever its size.
func (a *handlers) serveExport(c *call) error {
	id, err := parseTraceID(c, exportPath)
	if err != nil {
		return err
	}
	form, ending := exportProtobuf, "pb"
	switch name := c.r.URL.Query().Get("format"); name {
	case "", "otlp-json":
		form, ending = exportJSON, "json"
	case "otlp-proto":
	default:
		return invalidf("invalid format %.40q: it is otlp-json or otlp-proto", name)
	}
	c.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="trace-%s.%s"`, id, ending))
	return a.sendChunks(c, id, nil, query.Page{}, form())
}

// exportProtobuf is a TracesData message.
func exportProtobuf() chunkForm { return formV1(typeProtobuf) }

// exportJSON is OTLP/JSON: ids are hexadecimal.
func exportJSON() chunkForm {
	return chunkForm{
		contentType: typeJSON,
		begin:       "{",
		chunk:       appendListChunk(`"resourceSpans":[`, trace.AppendOTLPJSONList),
		end: func(b []byte, _ *api.TraceByIDResponse, empty bool) ([]byte, error) {
			return closeJSONTrace(b, empty), nil
		},
		notFound: (*call).sendNotFound,
	}
}
