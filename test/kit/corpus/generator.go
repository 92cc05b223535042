package corpus

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// attribute has a value that pcommon.Value.FromRaw takes, except that maps are pairs: the order of
// a Go map differs from run to run.
type attribute struct {
	key   string
	value any
}

type pairs []attribute

// resource and scope are compared by address: spans under the same ones are sent together.
type resource struct{ attributes []attribute }

type scope struct{ name, version string }

type event struct {
	after      time.Duration // after the span's start
	name       string
	attributes []attribute
}

type link struct {
	trace      pcommon.TraceID
	span       pcommon.SpanID
	attributes []attribute
}

type status struct {
	code    ptrace.StatusCode
	message string
}

// span is one span of a trace that is being made.
type span struct {
	trace      pcommon.TraceID
	id, parent pcommon.SpanID
	name       string
	kind       ptrace.SpanKind
	start, end time.Time
	under      *resource
	scope      *scope
	status     status
	attributes []attribute
	events     []event
	links      []link
	state      string // the trace state
	flags      uint32
}

// generator makes the spans of one file.
type generator struct {
	random *rand.Rand
	now    time.Time // when the next trace begins
	scopes map[string]*scope
}

func newGenerator(seed uint64, begin time.Time) *generator {
	return &generator{random: rand.New(rand.NewPCG(seed, 0x6f74656c)), now: begin, scopes: map[string]*scope{}}
}

// scopeNamed returns the scope of an instrumentation library.
func (g *generator) scopeNamed(name, version string) *scope {
	s, ok := g.scopes[name+version]
	if !ok {
		s = &scope{name, version}
		g.scopes[name+version] = s
	}
	return s
}

func (g *generator) chance(oneIn int) bool { return g.random.IntN(oneIn) == 0 }

func (g *generator) between(low, high int) int { return low + g.random.IntN(high-low+1) }

// startTrace returns the root of a new trace that lasts for the given time, and moves the clock on
// by less than pause.
func (g *generator) startTrace(under *resource, sc *scope, name string, kind ptrace.SpanKind, lasts,
	pause time.Duration) *span {
	s := &span{name: name, kind: kind, start: g.now, end: g.now.Add(lasts), under: under, scope: sc}
	binary.BigEndian.PutUint64(s.trace[:8], g.random.Uint64())
	binary.BigEndian.PutUint64(s.trace[8:], g.random.Uint64())
	s.id = g.spanID()
	g.now = g.now.Add(time.Duration(g.random.Int64N(int64(pause)) + 1))
	return s
}

func (g *generator) spanID() (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], g.random.Uint64()|1)
	return id
}

// startChild returns a span inside its parent, some percent shorter.
func (g *generator) startChild(parent *span, under *resource, sc *scope, name string, kind ptrace.SpanKind) *span {
	lasts := parent.end.Sub(parent.start)
	begin := time.Duration(g.random.Int64N(int64(lasts)/20 + 1))
	rest := lasts - begin
	s := &span{trace: parent.trace, parent: parent.id, id: g.spanID(), name: name, kind: kind,
		start: parent.start.Add(begin), under: under, scope: sc}
	s.end = s.start.Add(rest - time.Duration(g.random.Int64N(int64(rest)/10+1)))
	return s
}

// encodeRequest writes spans as one request. Spans under one resource and one scope are sent
// together, in the order given.
func encodeRequest(spans []*span) ptrace.Traces {
	td := ptrace.NewTraces()
	type group struct {
		under *resource
		scope *scope
	}
	resources := map[*resource]ptrace.ResourceSpans{}
	scopes := map[group]ptrace.ScopeSpans{}
	for _, s := range spans {
		rs, ok := resources[s.under]
		if !ok {
			rs = td.ResourceSpans().AppendEmpty()
			setAttributes(rs.Resource().Attributes(), s.under.attributes)
			resources[s.under] = rs
		}
		in := group{s.under, s.scope}
		ss, ok := scopes[in]
		if !ok {
			ss = rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(s.scope.name)
			ss.Scope().SetVersion(s.scope.version)
			scopes[in] = ss
		}
		s.writeTo(ss.Spans().AppendEmpty())
	}
	return td
}

func (s *span) writeTo(dst ptrace.Span) {
	dst.SetTraceID(s.trace)
	dst.SetSpanID(s.id)
	dst.SetParentSpanID(s.parent)
	dst.SetName(s.name)
	dst.SetKind(s.kind)
	dst.SetFlags(s.flags)
	dst.TraceState().FromRaw(s.state)
	dst.SetStartTimestamp(pcommon.NewTimestampFromTime(s.start))
	dst.SetEndTimestamp(pcommon.NewTimestampFromTime(s.end))
	dst.Status().SetCode(s.status.code)
	dst.Status().SetMessage(s.status.message)
	setAttributes(dst.Attributes(), s.attributes)
	for _, e := range s.events {
		to := dst.Events().AppendEmpty()
		to.SetName(e.name)
		to.SetTimestamp(pcommon.NewTimestampFromTime(s.start.Add(e.after)))
		setAttributes(to.Attributes(), e.attributes)
	}
	for _, l := range s.links {
		to := dst.Links().AppendEmpty()
		to.SetTraceID(l.trace)
		to.SetSpanID(l.span)
		setAttributes(to.Attributes(), l.attributes)
	}
}

func setAttributes(dst pcommon.Map, list []attribute) {
	for _, a := range list {
		setValue(dst.PutEmpty(a.key), a.value)
	}
}

func setValue(dst pcommon.Value, value any) {
	switch v := value.(type) {
	case pairs:
		setAttributes(dst.SetEmptyMap(), v)
	case []pairs:
		slice := dst.SetEmptySlice()
		for _, p := range v {
			setValue(slice.AppendEmpty(), p)
		}
	case []string:
		slice := dst.SetEmptySlice()
		for _, text := range v {
			slice.AppendEmpty().SetStr(text)
		}
	default:
		if err := dst.FromRaw(v); err != nil {
			panic("BUG: " + err.Error())
		}
	}
}
