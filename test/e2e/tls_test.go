package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/troupe-tracing/troupe/test/kit"
)

// With certificates every port speaks TLS, HTTP/2 and gRPC included, and no other; what was sent is
// found.
func TestTLS(t *testing.T) {
	n := kit.NewNode(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile := filepath.Join(n.Dir, "cert.pem"), filepath.Join(n.Dir, "key.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(certFile, certificate, 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	for _, section := range []string{"server.http_tls_config", "server.grpc_tls_config", "distributor.receivers.otlp.protocols.grpc.tls", "distributor.receivers.otlp.protocols.http.tls"} {
		n.Args = append(n.Args, "-set", section+".cert_file="+certFile, "-set", section+".key_file="+keyFile)
	}
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certificate))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	n.Launch()
	require.Eventually(t, func() bool {
		resp, err := client.Get("https://" + n.HTTP + "/ready")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == 200 && resp.ProtoMajor == 2
	}, 20*time.Second, 20*time.Millisecond, n.Log())

	body, first := one(func(ptrace.ResourceSpans, ptrace.Span) {})
	resp, err := client.Post("https://"+n.OTLPHTTP+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)

	dial := func(addr string) *grpc.ClientConn {
		c, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "")))
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	body, second := one(func(ptrace.ResourceSpans, ptrace.Span) {})
	request := ptraceotlp.NewExportRequest()
	require.NoError(t, request.UnmarshalProto(body))
	_, err = ptraceotlp.NewGRPCClient(dial(n.OTLPGRPC)).Export(t.Context(), request)
	require.NoError(t, err)
	for _, addr := range []string{n.GRPC, n.HTTP} {
		answer, err := healthpb.NewHealthClient(dial(addr)).Check(t.Context(), &healthpb.HealthCheckRequest{})
		require.NoError(t, err, addr)
		require.Equal(t, healthpb.HealthCheckResponse_SERVING, answer.Status)
	}
	for _, id := range []string{first, second} {
		require.Eventually(t, func() bool {
			resp, err := client.Get("https://" + n.HTTP + "/api/traces/" + id)
			require.NoError(t, err)
			defer resp.Body.Close()
			_, _ = io.Copy(io.Discard, resp.Body)
			return resp.StatusCode == 200
		}, 20*time.Second, 10*time.Millisecond, id)
	}
	for _, addr := range []string{n.HTTP, n.OTLPHTTP} {
		if resp, err := http.Get(fmt.Sprintf("http://%s/ready", addr)); err == nil {
			resp.Body.Close()
			require.Equal(t, 400, resp.StatusCode, "%s answers without TLS", addr)
		}
	}
}
