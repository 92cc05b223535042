package block

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

// everything reads all spans of a block, as one string.
func everything(src Source, m *Meta) (string, error) {
	b, err := Open(ctx, src, m)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	var v column.Vector
	for _, t := range b.Reader().Tables() {
		for _, k := range t.Keys() {
			for p := range column.Pages(t.Rows()) {
				if _, err := t.Vector(ctx, k, p, &v); err != nil {
					return "", err
				}
				fmt.Fprint(&out, v.N, v.Ints, v.Floats)
				if k.Type == column.Int {
					found := column.NewBitmap(v.Rows)
					ok, err := t.(column.Sifter).Sift(ctx, k, p, func(n int64) bool { return n%2 != 0 }, found)
					if err != nil {
						return "", err
					}
					fmt.Fprint(&out, ok, found)
				}
				for i := range max(len(v.Codes), len(v.Strings)) {
					out.WriteString(v.Text(i))
				}
			}
		}
		for i := range t.Traces() {
			info, err := t.Trace(ctx, i)
			if err != nil {
				return "", err
			}
			fs, err := column.Fragments(ctx, t, t.TraceRows(i, nil), nil)
			if err != nil {
				return "", err
			}
			fmt.Fprint(&out, info)
			out.Write(trace.Assemble(fs))
		}
	}
	return out.String(), nil
}

// mutate damages an object in one of the ways that disks, networks and cut-off writes do.
func mutate(r *rand.Rand, b []byte) ([]byte, string) {
	b = bytes.Clone(b)
	at := r.IntN(len(b))
	switch r.IntN(7) {
	case 0, 1:
		b[at] ^= 1 << r.IntN(8)
		return b, fmt.Sprintf("bit at %d", at)
	case 2:
		n := min(len(b)-at, 1+r.IntN(600))
		clear(b[at : at+n])
		return b, fmt.Sprintf("%d zeros at %d", n, at)
	case 3:
		for i := at; i < min(at+16, len(b)); i++ {
			b[i] = 0xff
		}
		return b, fmt.Sprintf("0xff at %d", at)
	case 4:
		return b[:at], fmt.Sprintf("cut at %d", at)
	case 5:
		n := min(len(b)-at, 1+r.IntN(64))
		return slices.Delete(b, at, at+n), fmt.Sprintf("%d bytes gone at %d", n, at)
	}
	to := r.IntN(len(b))
	n := min(len(b)-max(at, to), 1+r.IntN(600))
	copy(b[to:to+n], bytes.Clone(b[at:at+n]))
	return b, fmt.Sprintf("%d bytes of %d at %d", n, at, to)
}

// A damaged object gives an error that says where, or what it gave before; never other rows, a
// panic, or more memory than the object explains.
func TestDamage(t *testing.T) {
	g := spans.New(3, 60, 12)
	g.Unique = true
	var records [][]byte
	for range 4 {
		records = append(records, g.Record(40))
	}
	b, m := write(t, segments(t, records, 1, live.Limits{}), WriteOptions{RowGroupRows: 70})
	want, err := everything(m, b.meta)
	require.NoError(t, err)
	_, err = b.Verify(ctx)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(7, 7))
	found := 0
	names := slices.Sorted(maps.Keys(m))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const runs = 1000
	for i := range runs {
		name := names[r.IntN(len(names))]
		if i%2 == 0 {
			name = SpansObject
		}
		bad := maps.Clone(m)
		what := ""
		bad[name], what = mutate(r, m[name])
		meta := *b.meta
		meta.Objects = maps.Clone(meta.Objects)
		if i%3 == 0 { // a store that knows of the damage, so to say
			meta.Objects[name] = int64(len(bad[name]))
		}
		got, err := everything(bad, &meta)
		if err == nil {
			require.Equal(t, want == got, true, "%s: %s", name, what)
			continue
		}
		found++
		var c *corruptError
		if !errors.As(err, &c) { // the source has fewer bytes than it should
			require.ErrorContains(t, err, "unexpected EOF", "%s: %s", name, what)
			continue
		}
		require.ErrorIs(t, err, ErrCorrupt)
		require.Equal(t, "corrupt", c.StatusClass())
		require.NotEmpty(t, c.object)
		require.GreaterOrEqual(t, c.offset, int64(0))
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/runs, uint64(400*len(m[SpansObject])), "bytes allocated for each object")
	t.Logf("%d of %d were noticed", found, runs)
}

// Verify notices what reads do not need: a change anywhere in the pages, the index, or the part of
// the footer that tells other readers where they are.
func TestVerify(t *testing.T) {
	g := spans.New(4, 20, 6)
	b, m := write(t, segments(t, [][]byte{g.Record(80)}, 1, live.Limits{}), WriteOptions{RowGroupRows: 30})
	st, err := b.Verify(ctx)
	require.NoError(t, err)
	require.Positive(t, st.Reads)
	r := rand.New(rand.NewPCG(1, 7))
	for range 300 {
		at := 4 + r.IntN(int(b.meta.Index.Offset-4))
		bad := maps.Clone(m)
		bad[SpansObject] = bytes.Clone(m[SpansObject])
		bad[SpansObject][at] ^= 1 << r.IntN(8)
		o, err := Open(ctx, bad, b.meta)
		require.NoError(t, err)
		_, err = o.Verify(ctx)
		require.ErrorIs(t, err, ErrCorrupt, "at %d", at)
	}
}

// Meta that is wrong about a block is an error like any other damage.
func TestWrongMeta(t *testing.T) {
	g := spans.New(4, 20, 6)
	b, m := write(t, segments(t, [][]byte{g.Record(80)}, 1, live.Limits{}), WriteOptions{})
	raw, err := json.Marshal(b.meta)
	require.NoError(t, err)
	for what, change := range map[string]func(m *Meta){
		"spans":      func(m *Meta) { m.Spans++ },
		"traces":     func(m *Meta) { m.Traces-- },
		"index":      func(m *Meta) { m.Index.Length-- },
		"offset":     func(m *Meta) { m.Index.Offset += 3 },
		"negative":   func(m *Meta) { m.Index.Offset = -1 },
		"huge index": func(m *Meta) { m.Index.Length = 1 << 60 },
		"objects":    func(m *Meta) { m.Objects = nil },
		"size":       func(m *Meta) { m.Objects[SpansObject] = 100 },
	} {
		var meta Meta
		require.NoError(t, json.Unmarshal(raw, &meta))
		change(&meta)
		_, err := Open(ctx, m, &meta)
		require.ErrorIs(t, err, ErrCorrupt, what)
	}
	var meta Meta
	require.NoError(t, json.Unmarshal(raw, &meta))
	meta.Version = Version + 1
	_, err = Open(ctx, m, &meta)
	require.ErrorContains(t, err, "format version 3, this program reads 1 to 2")
	meta.Version = OldestVersion
	_, err = Open(ctx, m, &meta)
	require.ErrorIs(t, err, ErrCorrupt)
}
