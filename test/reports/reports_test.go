// Package reports asks the running binary what people reported of tracing backends, senders and
// clients: small inputs with the right answer, one folder each (README.md). check.py sends, asks
// and compares; it needs Python 3 and nothing else.
package reports

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/absent"
)

// Every answer is right, but for those that a case marks as known, each with what is given instead.
func TestReports(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		absent.Skip(t, "python3 is absent")
	}
	n := kit.NewNode(t)
	n.WithZipkin()
	n.Config = "multitenancy_enabled: true\n"
	n.Args = []string{"-set", "distributor.receivers.otlp.protocols.http.cors.allowed_origins=http://*.example"}
	n.Start()
	out, err := exec.CommandContext(t.Context(), python, "check.py", "-http", "http://"+n.HTTP,
		"-otlp", "http://"+n.OTLPHTTP, "-zipkin", "http://"+n.Zipkin).CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err)
}
