// Package grpcapi is the query API over gRPC, the service tempopb.StreamingQuerier.
//
// While jobs end, a stream sends what is new; its last message holds everything. Each message may
// be split to keep within the size of a packet. Ahead of the last message a search sends the traces
// that are new or have changed, and a question for names or values sends those that are new. A
// metrics query sends no series, only how far it is, because values that are not settled would be
// wrong.
//
// Next on the way of a query: runtime/gateway/query. Source: docs/spec/api.md,
// "Streams over gRPC".
package grpcapi

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Deps is what the API reaches.
type Deps = query.Deps

// Register adds the service to a gRPC server.
func Register(s grpc.ServiceRegistrar, d Deps) {
	api.RegisterStreamingQuerierServer(s, &server{svc: query.New(d)})
}

type server struct {
	api.UnimplementedStreamingQuerierServer
	svc *query.Service
}

// serveCall finds the tenants of a call, runs the call, and gives its error a gRPC status.
func (s *server) serveCall(
	ctx context.Context,
	op string,
	run func(ctx context.Context, tenants []string) error,
) error {
	began := s.svc.Now()
	err := statusError(s.runMethod(ctx, op, run))
	if m := s.svc.Metrics; m != nil {
		m.Observe("grpc", op, grpcstatus.Code(err).String(), s.svc.Now().Sub(began))
	}
	return err
}

// runMethod calls a method. A panic in it becomes this call's error, because grpc-go would let it
// end the process.
func (s *server) runMethod(
	ctx context.Context,
	op string,
	run func(ctx context.Context, tenants []string) error,
) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.svc.PanicError(op, p)
		}
	}()
	md, _ := metadata.FromIncomingContext(ctx)
	tenants, err := s.svc.TenantsOf(strings.Join(md.Get(tenant.Header), "|"))
	if err != nil {
		return err
	}
	if t := s.svc.Config.APITimeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	return run(query.ContextOfGRPC(ctx), tenants)
}

// newPackets returns the sender of a method's stream. op names the method in metrics.
func newPackets[M proto.Message](s *server, op string, send func(M) error, split func(M, int) []M) packets[M] {
	return packets[M]{
		send:      countSent(s, op, send),
		split:     split,
		limit:     int(s.svc.Config.MaxPacketBytes),
		unwritten: s.svc.Unwritten,
	}
}

// countSent returns send, counting the messages of streams.
func countSent[M any](s *server, op string, send func(M) error) func(M) error {
	return func(m M) error {
		s.svc.Metrics.Streamed(op)
		return send(m)
	}
}

func statusError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, tenant.ErrMissing) {
		return grpcstatus.Error(codes.Unknown, err.Error())
	}
	if g, ok := grpcstatus.FromError(err); ok {
		return g.Err()
	}
	return grpcstatus.Error(status.Of(err).Class.GRPC(), err.Error())
}

// Search implements the service.
func (s *server) Search(r *api.SearchRequest, stream grpc.ServerStreamingServer[api.SearchResponse]) error {
	return s.serveCall(stream.Context(), "search", func(ctx context.Context, tenants []string) error {
		tags, err := tagsAsLogfmt(r.Tags)
		if err != nil {
			return err
		}
		q := query.SearchParams{
			Query:           r.Query,
			Tags:            tags,
			MinDuration:     time.Duration(r.MinDurationMs) * time.Millisecond,
			MaxDuration:     time.Duration(r.MaxDurationMs) * time.Millisecond,
			Limit:           int(r.Limit),
			SpansPerSpanSet: int(r.SpansPerSpanSet),
			Seconds:         query.Seconds{Start: uint64(r.Start), End: uint64(r.End)},
		}
		p := newPackets(s, "search", stream.Send, splitSearch)
		d := sentTraces{sent: map[string]*api.TraceSearchMetadata{}}
		m, err := s.svc.SearchTraces(ctx, tenants, q, func(m *api.SearchResponse) error {
			return p.sendProgress(d.takeFresh(m))
		})
		if err != nil {
			return err
		}
		return p.sendMessage(m)
	})
}

// SearchTags implements the service.
func (s *server) SearchTags(
	r *api.SearchTagsRequest,
	stream grpc.ServerStreamingServer[api.SearchTagsResponse],
) error {
	return s.serveCall(stream.Context(), "tags", func(ctx context.Context, tenants []string) error {
		p := newPackets(s, "tags", stream.Send, splitTags)
		d := newSentSet[string]()
		m, err := s.svc.ListTags(ctx, tenants, tagsParams(r), func(m *api.SearchTagsResponse) error {
			return p.sendProgress(&api.SearchTagsResponse{TagNames: d.takeFresh(m.TagNames), Metrics: m.Metrics})
		})
		if err != nil {
			return err
		}
		return p.sendMessage(m)
	})
}

// SearchTagsV2 implements the service.
func (s *server) SearchTagsV2(
	r *api.SearchTagsRequest,
	stream grpc.ServerStreamingServer[api.SearchTagsV2Response],
) error {
	return s.serveCall(stream.Context(), "tags_v2", func(ctx context.Context, tenants []string) error {
		p := newPackets(s, "tags_v2", stream.Send, splitTagsV2)
		sent := map[string]*sentSet[string]{}
		m, err := s.svc.ListTagsV2(ctx, tenants, tagsParams(r), func(m *api.SearchTagsV2Response) error {
			out := &api.SearchTagsV2Response{Metrics: m.Metrics}
			for _, scope := range m.Scopes {
				d := sent[scope.Name]
				if d == nil {
					d = newSentSet[string]()
					sent[scope.Name] = d
				}
				if fresh := d.takeFresh(scope.Tags); len(fresh) > 0 {
					out.Scopes = append(out.Scopes, &api.SearchTagsV2Scope{Name: scope.Name, Tags: fresh})
				}
			}
			return p.sendProgress(out)
		})
		if err != nil {
			return err
		}
		return p.sendMessage(m)
	})
}

