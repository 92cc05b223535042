package status

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type broken struct{}

func (broken) Error() string       { return "page checksum" }
func (broken) StatusClass() string { return "corrupt" }

// A class is found through wrapping, whether the error names it, comes from a context, or belongs
// to a package that does not know this one.
func TestOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Class
		http int
	}{
		{Errorf(Invalid, "parse query: %w", errors.New("x")), Invalid, 400},
		{fmt.Errorf("search: %w", Limitedf(3*time.Second, "too many")), Limited, 429},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), Timeout, 504},
		{context.Canceled, Canceled, 499},
		{fmt.Errorf("read block: %w", broken{}), Corrupt, 500},
		{errors.New("anything"), Internal, 500},
	} {
		got := Of(c.err)
		require.Equal(t, c.want, got.Class, "%v", c.err)
		require.Equal(t, c.http, got.Class.HTTP())
		require.Equal(t, c.err.Error(), got.Error())
		require.ErrorIs(t, got, c.err)
	}
	require.Equal(t, 3*time.Second, Of(fmt.Errorf("search: %w", Limitedf(3*time.Second, "x"))).RetryAfter)
	require.Nil(t, Of(nil))
}
