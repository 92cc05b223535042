package config

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretIsNotPrinted(t *testing.T) {
	s := struct{ Key Secret }{"hunter2"}
	b, err := json.Marshal(s)
	require.NoError(t, err)
	for _, out := range []string{string(b), fmt.Sprint(s), fmt.Sprintf("%#v", s), fmt.Sprintf("%q", s)} {
		require.NotContains(t, out, "hunter2")
	}
	require.Equal(t, "hunter2", s.Key.Value())
}
