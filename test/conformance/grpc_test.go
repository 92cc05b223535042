package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/test/kit"
)

// Recorded calls over gRPC, on its own port and on the HTTP port, get the recorded answers, from
// live data and from blocks.
func TestGRPC(t *testing.T) {
	cases := load[grpcCase](t, "grpc.yaml")
	overHTTP := map[string]*httpCase{}
	for _, c := range load[httpCase](t, "http.yaml") {
		overHTTP[c.Name] = &c
	}
	p := start(t)
	list := readPending(t, "pending.txt")
	byName := map[string]*grpcCase{}
	var ran []string
	for i := range cases {
		c := &cases[i]
		byName[c.Name] = c
		ran = append(ran, c.Name)
		if s := c.Answer.SameAs; s != "" {
			same := byName[s].Answer
			c.Answer.Final, c.Answer.Message, c.Answer.SameFinal = same.Final, same.Message, same.SameFinal
		}
		if s := c.Answer.SameFinal; s != "" {
			answer := overHTTP[s].Answer
			if answer.SameAs != "" {
				answer = overHTTP[answer.SameAs].Answer
			}
			c.Answer.Final = answer.JSON
		}
	}
	p.stages(t, func(stage string) {
		conns := map[string]*grpc.ClientConn{}
		for i := range cases {
			c := &cases[i]
			addr := p.address(c)
			if conns[addr] == nil {
				conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
				require.NoError(t, err)
				defer conn.Close()
				conns[addr] = conn
			}
			err := p.call(conns[addr], c)
			switch {
			case err != nil && c.MayDiffer != nil:
				t.Logf("%s, %s: differs, and may: %v: %v", stage, c.Name, c.MayDiffer, err)
			case err != nil:
				list.failed[c.Name] = fmt.Errorf("%s: %w", stage, err)
			}
		}
		p.checkUnchanged(t, stage, overHTTP["search-all"])
	})
	list.judge(t, ran)
}

func (p profiles) node(profile string) *kit.Node {
	if profile == "" {
		profile = "default"
	}
	return p.nodes[profile]
}

func (p profiles) address(c *grpcCase) string {
	n := p.node(c.Profile)
	switch c.Target {
	case "h2c":
		return n.HTTP
	case "otlp_grpc":
		return n.OTLPGRPC
	}
	return n.GRPC
}

func (p profiles) call(conn *grpc.ClientConn, c *grpcCase) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if c.Tenant != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-scope-orgid", c.Tenant)
	}
	request, err := json.Marshal(p.base.fillRequest(map[string]any(c.Request)))
	if err != nil {
		return err
	}
	final, callErr := invoke(ctx, conn, c.Method, request)
	st := grpcstatus.Convert(callErr)
	if got := codeName(st.Code()); got != c.Answer.Code {
		return fmt.Errorf("code %s (%s), want %s (%s)", got, st.Message(), c.Answer.Code, c.Answer.Message)
	}
	if st.Code() != codes.OK {
		return p.refusal(c, st)
	}
	if final == nil {
		return fmt.Errorf("the stream ended without a message")
	}
	var got any
	if err := json.Unmarshal(final, &got); err != nil {
		return err
	}
	if word, ok := c.Answer.Final.(string); ok {
		if m, _ := got.(map[string]any); m["status"] != word {
			return fmt.Errorf("%s, want %s", final, word)
		}
		return nil
	}
	return compareJSON(&c.rules, withoutEmptyLists(p.base.fillAny(c.Answer.Final)), withoutEmptyLists(got))
}

func (p profiles) refusal(c *grpcCase, st *grpcstatus.Status) error {
	if c.Contains != "" {
		if !strings.Contains(st.Message(), p.base.fill(c.Contains)) {
			return fmt.Errorf("message %q does not contain %q", st.Message(), c.Contains)
		}
	} else if want := p.base.fill(c.Answer.Message); st.Message() != want {
		return fmt.Errorf("message %q, want %q", st.Message(), want)
	}
	if c.Answer.Details != nil && len(st.Details()) == 0 {
		return fmt.Errorf("no details, want %v", c.Answer.Details)
	}
	return nil
}

// codeName is the name of a code as the cases write it.
func codeName(c codes.Code) string { return c.String() }

// invoke calls a method with a request in JSON and returns its last message in JSON.
func invoke(ctx context.Context, conn *grpc.ClientConn, method string, request []byte) ([]byte, error) {
	switch method {
	case "/grpc.health.v1.Health/Check":
		return unary(ctx, conn, method, request, &grpc_health_v1.HealthCheckRequest{}, &grpc_health_v1.HealthCheckResponse{})
	case "/opentelemetry.proto.collector.trace.v1.TraceService/Export":
		return export(ctx, conn, request)
	case api.StreamingQuerier_Search_FullMethodName:
		return stream(ctx, conn, method, request, &api.SearchRequest{}, func() proto.Message { return &api.SearchResponse{} })
	case api.StreamingQuerier_SearchTags_FullMethodName:
		return stream(ctx, conn, method, request, &api.SearchTagsRequest{}, func() proto.Message { return &api.SearchTagsResponse{} })
	case api.StreamingQuerier_SearchTagsV2_FullMethodName:
		return stream(ctx, conn, method, request, &api.SearchTagsRequest{}, func() proto.Message { return &api.SearchTagsV2Response{} })
	case api.StreamingQuerier_SearchTagValues_FullMethodName:
		return stream(ctx, conn, method, request, &api.SearchTagValuesRequest{}, func() proto.Message { return &api.SearchTagValuesResponse{} })
	case api.StreamingQuerier_SearchTagValuesV2_FullMethodName:
		return stream(ctx, conn, method, request, &api.SearchTagValuesRequest{}, func() proto.Message { return &api.SearchTagValuesV2Response{} })
	case api.StreamingQuerier_MetricsQueryRange_FullMethodName:
		return stream(ctx, conn, method, request, &api.QueryRangeRequest{}, func() proto.Message { return &api.QueryRangeResponse{} })
	case api.StreamingQuerier_MetricsQueryInstant_FullMethodName:
		return stream(ctx, conn, method, request, &api.QueryInstantRequest{}, func() proto.Message { return &api.QueryInstantResponse{} })
	}
	return nil, fmt.Errorf("no such method in the API: %s", method)
}

func unary(ctx context.Context, conn *grpc.ClientConn, method string, request []byte, in, out proto.Message) ([]byte, error) {
	if err := protojson.Unmarshal(request, in); err != nil {
		return nil, err
	}
	if err := conn.Invoke(ctx, method, in, out); err != nil {
		return nil, err
	}
	return protojson.Marshal(out)
}

func stream(ctx context.Context, conn *grpc.ClientConn, method string, request []byte, in proto.Message, out func() proto.Message) ([]byte, error) {
	if err := protojson.Unmarshal(request, in); err != nil {
		return nil, err
	}
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return nil, err
	}
	if err := s.SendMsg(in); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	var last []byte
	for {
		m := out()
		if err := s.RecvMsg(m); errors.Is(err, io.EOF) {
			return last, nil
		} else if err != nil {
			return nil, err
		}
		if last, err = protojson.Marshal(m); err != nil {
			return nil, err
		}
	}
}

func export(ctx context.Context, conn *grpc.ClientConn, request []byte) ([]byte, error) {
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(request)
	if err != nil {
		return nil, err
	}
	resp, err := ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(traces))
	if err != nil {
		return nil, err
	}
	return resp.MarshalJSON()
}
