package otlp

import (
	"bytes"
	"encoding/json"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/ingest"
)

// encodeReply writes an ExportTraceServiceResponse. It has a partial_success even if everything
// was accepted.
func encodeReply(r *ingest.PushSpansReply) []byte {
	var partial []byte
	if r.GetRejected() > 0 {
		partial = protowire.AppendTag(partial, 1, protowire.VarintType)
		partial = protowire.AppendVarint(partial, uint64(r.GetRejected()))
	}
	if r.GetMessage() != "" {
		partial = protowire.AppendTag(partial, 2, protowire.BytesType)
		partial = protowire.AppendString(partial, r.GetMessage())
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial)
}

func encodeReplyJSON(r *ingest.PushSpansReply) []byte {
	type partial struct {
		Rejected string `json:"rejectedSpans,omitempty"`
		Message  string `json:"errorMessage,omitempty"`
	}
	p := partial{Message: r.GetMessage()}
	if r.GetRejected() > 0 {
		p.Rejected = strconv.FormatInt(r.GetRejected(), 10)
	}
	return encodeJSON(struct {
		Partial partial `json:"partialSuccess"`
	}{p})
}

// encodeStatus writes a google.rpc.Status. Its JSON is written here because protojson varies its
// spaces on purpose.
func encodeStatus(st *grpcstatus.Status, kind string) []byte {
	if kind != typeJSON {
		b, err := proto.Marshal(st.Proto())
		if err != nil { // a message that is no UTF-8
			b = protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(st.Code()))
		}
		return b
	}
	type detail struct {
		Type  string `json:"@type"`
		Delay string `json:"retryDelay"`
	}
	out := struct {
		Code    int32    `json:"code"`
		Message string   `json:"message"`
		Details []detail `json:"details,omitempty"`
	}{Code: int32(st.Code()), Message: st.Message()}
	for _, d := range st.Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			seconds := strconv.FormatFloat(r.GetRetryDelay().AsDuration().Seconds(), 'f', -1, 64)
			out.Details = append(out.Details, detail{Type: "type.googleapis.com/google.rpc.RetryInfo",
				Delay: seconds + "s"})
		}
	}
	return encodeJSON(out)
}

func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // of strings and numbers
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
