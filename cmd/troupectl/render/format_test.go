package render

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 12: "12", 1e6: "1000000", 123456789012: "123456789012", -3: "-3", 0.25: "0.25",
		1.0 / 3: "0.3333", 1234.56: "1235", 12.3456: "12.35", -0.00123456: "-0.001235", 2e-5: "2e-05", 1e18: "1e+18", 100.04: "100",
		math.Inf(1): "-", math.Copysign(0, -1): "0"} {
		require.Equal(t, want, Number(v))
	}
	require.Equal(t, "-", Number(math.NaN()))
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 1: "1ns", 250: "250ns", 1500: "1.5µs", 12345: "12.3µs", 999600: "1ms",
		1234567: "1.23ms", 420 * time.Millisecond: "420ms", 999600 * time.Microsecond: "1s", 1250 * time.Millisecond: "1.25s", 59960 * time.Millisecond: "1m",
		192 * time.Second: "3m12s", 2*time.Hour + 5*time.Minute: "2h5m", 76 * time.Hour: "3d4h", -1500 * time.Millisecond: "-1.5s",
		math.MinInt64: "-106751d23h"} {
		require.Equal(t, want, Duration(d))
	}
	require.Equal(t, "50ms", Seconds(0.05))
	require.Equal(t, "1e+18s", Seconds(1e18))
	require.Equal(t, "-", Seconds(math.NaN()))
}
