package telemetry

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	l, err := Logger(&b, "json", "warn")
	require.NoError(t, err)
	l.Info("hidden")
	l.Warn("seen")
	require.NotContains(t, b.String(), "hidden")
	require.Contains(t, b.String(), `"msg":"seen"`)
	_, err = Logger(&b, "xml", "info")
	require.Error(t, err)
	_, err = Logger(&b, "json", "loud")
	require.Error(t, err)
}

func TestRegistry(t *testing.T) {
	m, err := Registry().Gather()
	require.NoError(t, err)
	require.NotEmpty(t, m)
}
