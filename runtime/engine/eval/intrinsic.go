package eval

import (
	"context"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// intrinsicSource returns the source of an intrinsic in the frame that it belongs to, nil if the
// table has no such frame or there is no such intrinsic.
func (v *tableView) intrinsicSource(name string) source {
	if src := v.spanIntrinsic(name); src != nil {
		return src
	}
	if src := v.treeIntrinsic(name); src != nil {
		return src
	}
	if src := v.traceIntrinsic(name); src != nil {
		return src
	}
	return v.childIntrinsic(name)
}

// spanIntrinsic returns the source of an intrinsic that is a column of the span table.
func (v *tableView) spanIntrinsic(name string) source {
	switch name {
	case "name":
		return &textSource{col: v.spans.column(column.Name)}
	case "duration":
		return &numSource{col: v.duration, kind: durationValue, clamp: true}
	case "status":
		return &numSource{col: v.spans.column(column.Status), kind: statusValue}
	case "kind":
		return &numSource{col: v.spans.column(column.Kind), kind: kindValue}
	case "statusMessage":
		return &textSource{col: v.spans.column(column.StatusMessage)}
	case "instrumentation:name":
		return &textSource{col: v.spans.column(column.ScopeName)}
	case "instrumentation:version":
		return &textSource{col: v.spans.column(column.ScopeVersion)}
	case "span:id":
		return &idSource{col: v.spans.column(column.SpanID)}
	case "span:parentID":
		return &idSource{col: v.spans.column(column.ParentID), missing: "0000000000000000"}
	case "resource:id":
		return &resourceSource{col: v.spans.column(column.ResourceRef)}
	}
	return nil
}

// treeIntrinsic returns the source of an intrinsic that depends on the tree of the trace.
func (v *tableView) treeIntrinsic(name string) source {
	switch name {
	case "span:childCount":
		return v.treeSource((*forest).linkParents, func(t *forest, row uint32) int32 { return *t.kids.at(row) })
	case "nestedSetLeft":
		return v.treeSource((*forest).numberSpans, func(t *forest, row uint32) int32 { return *t.left.at(row) })
	case "nestedSetRight":
		return v.treeSource((*forest).numberSpans, func(t *forest, row uint32) int32 { return *t.right.at(row) })
	case "nestedSetParent":
		return v.treeSource((*forest).numberSpans, (*forest).parentPosition)
	}
	return nil
}

// treeSource returns the source of an integer that valueOf finds in the forest, after prepare has
// worked out the tree of the trace.
func (v *tableView) treeSource(
	prepare func(t *forest, ctx context.Context, trace int) error,
	valueOf func(t *forest, row uint32) int32,
) source {
	valueAt := func(ctx context.Context, row int) (value, error) {
		traces, err := v.traceRow.loadFull(ctx)
		if err != nil {
			return value{}, err
		}
		t := v.forest()
		if err := prepare(t, ctx, int(traces.Ints[row])); err != nil {
			return value{}, err
		}
		n := valueOf(t, uint32(v.spans.page*column.PageRows+row))
		return value{kind: intValue, num: int64(n)}, nil
	}
	v.spans.column(column.ParentID) // the trees are made of these
	v.spans.column(column.Kind)
	return &rowSource{cost: 40, cols: []*pageColumn{v.traceRow}, valueAt: valueAt}
}

// parentService returns the source of the service of a span's parent. Spans without a parent in the
// trace have none.
func (v *tableView) parentService() source {
	valueAt := func(ctx context.Context, row int) (value, error) {
		traces, err := v.traceRow.loadFull(ctx)
		if err != nil {
			return value{}, err
		}
		t := v.forest()
		if err := t.linkParents(ctx, int(traces.Ints[row])); err != nil {
			return value{}, err
		}
		parent := *t.parent.at(uint32(v.spans.page*column.PageRows + row))
		if parent < 0 {
			return value{}, nil
		}
		service, err := t.serviceOf(ctx, int(parent))
		return value{kind: stringValue, str: service}, err
	}
	v.spans.column(column.ParentID) // the trees are made of these
	v.spans.column(column.Kind)
	v.spans.attributeSource(column.Resource, "service.name")
	return &rowSource{cost: 60, cols: []*pageColumn{v.traceRow}, valueAt: valueAt}
}

// traceIntrinsic returns the source of an intrinsic that all spans of a trace share.
func (v *tableView) traceIntrinsic(name string) source {
	var valueOf func(column.TraceInfo) value
	switch name {
	case "traceDuration":
		valueOf = func(i column.TraceInfo) value { return value{kind: durationValue, num: int64(i.End - i.Start)} }
	case "rootName":
		valueOf = func(i column.TraceInfo) value { return value{kind: stringValue, str: i.RootName} }
	case "rootServiceName":
		valueOf = func(i column.TraceInfo) value { return value{kind: stringValue, str: i.RootService} }
	case "trace:id":
		idOf := func(ctx context.Context, trace int) (value, error) {
			id, err := v.table.TraceID(ctx, trace)
			return value{kind: stringValue, str: strings.TrimLeft(id.String(), "0")}, err
		}
		return &traceIDSource{traceSource{view: v, traceRow: v.traceRow, valueOf: idOf}}
	default:
		return nil
	}
	v.spans.column(column.ParentID) // a trace is described by these
	v.spans.column(column.Name)
	v.spans.attributeSource(column.Resource, "service.name")
	return &traceSource{view: v, traceRow: v.traceRow, valueOf: func(ctx context.Context, trace int) (value, error) {
		info, err := v.describeTrace(ctx, trace)
		return valueOf(info), err
	}}
}

// childIntrinsic returns the source of an intrinsic of events or links in their table.
func (v *tableView) childIntrinsic(name string) source {
	if v.events != nil {
		f := v.events.frame
		switch name {
		case "event:name":
			return &textSource{col: f.column(column.EventName)}
		case "event:timeSinceStart":
			return &numSource{col: f.column(column.EventTimeOffset), kind: durationValue}
		}
	}
	if v.links != nil {
		f := v.links.frame
		switch name {
		case "link:traceID":
			return &idSource{col: f.column(column.LinkTraceID), trimmed: true}
		case "link:spanID":
			return &idSource{col: f.column(column.LinkSpanID)}
		}
	}
	return nil
}
