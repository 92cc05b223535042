package eval_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// folder reads the objects of a block from a folder, and memory those that were written to it.
type folder string

func (f folder) ReadRange(_ context.Context, name string, off int64, buf []byte) error {
	o, err := os.Open(string(f) + name)
	if err != nil {
		return err
	}
	defer o.Close()
	_, err = o.ReadAt(buf, off)
	return err
}

type memory map[string][]byte

type memoryObject struct {
	m    memory
	name string
}

func (m memory) Create(name string) (io.WriteCloser, error) { return memoryObject{m, name}, nil }
func (o memoryObject) Close() error                         { return nil }

func (o memoryObject) Write(b []byte) (int, error) {
	o.m[o.name] = append(o.m[o.name], b...)
	return len(b), nil
}

func (m memory) ReadRange(_ context.Context, name string, off int64, buf []byte) error {
	copy(buf, m[name][off:])
	return nil
}

// A block of version 1 of the format, the same spans in a new block, and those in memory give the
// same answers to everything, whether they keep an attribute in a column, in the attributes table or
// in the overflow.
func TestBlockVersions(t *testing.T) {
	ctx := t.Context()
	const dir = "../block/testdata/version1/"
	raw, err := os.ReadFile(dir + block.MetaObject)
	require.NoError(t, err)
	var meta block.Meta
	require.NoError(t, json.Unmarshal(raw, &meta))
	old, err := block.Open(ctx, folder(dir), &meta)
	require.NoError(t, err)

	packed, err := os.ReadFile(dir + "records.zst")
	require.NoError(t, err)
	unzip, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer unzip.Close()
	records, err := unzip.DecodeAll(packed, nil)
	require.NoError(t, err)
	segment := live.New(live.Limits{})
	offset := int64(0)
	for ; len(records) > 0; offset++ {
		size, n := binary.Uvarint(records)
		records = records[n:]
		_, err := segment.Append(offset, 0, records[:size])
		require.NoError(t, err)
		records = records[size:]
	}
	segment.Seal()
	m := memory{}
	now, _, err := block.Write(ctx, []column.Table{segment.Snapshot(0, offset)}, block.WriteOptions{}, m)
	require.NoError(t, err)
	require.Positive(t, now.Objects[block.AttributesObject])
	written, err := block.Open(ctx, m, now)
	require.NoError(t, err)

	want := answers(t, func() eval.Fetcher { return segment.Snapshot(0, offset) })
	require.Equal(t, want, answers(t, func() eval.Fetcher { return written.Reader().Tables()[0] }))
	require.Equal(t, want, answers(t, func() eval.Fetcher { return old.Reader().Tables()[0] }))
}

// answers returns what a table answers to searches, metrics, and questions for names and values.
func answers(t *testing.T, open func() eval.Fetcher) map[string]string {
	t.Helper()
	ctx := t.Context()
	const end = 2_000_000_000_000
	out := map[string]string{}
	for _, filter := range []string{
		`span.seldom = "7"`, `span.seldom = "other"`, `span.seldom = "absent"`, `span.seldom =~ "[1-3]"`,
		`span.seldom != nil`, `span.seldom = nil && span.often = "1"`, `span.seldom.number > 4000`,
		`span.seldom.code = 201`, `span.seldom.ratio > 0.5`, `span.seldom.flag = true`,
		`span.seldom.unique =~ "value .*9"`, `span.overflowing = "100"`, `.seldom = "3" || .overflowing = "8000"`,
		`span.seldom.number > span.seldom.code`,
	} {
		q, err := traceql.Parse("{ " + filter + " }")
		require.NoError(t, err, filter)
		found, err := eval.Search(ctx, open(), &eval.SearchRequest{Query: q, End: end, Limit: 1000, SpansPerSpanSet: 20}, nil)
		require.NoError(t, err, filter)
		require.Equal(t, filter == `span.seldom = "absent"`, len(found.Traces) == 0, filter)
		out[filter] = fmt.Sprintf("%+v", found.Traces)

		q, err = traceql.Parse("{ " + filter + " } | count_over_time() by (span.seldom, span.seldom.code)")
		require.NoError(t, err, filter)
		r := &eval.MetricsRequest{Query: q, End: end, Step: end / 20}
		partial, err := eval.QueryRange(ctx, open(), r, nil)
		require.NoError(t, err, filter)
		result, err := partial.Result(r)
		require.NoError(t, err, filter)
		out[filter+" metrics"] = fmt.Sprintf("%+v", result.Series)
	}
	for _, name := range []string{"span.seldom", "span.seldom.code", "span.seldom.flag", ".seldom.unique", ".overflowing"} {
		field, err := traceql.ParseField(name)
		require.NoError(t, err)
		values, err := eval.Values(ctx, open(), &eval.ValuesRequest{Field: field, End: end})
		require.NoError(t, err)
		require.NotEmpty(t, values.Values, name)
		out[name] = fmt.Sprint(values.Values)
	}
	names, err := eval.Tags(ctx, open(), &eval.TagsRequest{End: end})
	require.NoError(t, err)
	out["names"] = fmt.Sprint(names)
	return out
}
