package adopt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// spansOf makes spans of a trace, with ids from first on.
func spansOf(n uint64, first, count int) []byte {
	var list []*otlp.Span
	for i := range count {
		at := uint64(noon.UnixNano()) + n*1e9 + uint64(i)
		list = append(list, &otlp.Span{Trace: otlp.TraceID(n), ID: otlp.SpanID(uint64(first + i)), Name: "work",
			Start: at, End: at + 5})
	}
	return otlp.Encode(list...)
}

func addTraces(t *testing.T, a *Adopter, source string, from, to, firstSpan int) *Writer {
	t.Helper()
	require.NoError(t, a.Begin(t.Context()))
	w := a.NewWriter("shop", source, int64(from), noon.Add(time.Hour))
	w.SetBlockSpans(20)
	for i := from; i < to; i++ {
		at := uint64(noon.UnixNano()) + uint64(i)*1e9
		require.NoError(t, w.AddTrace(t.Context(), at, at+9, spansOf(uint64(i), firstSpan, 4)))
	}
	require.NoError(t, w.Flush(t.Context()))
	return w
}

// Traces become live blocks of some spans each; what two sources hold of one trace is shared, and
// disjoint where no span is in both; the same range is taken once.
func TestPublish(t *testing.T) {
	b := objstore.NewMemory()
	a, err := Open(t.Context(), b, "first")
	require.NoError(t, err)
	w := addTraces(t, a, "x", 0, 12, 1)
	require.Equal(t, 3, w.Blocks)
	require.EqualValues(t, 48, w.Spans)
	addTraces(t, a, "y", 4, 8, 100) // other spans of the same traces
	addTraces(t, a, "z", 8, 10, 1)  // the same spans again

	again, err := Open(t.Context(), b, "second")
	require.NoError(t, err)
	view := again.Catalog().View()
	require.Equal(t, 5, view.Count())
	shared := view.Shared("shop")
	require.Equal(t, 6, shared.Len())
	for i := range 12 {
		x, ok := shared.Find(otlp.TraceID(uint64(i)))
		require.Equal(t, i >= 4 && i < 10, ok, i)
		require.Equal(t, i >= 4 && i < 8, x.Disjoint, i)
	}
	for _, m := range view.Blocks("shop", 0, ^uint64(0)) {
		require.Equal(t, int64(m.GetMaxEndUnixNano()/1e9), m.GetMaxArrivalUnixNano()/1e9)
	}
	late := again.NewWriter("shop", "x", 0, noon)
	require.NoError(t, late.AddTrace(t.Context(), 1, 2, spansOf(0, 1, 4)))
	require.ErrorIs(t, late.Flush(t.Context()), ErrImported)
}

// racing is a bucket in which somebody else writes the next entry of the catalog whenever one is
// written, some times.
type racing struct {
	objstore.Bucket
	left int
	race func()
}

func (r *racing) Create(ctx context.Context, name string, body io.Reader) (int64, error) {
	if len(name) > 8 && name[:8] == "catalog/" && r.left > 0 {
		r.left--
		r.race()
	}
	return r.Bucket.Create(ctx, name, body)
}

// While a node writes entries, a block is published on the newest of them, with the homes in the
// blocks that came meanwhile.
func TestPublishBesideOthers(t *testing.T) {
	memory := objstore.NewMemory()
	r := &racing{Bucket: memory}
	a, err := Open(t.Context(), r, "first")
	require.NoError(t, err)
	n := 0
	r.left, r.race = 5, func() {
		other, err := Open(t.Context(), memory, "other")
		require.NoError(t, err)
		n++
		addTraces(t, other, fmt.Sprint("other-", n), 3, 4, 100*n)
	}
	addTraces(t, a, "x", 0, 4, 1)
	view := a.Catalog().View()
	require.Equal(t, 6, view.Count())
	require.Len(t, view.Shared("shop").HomesOf(otlp.TraceID(3)), 6)
	x, _ := view.Shared("shop").Find(otlp.TraceID(3))
	require.True(t, x.Disjoint)
}

