package clients

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
)

// orders is how many requests each shop serves. Each is a trace of at least a client's and a
// server's span.
const orders = 20

// An SDK is a program with automatic instrumentation, as its users start it.
type sdk struct {
	name      string
	command   []string // relative to the folder of installed clients; N is appended
	env       []string
	protocols []string // of OTEL_EXPORTER_OTLP_PROTOCOL
}

var sdks = []sdk{
	{"go", []string{"gosdk"}, nil, []string{"grpc", "http/protobuf"}},
	{"python", []string{"python/bin/opentelemetry-instrument", "python/bin/python", "../python/app.py"}, nil,
		[]string{"grpc", "http/protobuf"}},
	{"node", []string{"/usr/bin/env", "node", "--require", "@opentelemetry/auto-instrumentations-node/register",
		"app.js"}, []string{"OTEL_NODE_RESOURCE_DETECTORS=env,host,os,process"}, // the others ask clouds for metadata
		[]string{"grpc", "http/protobuf", "http/json"}},
	{"java", []string{"/usr/bin/env", "java", "-javaagent:java/agent.jar", "-cp", "java", "Shop"}, nil,
		[]string{"grpc", "http/protobuf"}},
}

// complaint finds what SDKs write when an export fails, whatever their language.
var complaint = regexp.MustCompile(`(?i)(error|fail|warn|unimplemented|refused|unsupported|exception).*(export|otlp|opentelemetry)|` +
	`(export|otlp|opentelemetry).*(error|fail|warn|unimplemented|refused|unsupported|exception)`)

// SDKs are started with nothing set but their name, Troupe's address and the protocol, so they
// export metrics and logs as well. Each request they served is a trace with both its sides, and
// they have nothing to complain of.
func TestSDKs(t *testing.T) {
	dir := installed(t)
	n := kit.NewNode(t)
	n.Start()
	for _, s := range sdks {
		for _, protocol := range s.protocols {
			t.Run(s.name+"/"+protocol, func(t *testing.T) {
				endpoint := "http://" + n.OTLPHTTP
				if protocol == "grpc" {
					endpoint = "http://" + n.OTLPGRPC
				}
				service := "shop-" + s.name + "-" + strings.ReplaceAll(protocol, "/", "-")
				said := runSDK(t, dir, s, "OTEL_SERVICE_NAME="+service, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint,
					"OTEL_EXPORTER_OTLP_PROTOCOL="+protocol)
				for _, line := range strings.Split(said, "\n") {
					require.NotRegexp(t, complaint, line)
				}
				q := fmt.Sprintf("resource.service.name = %q", service)
				server := waitForSpans(t, n, "{ "+q+" && kind = server }", orders)
				client := waitForSpans(t, n, "{ "+q+" && kind = client }", orders)
				joined := countSpans(t, n, "{ "+q+" && kind = client } >> { kind = server }")
				require.Equal(t, orders, joined, "each server's span descends from its client's")
				t.Logf("figures: %s %s | %d server, %d client spans, %d joined", s.name, protocol, server, client, joined)
			})
		}
	}
}

// runSDK runs a shop to its end and returns what it printed.
func runSDK(t *testing.T, dir string, s sdk, env ...string) string {
	t.Helper()
	args := append(append([]string{}, s.command[1:]...), fmt.Sprint(orders))
	for i, a := range args {
		if strings.HasPrefix(a, "python/") || strings.HasPrefix(a, "../") {
			args[i] = filepath.Join(dir, a)
		}
	}
	program := s.command[0]
	if !filepath.IsAbs(program) {
		program = filepath.Join(dir, program)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	if s.name == "node" {
		cmd.Dir = filepath.Join(dir, "node")
	}
	cmd.Env = append(append(os.Environ(), s.env...), env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil && s.name != "node" { // Node.js ends by the signal that makes the SDK send
		require.NoError(t, err, said.String())
	}
	if said.Len() > 0 {
		t.Logf("%s printed:\n%s", s.name, said.String())
	}
	return said.String()
}
