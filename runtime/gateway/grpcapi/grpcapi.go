// Package grpcapi is the query API over gRPC: tempopb.StreamingQuerier. Next on the way of a query:
// runtime/gateway/query.
//
// A stream is diffs of what is found while jobs end, then one final message with everything; each
// may be split to keep within the size of a packet. Diffs of a search hold traces that are new or
// have changed, those of names and values what is new. Those of metrics hold no series, only how
// far the query is: values that are not settled yet would be wrong ones. Source: gRPC API §7.
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

// serveCall resolves the tenants of a call, runs it and gives its error a status.
func (s *server) serveCall(ctx context.Context, op string, run func(ctx context.Context, tenants []string) error) error {
	began := s.svc.Now()
	err := statusError(s.runMethod(ctx, op, run))
	if m := s.svc.Metrics; m != nil {
		m.Observe("grpc", op, grpcstatus.Code(err).String(), s.svc.Now().Sub(began))
	}
	return err
}

// runMethod calls a method. A broken invariant in it is this call's error: grpc-go would end the process.
func (s *server) runMethod(ctx context.Context, op string, run func(ctx context.Context, tenants []string) error) (err error) {
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

// countSent is send with the metric of streamed messages.
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
		q := query.SearchParams{Query: r.Query, Tags: tags, MinDuration: time.Duration(r.MinDurationMs) * time.Millisecond,
			MaxDuration: time.Duration(r.MaxDurationMs) * time.Millisecond, Limit: int(r.Limit), SpansPerSpanSet: int(r.SpansPerSpanSet),
			Seconds: query.Seconds{Start: uint64(r.Start), End: uint64(r.End)}}
		p := packets[*api.SearchResponse]{send: countSent(s, "search", stream.Send), split: splitSearch, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
		d := sentTraces{sent: map[string]*api.TraceSearchMetadata{}}
		m, err := s.svc.SearchTraces(ctx, tenants, q, func(m *api.SearchResponse) error { return p.sendProgress(d.freshTraces(m)) })
		if err != nil {
			return err
		}
		return p.sendMessage(m)
	})
}

// SearchTags implements the service.
func (s *server) SearchTags(r *api.SearchTagsRequest, stream grpc.ServerStreamingServer[api.SearchTagsResponse]) error {
	return s.serveCall(stream.Context(), "tags", func(ctx context.Context, tenants []string) error {
		p := packets[*api.SearchTagsResponse]{send: countSent(s, "tags", stream.Send), split: splitTags, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
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
func (s *server) SearchTagsV2(r *api.SearchTagsRequest, stream grpc.ServerStreamingServer[api.SearchTagsV2Response]) error {
	return s.serveCall(stream.Context(), "tags_v2", func(ctx context.Context, tenants []string) error {
		p := packets[*api.SearchTagsV2Response]{send: countSent(s, "tags_v2", stream.Send), split: splitTagsV2, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
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
func (s *server) SearchTagValues(r *api.SearchTagValuesRequest, stream grpc.ServerStreamingServer[api.SearchTagValuesResponse]) error {
	return s.serveCall(stream.Context(), "values", func(ctx context.Context, tenants []string) error {
		p := packets[*api.SearchTagValuesResponse]{send: countSent(s, "values", stream.Send), split: splitValues, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
		d := newSentSet[string]()
		m, err := s.svc.ListValues(ctx, tenants, valuesParams(r), func(m *api.SearchTagValuesResponse) error {
			return p.sendProgress(&api.SearchTagValuesResponse{TagValues: d.takeFresh(m.TagValues), Metrics: m.Metrics})
		})
		if err != nil {
			return err
		}
		return p.sendMessage(m)
	})
}

// SearchTagValuesV2 implements the service.
func (s *server) SearchTagValuesV2(r *api.SearchTagValuesRequest, stream grpc.ServerStreamingServer[api.SearchTagValuesV2Response]) error {
	return s.serveCall(stream.Context(), "values_v2", func(ctx context.Context, tenants []string) error {
		p := packets[*api.SearchTagValuesV2Response]{send: countSent(s, "values_v2", stream.Send), split: splitValuesV2, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
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
func (s *server) MetricsQueryRange(r *api.QueryRangeRequest, stream grpc.ServerStreamingServer[api.QueryRangeResponse]) error {
	return s.serveCall(stream.Context(), "query_range", func(ctx context.Context, tenants []string) error {
		q := query.SeriesParams{Query: r.Query, Start: r.Start, End: r.End, Step: time.Duration(min(r.Step, 1<<62)), AutoStep: r.Step == 0,
			Exemplars: int(r.Exemplars), MaxSeries: int(r.MaxSeries)}
		p := packets[*api.QueryRangeResponse]{send: countSent(s, "query_range", stream.Send), split: splitRange, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
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
func (s *server) MetricsQueryInstant(r *api.QueryInstantRequest, stream grpc.ServerStreamingServer[api.QueryInstantResponse]) error {
	return s.serveCall(stream.Context(), "query", func(ctx context.Context, tenants []string) error {
		p := packets[*api.QueryInstantResponse]{send: countSent(s, "query", stream.Send), split: splitInstant, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
		m, err := s.svc.QueryInstant(ctx, tenants, query.SeriesParams{Query: r.Query, Start: r.Start, End: r.End}, func(m *api.QueryInstantResponse) error {
			return p.sendProgress(&api.QueryInstantResponse{Metrics: m.Metrics})
		})
		if err != nil {
			return queryTextError("compiling query: ", err)
		}
		return p.sendMessage(m)
	})
}

// queryTextError gives errors of a metrics query's text the code that Tempo gives them, which is not that
// of other mistakes.
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
	return query.TagsParams{Scope: r.Scope, Query: r.Query, Limit: int(r.MaxTagsPerScope), Seconds: query.Seconds{Start: uint64(r.Start), End: uint64(r.End)}}
}

func valuesParams(r *api.SearchTagValuesRequest) query.ValuesParams {
	return query.ValuesParams{Name: r.TagName, Query: r.Query, Limit: int(r.MaxTagValues), Seconds: query.Seconds{Start: uint64(r.Start), End: uint64(r.End)}}
}

// tagsAsLogfmt writes the tags of a request as the HTTP API takes them.
func tagsAsLogfmt(tags map[string]string) (string, error) {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		if k == "" || strings.ContainsAny(k, " =\"\t\r\n") {
			return "", status.Errorf(status.Invalid, "invalid tags: key %q: must not be empty or have spaces, quotes or =", k)
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(k + "=" + strconv.Quote(tags[k]))
	}
	return b.String(), nil
}
