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

// serve resolves the tenants of a call, runs it and gives its error a status.
func (s *server) serve(ctx context.Context, op string, run func(ctx context.Context, tenants []string) error) error {
	began := s.svc.Now()
	err := statusOf(s.run(ctx, op, run))
	if m := s.svc.Metrics; m != nil {
		m.Observe("grpc", op, grpcstatus.Code(err).String(), s.svc.Now().Sub(began))
	}
	return err
}

// run calls a method. A broken invariant in it is this call's error: grpc-go would end the process.
func (s *server) run(ctx context.Context, op string, run func(ctx context.Context, tenants []string) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.svc.Broken(op, p)
		}
	}()
	md, _ := metadata.FromIncomingContext(ctx)
	tenants, err := s.svc.Tenants(strings.Join(md.Get(tenant.Header), "|"))
	if err != nil {
		return err
	}
	if t := s.svc.Config.APITimeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	return run(query.FromGRPC(ctx), tenants)
}

// counted is send with the metric of streamed messages.
func counted[M any](s *server, op string, send func(M) error) func(M) error {
	return func(m M) error {
		s.svc.Metrics.Streamed(op)
		return send(m)
	}
}

func statusOf(err error) error {
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
	return s.serve(stream.Context(), "search", func(ctx context.Context, tenants []string) error {
		tags, err := logfmt(r.Tags)
		if err != nil {
			return err
		}
		q := query.Search{Query: r.Query, Tags: tags, MinDuration: time.Duration(r.MinDurationMs) * time.Millisecond,
			MaxDuration: time.Duration(r.MaxDurationMs) * time.Millisecond, Limit: int(r.Limit), SpansPerSpanSet: int(r.SpansPerSpanSet),
			Seconds: query.Seconds{Start: uint64(r.Start), End: uint64(r.End)}}
		p := packets[*api.SearchResponse]{send: counted(s, "search", stream.Send), split: splitSearch, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
		d := searchDiff{sent: map[string]*api.TraceSearchMetadata{}}
		m, err := s.svc.Search(ctx, tenants, q, func(m *api.SearchResponse) error { return p.progress(d.of(m)) })
		if err != nil {
			return err
		}
		return p.put(m)
	})
}

// SearchTags implements the service.
func (s *server) SearchTags(r *api.SearchTagsRequest, stream grpc.ServerStreamingServer[api.SearchTagsResponse]) error {
	return s.serve(stream.Context(), "tags", func(ctx context.Context, tenants []string) error {
		p := packets[*api.SearchTagsResponse]{send: counted(s, "tags", stream.Send), split: splitTags, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
		d := newDiff[string]()
		m, err := s.svc.Tags(ctx, tenants, tagsOf(r), func(m *api.SearchTagsResponse) error {
			return p.progress(&api.SearchTagsResponse{TagNames: d.of(m.TagNames), Metrics: m.Metrics})
		})
		if err != nil {
			return err
		}
		return p.put(m)
	})
}

// SearchTagsV2 implements the service.
func (s *server) SearchTagsV2(r *api.SearchTagsRequest, stream grpc.ServerStreamingServer[api.SearchTagsV2Response]) error {
	return s.serve(stream.Context(), "tags_v2", func(ctx context.Context, tenants []string) error {
		p := packets[*api.SearchTagsV2Response]{send: counted(s, "tags_v2", stream.Send), split: splitTagsV2, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
		sent := map[string]*diff[string]{}
		m, err := s.svc.TagsV2(ctx, tenants, tagsOf(r), func(m *api.SearchTagsV2Response) error {
			out := &api.SearchTagsV2Response{Metrics: m.Metrics}
			for _, scope := range m.Scopes {
				d := sent[scope.Name]
				if d == nil {
					d = newDiff[string]()
					sent[scope.Name] = d
				}
				if fresh := d.of(scope.Tags); len(fresh) > 0 {
					out.Scopes = append(out.Scopes, &api.SearchTagsV2Scope{Name: scope.Name, Tags: fresh})
				}
			}
			return p.progress(out)
		})
		if err != nil {
			return err
		}
		return p.put(m)
	})
}

// SearchTagValues implements the service.
func (s *server) SearchTagValues(r *api.SearchTagValuesRequest, stream grpc.ServerStreamingServer[api.SearchTagValuesResponse]) error {
	return s.serve(stream.Context(), "values", func(ctx context.Context, tenants []string) error {
		p := packets[*api.SearchTagValuesResponse]{send: counted(s, "values", stream.Send), split: splitValues, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
		d := newDiff[string]()
		m, err := s.svc.Values(ctx, tenants, valuesOf(r), func(m *api.SearchTagValuesResponse) error {
			return p.progress(&api.SearchTagValuesResponse{TagValues: d.of(m.TagValues), Metrics: m.Metrics})
		})
		if err != nil {
			return err
		}
		return p.put(m)
	})
}

// SearchTagValuesV2 implements the service.
func (s *server) SearchTagValuesV2(r *api.SearchTagValuesRequest, stream grpc.ServerStreamingServer[api.SearchTagValuesV2Response]) error {
	return s.serve(stream.Context(), "values_v2", func(ctx context.Context, tenants []string) error {
		p := packets[*api.SearchTagValuesV2Response]{send: counted(s, "values_v2", stream.Send), split: splitValuesV2, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
		type value struct{ typ, value string }
		d := newDiff[value]()
		m, err := s.svc.ValuesV2(ctx, tenants, valuesOf(r), func(m *api.SearchTagValuesV2Response) error {
			out := &api.SearchTagValuesV2Response{Metrics: m.Metrics}
			for _, v := range m.TagValues {
				if d.fresh(value{v.Type, v.Value}) {
					out.TagValues = append(out.TagValues, v)
				}
			}
			return p.progress(out)
		})
		if err != nil {
			return err
		}
		return p.put(m)
	})
}

// MetricsQueryRange implements the service.
func (s *server) MetricsQueryRange(r *api.QueryRangeRequest, stream grpc.ServerStreamingServer[api.QueryRangeResponse]) error {
	return s.serve(stream.Context(), "query_range", func(ctx context.Context, tenants []string) error {
		q := query.Series{Query: r.Query, Start: r.Start, End: r.End, Step: time.Duration(min(r.Step, 1<<62)), AutoStep: r.Step == 0,
			Exemplars: int(r.Exemplars), MaxSeries: int(r.MaxSeries)}
		p := packets[*api.QueryRangeResponse]{send: counted(s, "query_range", stream.Send), split: splitRange, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
		m, err := s.svc.Range(ctx, tenants, q, func(m *api.QueryRangeResponse) error {
			return p.progress(&api.QueryRangeResponse{Metrics: m.Metrics})
		})
		if err != nil {
			return badQuery("", err)
		}
		return p.put(m)
	})
}

// MetricsQueryInstant implements the service.
func (s *server) MetricsQueryInstant(r *api.QueryInstantRequest, stream grpc.ServerStreamingServer[api.QueryInstantResponse]) error {
	return s.serve(stream.Context(), "query", func(ctx context.Context, tenants []string) error {
		p := packets[*api.QueryInstantResponse]{send: counted(s, "query", stream.Send), split: splitInstant, max: s.svc.Config.MaxPacketBytes, unwritten: s.svc.Unwritten}
		m, err := s.svc.Instant(ctx, tenants, query.Series{Query: r.Query, Start: r.Start, End: r.End}, func(m *api.QueryInstantResponse) error {
			return p.progress(&api.QueryInstantResponse{Metrics: m.Metrics})
		})
		if err != nil {
			return badQuery("compiling query: ", err)
		}
		return p.put(m)
	})
}

// badQuery gives errors of a metrics query's text the code that Tempo gives them, which is not that
// of other mistakes.
func badQuery(prefix string, err error) error {
	if !query.BadQuery(err) {
		return err
	}
	if errors.Is(err, query.ErrNotMetrics) {
		prefix = ""
	}
	return grpcstatus.Error(codes.Unknown, prefix+err.Error())
}

func tagsOf(r *api.SearchTagsRequest) query.Tags {
	return query.Tags{Scope: r.Scope, Query: r.Query, Limit: int(r.MaxTagsPerScope), Seconds: query.Seconds{Start: uint64(r.Start), End: uint64(r.End)}}
}

func valuesOf(r *api.SearchTagValuesRequest) query.Values {
	return query.Values{Name: r.TagName, Query: r.Query, Limit: int(r.MaxTagValues), Seconds: query.Seconds{Start: uint64(r.Start), End: uint64(r.End)}}
}

// logfmt writes the tags of a request as the HTTP API takes them.
func logfmt(tags map[string]string) (string, error) {
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
