package refusals

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/telemetry"
)

// A lockedLog is a log that a timer may write while the test reads it.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lockedLog) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

func newRefusals() (*Refusals, *lockedLog) {
	out := &lockedLog{}
	return New(prometheus.NewRegistry(), slog.New(slog.NewTextHandler(out, nil))), out
}

// However many tenants are refused unread, there is one series for all of them, and the log stays
// short.
func TestSeriesAndLinesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, out := newRefusals()
		for i := range 20_000 {
			f.CountRequest(fmt.Sprintf("tenant-%d", i), Malformed, 1, "read span: malformed field")
		}
		require.Equal(t, 1, testutil.CollectAndCount(f.requests))
		require.Equal(t, 20_000., testutil.ToFloat64(f.requests.WithLabelValues(telemetry.OtherTenants, string(Malformed))))
		for i := range 20_000 {
			tenant := fmt.Sprintf("tenant-%d", i)
			f.Tenants().Grant(tenant)
			f.CountSpans(tenant, InvalidID, 1, "1 span refused")
		}
		require.Equal(t, telemetry.MaxTenantLabels+2, testutil.CollectAndCount(f.spans))
		time.Sleep(2 * logEvery)
		synctest.Wait()
		require.LessOrEqual(t, strings.Count(out.String(), "\n"), 2*maxLines+2)
		require.Contains(t, out.String(), "more refused")
		f.Close()
		require.Empty(t, f.sums)
	})
}

// The first refusal of a kind is logged at once, the following ones once a minute with their
// number, and none twice.
func TestLogsOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, out := newRefusals()
		f.Tenants().Grant("a")
		lines := func() []string {
			synctest.Wait()
			defer out.Reset()
			return strings.Split(strings.TrimSpace(out.String()), "\n")
		}
		f.CountSpans("a", InvalidID, 2, "first")
		require.Len(t, lines(), 1)
		for range 10 {
			time.Sleep(time.Second)
			f.CountSpans("a", InvalidID, 2, "next")
		}
		f.CountWarning("a", ValuesCut, 1, "cut")
		require.Contains(t, lines()[0], `msg="spans changed" tenant=a reason=values_cut requests=1 spans=1 message=cut`)
		time.Sleep(logEvery + time.Second)
		got := lines()
		require.Len(t, got, 1)
		require.Contains(t, got[0], `msg="spans refused" tenant=a reason=invalid_id requests=10 spans=20 message=next`)
		f.CountSpans("a", InvalidID, 1, "still")
		require.Equal(t, []string{""}, lines(), "a minute has not passed since the last line")
		f.Close()
		require.Contains(t, lines()[0], "requests=1 spans=1 message=still")
		require.Equal(t, 23., testutil.ToFloat64(f.spans.WithLabelValues("a", "invalid_id")))
	})
}

// A request without a tenant is told apart from one of an unknown tenant, whose name stands in the
// log.
func TestNoTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, out := newRefusals()
		f.CountRequest("", NoTenant, 0, "no org id")
		f.CountRequest("unknown", RateLimited, 3, "RATE_LIMITED")
		require.Equal(t, 1., testutil.ToFloat64(f.requests.WithLabelValues(noTenantName, "no_tenant")))
		require.Equal(t, 3., testutil.ToFloat64(f.spans.WithLabelValues(telemetry.OtherTenants, "rate_limited")))
		require.Contains(t, out.String(), `tenant="no tenant" reason=no_tenant`)
		require.Contains(t, out.String(), "tenant=unknown reason=rate_limited")
		f.Close()
	})
	var none *Refusals
	none.CountRequest("a", Malformed, 1, "")
	none.CountSpans("a", Malformed, 1, "")
	none.CountWarning("a", Malformed, 1, "")
	none.Close()
	require.Equal(t, telemetry.OtherTenants, none.Tenants().Grant("a"))
}

// The page for operators explains every reason.
func TestReasonsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/refused.md")
	require.NoError(t, err)
	f, err := parser.ParseFile(token.NewFileSet(), "reasons.go", nil, 0)
	require.NoError(t, err)
	reasons := 0
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok {
			reasons++
			require.True(t, strings.Contains(string(page), "`"+strings.Trim(lit.Value, `"`)+"`"), lit.Value)
		}
		return true
	})
	require.Greater(t, reasons, 20)
}