// SearchTagValues implements the service.
func (s *server) SearchTagValues(
	r *api.SearchTagValuesRequest,
	stream grpc.ServerStreamingServer[api.SearchTagValuesResponse],
) error {
	return s.serveCall(stream.Context(), "values", func(ctx context.Context, tenants []string) error {
		p := newPackets(s, "values", stream.Send, splitValues)
		d := newSentSet[string]()
		m, err := s.svc.ListValues(ctx, tenants, valuesParams(r), func(m *api.SearchTagValuesResponse) error {
			fresh := d.takeFresh(m.TagValues)
			return p.sendProgress(&api.SearchTagValuesResponse{TagValues: fresh, Metrics: m.Metrics})
		})
		if err != nil {
			return err
		}
		return p.sendMessage(m)
	})
}

// SearchTagValuesV2 implements the service.
func (s *server) SearchTagValuesV2(
	r *api.SearchTagValuesRequest,
	stream grpc.ServerStreamingServer[api.SearchTagValuesV2Response],
) error {
	return s.serveCall(stream.Context(), "values_v2", func(ctx context.Context, tenants []string) error {
		p := newPackets(s, "values_v2", stream.Send, splitValuesV2)
		type value struct{ typ, value string }
		d := newSentSet[value]()
		m, err := s.svc.ListValuesV2(ctx, tenants, valuesParams(r), func(m *api.SearchTagValuesV2Response) error {
			out := &api.SearchTagValuesV2Response{Metrics: m.Metrics}
			for _, v := range m.TagValues {
				if d.addIfFresh(value{v.Type, v.Value}) {
					out.TagValues = append(out.TagValues, v)
				}
			}
			return p.sendProgress(out)
		})
		if err != nil {
			return err
		}
		return p.sendMessage(m)
	})
}

// MetricsQueryRange implements the service.
func (s *server) MetricsQueryRange(
	r *api.QueryRangeRequest,
	stream grpc.ServerStreamingServer[api.QueryRangeResponse],
) error {
	return s.serveCall(stream.Context(), "query_range", func(ctx context.Context, tenants []string) error {
		q := query.SeriesParams{
			Query:     r.Query,
			Start:     r.Start,
			End:       r.End,
			Step:      time.Duration(min(r.Step, 1<<62)),
			AutoStep:  r.Step == 0,
			Exemplars: int(r.Exemplars),
			MaxSeries: int(r.MaxSeries),
		}
		p := newPackets(s, "query_range", stream.Send, splitRange)
		m, err := s.svc.QueryRange(ctx, tenants, q, func(m *api.QueryRangeResponse) error {
			return p.sendProgress(&api.QueryRangeResponse{Metrics: m.Metrics})
		})
		if err != nil {
			return queryTextError("", err)
		}
		return p.sendMessage(m)
	})
}

// MetricsQueryInstant implements the service.
func (s *server) MetricsQueryInstant(
	r *api.QueryInstantRequest,
	stream grpc.ServerStreamingServer[api.QueryInstantResponse],
) error {
	return s.serveCall(stream.Context(), "query", func(ctx context.Context, tenants []string) error {
		p := newPackets(s, "query", stream.Send, splitInstant)
		q := query.SeriesParams{Query: r.Query, Start: r.Start, End: r.End}
		m, err := s.svc.QueryInstant(ctx, tenants, q, func(m *api.QueryInstantResponse) error {
			return p.sendProgress(&api.QueryInstantResponse{Metrics: m.Metrics})
		})
		if err != nil {
			return queryTextError("compiling query: ", err)
		}
		return p.sendMessage(m)
	})
}

// queryTextError gives an error about the text of a metrics query the code that Tempo gives it,
// which is not the code of other mistakes.
func queryTextError(prefix string, err error) error {
	if !query.IsQueryError(err) {
		return err
	}
	if errors.Is(err, query.ErrNotMetrics) {
		prefix = ""
	}
	return grpcstatus.Error(codes.Unknown, prefix+err.Error())
}

func tagsParams(r *api.SearchTagsRequest) query.TagsParams {
	return query.TagsParams{
		Scope:   r.Scope,
		Query:   r.Query,
		Limit:   int(r.MaxTagsPerScope),
		Seconds: query.Seconds{Start: uint64(r.Start), End: uint64(r.End)},
	}
}

func valuesParams(r *api.SearchTagValuesRequest) query.ValuesParams {
	return query.ValuesParams{
		Name:    r.TagName,
		Query:   r.Query,
		Limit:   int(r.MaxTagValues),
		Seconds: query.Seconds{Start: uint64(r.Start), End: uint64(r.End)},
	}
}

// tagsAsLogfmt writes the tags of a request as the HTTP API takes them.
func tagsAsLogfmt(tags map[string]string) (string, error) {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		if k == "" || strings.ContainsAny(k, " =\"\t\r\n") {
			return "", status.Errorf(status.Invalid,
				"invalid tags: key %q: must not be empty or have spaces, quotes or =", k)
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(k + "=" + strconv.Quote(tags[k]))
	}
	return b.String(), nil
}
