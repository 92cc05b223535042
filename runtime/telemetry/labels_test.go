package telemetry

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// Names of tenants come from requests: only so many have metrics of their own, and looking one up
// gives it none.
func TestTenantLabels(t *testing.T) {
	var l TenantLabels
	require.Equal(t, OtherTenants, l.Find("7"))
	for i := range 2 * MaxTenantLabels {
		l.Grant(strconv.Itoa(i))
	}
	require.Equal(t, "7", l.Grant("7"))
	require.Equal(t, "7", l.Find("7"))
	require.Equal(t, OtherTenants, l.Grant("new"))
	require.Equal(t, OtherTenants, l.Grant(""))
	require.Len(t, l.known, MaxTenantLabels)
}
