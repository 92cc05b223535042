package thriftread

import (
	"context"
	"strings"
	"testing"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/stretchr/testify/require"
)

func write(t testing.TB, p Protocol, value func(ctx context.Context, out thrift.TProtocol) error) []byte {
	t.Helper()
	buffer := thrift.NewTMemoryBuffer()
	var out thrift.TProtocol = thrift.NewTBinaryProtocolConf(buffer, nil)
	if p == Compact {
		out = thrift.NewTCompactProtocolConf(buffer, nil)
	}
	require.NoError(t, value(t.Context(), out))
	return buffer.Bytes()
}

// texts is a struct of two texts and a number.
func texts(first, second string) func(context.Context, thrift.TProtocol) error {
	return func(ctx context.Context, out thrift.TProtocol) error {
		_ = out.WriteStructBegin(ctx, "")
		_ = out.WriteFieldBegin(ctx, "", thrift.STRING, 1)
		_ = out.WriteString(ctx, first)
		_ = out.WriteFieldBegin(ctx, "", thrift.STRING, 2)
		_ = out.WriteString(ctx, second)
		_ = out.WriteFieldBegin(ctx, "", thrift.I64, 3)
		_ = out.WriteI64(ctx, -7)
		_ = out.WriteFieldStop(ctx)
		return out.WriteStructEnd(ctx)
	}
}

// Texts of every length are moved over, so that what follows them is counted too.
func TestMemorySeesAllFields(t *testing.T) {
	for _, p := range []Protocol{Binary, Compact} {
		for _, n := range []int{0, 1, 63, 64, 127, 128, 8191, 8192, 20000} {
			body := write(t, p, texts(strings.Repeat("a", n), "b"))
			require.EqualValues(t, eachStruct+4*eachField+eachByte*(n+1), p.Memory(body, Struct), "%d %d", p, n)
		}
		long := write(t, p, texts(strings.Repeat("a", 100), "b"))
		require.EqualValues(t, eachStruct+eachField+eachByte*50, p.Memory(long[:head(long)+50], Struct), "what is there of a text counts")
	}
}

// head is how many bytes come before the first text's own.
func head(body []byte) int {
	return strings.Index(string(body), "aaa")
}

// Elements of a list are told apart; behind a malformed one nothing can be read.
func TestElements(t *testing.T) {
	for _, p := range []Protocol{Binary, Compact} {
		body := write(t, p, func(ctx context.Context, out thrift.TProtocol) error {
			if err := out.WriteListBegin(ctx, thrift.STRUCT, 3); err != nil {
				return err
			}
			for _, s := range []string{"first", "", "third"} {
				if err := texts(s, "x")(ctx, out); err != nil {
					return err
				}
			}
			return nil
		})
		var got []string
		var last error
		each := func(b []byte, err error) { got, last = append(got, string(b)), err }
		require.NoError(t, p.Elements(body, each))
		require.NoError(t, last)
		require.Len(t, got, 3)
		require.Equal(t, string(write(t, p, texts("first", "x"))), got[0])
		require.Equal(t, string(write(t, p, texts("third", "x"))), got[2])
		got = nil
		require.NoError(t, p.Elements(body[:len(body)-3], each))
		require.Error(t, last)
		require.Len(t, got, 3)
		require.Error(t, p.Elements(nil, each))
	}
}