// What was written and not published is published by the next import, once.
func TestLeftovers(t *testing.T) {
	b := objstore.NewMemory()
	broken := errors.New("broken")
	a, err := Open(t.Context(), b, "none")
	require.NoError(t, err)
	require.NoError(t, a.Begin(t.Context()))
	a, err = Open(t.Context(), &failing{Bucket: b, err: broken}, "first")
	require.NoError(t, err)
	w := a.NewWriter("shop", "x", 0, noon)
	require.NoError(t, w.AddTrace(t.Context(), 1, 2, spansOf(0, 1, 4)))
	require.ErrorIs(t, w.Flush(t.Context()), broken)

	a, err = Open(t.Context(), b, "second")
	require.NoError(t, err)
	n, err := a.PublishLeftovers(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = a.PublishLeftovers(t.Context(), "shop")
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, 1, a.Catalog().View().Count())
}

// crashing is a bucket whose creates fail after some, as if the process had ended there.
type crashing struct {
	objstore.Bucket
	left int
}

func (c *crashing) Create(ctx context.Context, name string, body io.Reader) (int64, error) {
	if c.left--; c.left < 0 {
		return 0, errors.New("crashed")
	}
	return c.Bucket.Create(ctx, name, body)
}

// An import that ends at any object goes on when it is run again: each trace is there once.
func TestCrashes(t *testing.T) {
	importAll := func(b objstore.Bucket) error {
		a, err := Open(t.Context(), b, "import")
		if err != nil {
			return err
		}
		if err := a.Begin(t.Context()); err != nil {
			return err
		}
		if _, err := a.PublishLeftovers(t.Context(), "shop"); err != nil {
			return err
		}
		from := int64(0)
		for _, r := range a.Catalog().Imported("shop")["import.x"] {
			from = max(from, r.GetTo())
		}
		w := a.NewWriter("shop", "x", from, noon)
		w.SetBlockSpans(8)
		for n := from; n < 12; n++ {
			if err := w.AddTrace(t.Context(), 1, 2, spansOf(uint64(n), 1, 4)); err != nil {
				return err
			}
		}
		return w.Flush(t.Context())
	}
	for n := range 100 {
		b := objstore.NewMemory()
		if importAll(&crashing{b, n}) == nil {
			require.Greater(t, n, 6*3)
			return
		}
		require.NoError(t, importAll(&crashing{b, 1000}))
		require.NoError(t, importAll(&crashing{b, 0}), "nothing is left to do")
		a, err := Open(t.Context(), b, "look")
		require.NoError(t, err)
		spans := int64(0)
		for _, m := range a.Catalog().View().Blocks("shop", 0, ^uint64(0)) {
			spans += m.GetSpans()
		}
		require.EqualValues(t, 48, spans)
		require.Zero(t, a.Catalog().View().Shared("shop").Len())
	}
	t.Fatal("it never ends")
}

// failing is a bucket that takes no entries of the catalog.
type failing struct {
	objstore.Bucket
	err error
}

func (f *failing) Create(ctx context.Context, name string, body io.Reader) (int64, error) {
	if len(name) > 8 && name[:8] == "catalog/" {
		return 0, f.err
	}
	return f.Bucket.Create(ctx, name, body)
}

// A bucket whose journal is gone is for a node to mend.
func TestOpenWithoutJournal(t *testing.T) {
	b := objstore.NewMemory()
	a, err := Open(t.Context(), b, "first")
	require.NoError(t, err)
	addTraces(t, a, "x", 0, 2, 1)
	require.NoError(t, b.Delete(t.Context(), fmt.Sprintf("catalog/%020d", 1)))
	require.NoError(t, b.Delete(t.Context(), fmt.Sprintf("catalog/%020d", 2)))
	_, err = Open(t.Context(), b, "second")
	require.ErrorIs(t, err, ErrNoJournal)

	data, err := proto.Marshal(&blocks.Commit{Seq: 1, Entries: []*blocks.Entry{{}}})
	require.NoError(t, err)
	require.NoError(t, journal.New(b, blockstore.CatalogFolder).Append(t.Context(), 1, data))
	_, err = Open(t.Context(), b, "third") // an entry of a newer program
	require.Error(t, err)
}
