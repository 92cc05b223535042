// Package stores starts object stores for tests, each as a process of its own on the loopback
// interface, with its data in a folder of the test. `make stores` installs them.
package stores

import (
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit/absent"
)

// S3 is a store with the interface of Amazon S3.
type S3 struct {
	Endpoint, Bucket, AccessKey, SecretKey string
	process                                *os.Process
}

// Pause makes the store answer nobody until Resume.
func (s S3) Pause() error { return s.process.Signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (s S3) Resume() error { return s.process.Signal(syscall.SIGCONT) }

// Flags returns the flags with which a node keeps its blocks in the bucket.
func (s S3) Flags() []string {
	var out []string
	for _, set := range []string{
		"backend=s3",
		"s3.endpoint=" + s.Endpoint,
		"s3.bucket=" + s.Bucket,
		"s3.access_key=" + s.AccessKey,
		"s3.secret_key=" + s.SecretKey,
		"s3.insecure=true",
	} {
		out = append(out, "-set", "storage.trace."+set)
	}
	return out
}

// StartS3 starts a store with an empty bucket. It ends with the test, which is skipped where the
// store is not installed.
func StartS3(t testing.TB) S3 {
	t.Helper()
	program := findInstalled(t, "versitygw")
	s := S3{Bucket: "traces", AccessKey: "troupe", SecretKey: "troupe-secret"}
	s.Endpoint = freeAddress(t)
	data, attributes := t.TempDir(), t.TempDir()
	s.process = startProcess(t, exec.Command(program, "--port", s.Endpoint, "--access", s.AccessKey, "--secret", s.SecretKey,
		"--keep-alive", "--quiet", "posix", "--sidecar", attributes, data), s.Endpoint)
	client, err := minio.New(s.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, "")})
	require.NoError(t, err)
	require.NoError(t, client.MakeBucket(context.Background(), s.Bucket, minio.MakeBucketOptions{}))
	return s
}

// StartGCS starts a store with the interface of Google Cloud Storage, with an empty bucket called
// traces, and returns the URL of its JSON interface.
func StartGCS(t testing.TB) (endpoint string) {
	t.Helper()
	program := findInstalled(t, "fake-gcs-server")
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	startProcess(t, exec.Command(program, "-scheme", "http", "-host", host, "-port", port, "-backend", "memory",
		"-log-level", "error", "-public-host", address), address)
	url := "http://" + address + "/storage/v1/"
	resp, err := http.Post(url+"b?project=test", "application/json", strings.NewReader(`{"name": "traces"}`))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return url
}

// Azure is a store with the interface of Azure Blob Storage.
type Azure struct {
	Endpoint, Container, Account, Key string
}

// StartAzure starts a store with an empty container. It ends with the test, which is skipped where
// the store is not installed.
func StartAzure(t testing.TB) Azure {
	t.Helper()
	program := findInstalled(t, "node_modules/azurite/dist/src/blob/main.js")
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	a := Azure{
		Endpoint:  "http://" + address,
		Container: "traces",
		Account:   "troupe",
		Key:       base64.StdEncoding.EncodeToString([]byte("a key of tests, which is no secret")),
	}
	c := exec.Command("node", program, "--blobHost", host, "--blobPort", port, "--inMemoryPersistence", "--silent",
		"--skipApiVersionCheck", "--disableTelemetry")
	c.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+a.Account+":"+a.Key)
	startProcess(t, c, address)
	key, err := container.NewSharedKeyCredential(a.Account, a.Key)
	require.NoError(t, err)
	client, err := container.NewClientWithSharedKeyCredential(a.Endpoint+"/"+a.Account+"/"+a.Container, key, nil)
	require.NoError(t, err)
	_, err = client.Create(t.Context(), nil)
	require.NoError(t, err)
	return a
}

// findInstalled returns the path of a store's program.
func findInstalled(t testing.TB, name string) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(here), "../../stores/.installed", name)
	if _, err := os.Stat(path); err != nil {
		absent.Skip(t, "the object stores are absent (make stores)")
	}
	return path
}

func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return "127.0.0.1:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// startProcess starts a store and waits until it listens.
func startProcess(t testing.TB, c *exec.Cmd, address string) *os.Process {
	t.Helper()
	c.Stderr = os.Stderr
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond, "%s does not listen", c.Path)
	return c.Process
}
