// Package kit is what several tests share: a node of the real binary, and real and made-up spans.
package kit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// built are the folder of the binaries of this test process, and each of them once.
var (
	built  = sync.OnceValues(makeBinFolder)
	server = sync.OnceValues(func() (string, error) { return build("troupe") })
	client = sync.OnceValues(func() (string, error) { return build("troupectl") })
)

// binFolder begins the name of the folder of a test process's binaries, which ends with its id.
const binFolder = "troupe-bin-of-"

// makeBinFolder makes the folder of this process's binaries, and removes those of processes that
// have ended: no process can remove its own, because it does not see the end of its tests.
func makeBinFolder() (string, error) {
	folders, err := filepath.Glob(filepath.Join(os.TempDir(), binFolder+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range folders {
		pid, err := strconv.Atoi(filepath.Base(dir)[len(binFolder):])
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // another process may do the same
		}
	}
	dir := filepath.Join(os.TempDir(), binFolder+strconv.Itoa(os.Getpid()))
	return dir, os.MkdirAll(dir, 0o700)
}

func build(name string) (string, error) {
	dir, err := built()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, name)
	args := []string{"build", "-o", bin}
	// the process under the race detector too; it ends with code 66 where it finds one
	if os.Getenv("TROUPE_RACE") != "" {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/troupe-tracing/troupe/cmd/"+name)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return bin, nil
}

// Binary builds cmd/troupe once per test process and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	bin, err := server()
	require.NoError(t, err)
	return bin
}

// Troupectl runs cmd/troupectl, built once per test process, and returns what it prints and its
// exit code.
func Troupectl(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	bin, err := client()
	require.NoError(t, err)
	cmd := exec.Command(bin, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// StartTroupectl starts cmd/troupectl and does not wait for it.
func StartTroupectl(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := client()
	require.NoError(t, err)
	cmd := exec.Command(bin, args...)
	require.NoError(t, cmd.Start())
	return cmd
}

// Node is one process of the real binary on ports and a folder of its own.
type Node struct {
	t                  testing.TB
	Dir                string
	HTTP, GRPC         string // host:port
	Operator           string // the port of the operator's pages
	OTLPHTTP, OTLPGRPC string
	Zipkin             string // empty: off
	Jaeger             Jaeger
	Args               []string
	Env                []string // added to the environment of the test
	Config             string   // YAML; appended after the ports and paths that Start writes
	process
}

// process is the running binary.
type process struct {
	cmd    *exec.Cmd
	log    *bytes.Buffer
	mu     sync.Mutex // over log
	exited chan struct{}
}

// NewNode reserves ports and a folder; Start starts it.
func NewNode(t testing.TB) *Node {
	t.Helper()
	n := &Node{
		t:        t,
		Dir:      t.TempDir(),
		HTTP:     FreePort(t),
		GRPC:     FreePort(t),
		OTLPHTTP: FreePort(t),
		OTLPGRPC: FreePort(t),
		Operator: FreePort(t),
		process:  process{log: &bytes.Buffer{}},
	}
	t.Cleanup(func() {
		n.Kill()
		if l := n.Log(); t.Failed() && l != "" {
			t.Logf("the node's log ends with:\n%s", l[max(0, len(l)-8192):])
		}
	})
	return n
}

// ports counts from a place of this test process, so that two that run side by side seldom look at
// the same ones.
var ports atomic.Int64

func init() { ports.Store(int64(os.Getpid()) * 509) }

// FreePort returns an address that nothing listens on. It is below the range that outgoing
// connections take theirs from: none of those has it when the node comes to listen.
func FreePort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+ports.Add(1)%12000)
		if l, err := net.Listen("tcp", addr); err == nil {
			require.NoError(t, l.Close())
			return addr
		}
	}
	t.Fatal("no free port on 127.0.0.1 between 20000 and 32000")
	return ""
}

func port(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }

// WithZipkin has the node listen for Zipkin's spans too. It is said before the start.
func (n *Node) WithZipkin() { n.Zipkin = FreePort(n.t) }

// Jaeger is where a node listens for Jaeger's spans; empty: off.
type Jaeger struct{ GRPC, HTTP, Compact, Binary string }

// WithJaeger has the node listen for Jaeger's spans in all ways. It is said before the start.
func (n *Node) WithJaeger() {
	n.Jaeger = Jaeger{FreePort(n.t), FreePort(n.t), FreePort(n.t), FreePort(n.t)}
}

// YAML is the node's configuration file.
func (n *Node) YAML() string {
	more := ""
	if n.Zipkin != "" {
		more = "    zipkin:\n      endpoint: " + n.Zipkin + "\n"
	}
	if j := n.Jaeger; j.GRPC != "" {
		more += fmt.Sprintf("    jaeger:\n      protocols: {grpc: {endpoint: %q}, thrift_http: {endpoint: %q}, "+
			"thrift_compact: {endpoint: %q}, thrift_binary: {endpoint: %q}}\n", j.GRPC, j.HTTP, j.Compact, j.Binary)
	}
	return fmt.Sprintf(`server:
  http_listen_address: 127.0.0.1
  http_listen_port: %s
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: %s
  admin_listen_port: %s
distributor:
  receivers:
    otlp:
      protocols:
        grpc:
          endpoint: %s
        http:
          endpoint: %s
%sstorage:
  trace:
    backend: local
    wal:
      path: %s
    local:
      path: %s
%s`, port(n.HTTP), port(n.GRPC), port(n.Operator), n.OTLPGRPC, n.OTLPHTTP, more,
		filepath.Join(n.Dir, "log"), filepath.Join(n.Dir, "blocks"), n.Config)
}

// Start starts the process and waits until it is ready.
func (n *Node) Start() {
	n.t.Helper()
	n.Launch()
	n.WaitReady(20 * time.Second)
}

// Launch starts the process and does not wait.
func (n *Node) Launch() {
	n.t.Helper()
	file := filepath.Join(n.Dir, "troupe.yaml")
	require.NoError(n.t, os.WriteFile(file, []byte(n.YAML()), 0o600))
	n.cmd = exec.Command(Binary(n.t), append([]string{"-config.file=" + file}, n.Args...)...)
	n.cmd.Env = append(os.Environ(), n.Env...)
	w := &lockedWriter{mu: &n.mu, w: n.log}
	n.cmd.Stdout, n.cmd.Stderr = w, w
	require.NoError(n.t, n.cmd.Start())
	n.exited = make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) { _ = c.Wait(); close(done) }(n.cmd, n.exited)
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// Log is what the process has printed.
func (n *Node) Log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// WaitReady waits for /ready.
func (n *Node) WaitReady(within time.Duration) {
	n.t.Helper()
	deadline := time.Now().Add(within)
	for time.Now().Before(deadline) {
		select {
		case <-n.exited:
			n.t.Fatalf("the process ended at start:\n%s", n.Log())
		default:
		}
		if resp, err := http.Get("http://" + n.HTTP + "/ready"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	n.t.Fatalf("not ready within %s:\n%s", within, n.Log())
}

// Kill ends the process at once, as a power switch would.
func (n *Node) Kill() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Kill()
	<-n.exited
	n.cmd = nil
}

// Stop asks the process to end and waits; it returns the exit code.
func (n *Node) Stop(within time.Duration) int {
	n.t.Helper()
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.exited:
	case <-time.After(within):
		n.t.Fatalf("did not stop within %s:\n%s", within, n.Log())
	}
	code := n.cmd.ProcessState.ExitCode()
	n.cmd = nil
	return code
}

// Exit waits until the process has ended by itself and returns its exit code.
func (n *Node) Exit(within time.Duration) int {
	n.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(within):
		n.t.Fatalf("still runs after %s:\n%s", within, n.Log())
	}
	code := n.cmd.ProcessState.ExitCode()
	n.cmd = nil
	return code
}

// Pid of the running process.
func (n *Node) Pid() int { return n.cmd.Process.Pid }

// Push sends one OTLP request and returns status and body.
func (n *Node) Push(ctx context.Context, contentType string, body []byte, headers ...string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.OTLPHTTP+"/v1/traces",
		bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// Get asks the query API. params are name, value pairs.
func (n *Node) Get(path string, params ...string) (int, []byte) {
	n.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	u := "http://" + n.HTTP + path
	if len(v) > 0 {
		u += "?" + v.Encode()
	}
	resp, err := http.Get(u)
	require.NoError(n.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(n.t, err)
	return resp.StatusCode, b
}

// GetJSON asks the query API, demands 200 and decodes into v.
func (n *Node) GetJSON(v any, path string, params ...string) {
	n.t.Helper()
	code, b := n.Get(path, params...)
	require.Equal(n.t, 200, code, "%s: %s", path, b)
	require.NoError(n.t, json.Unmarshal(b, v), "%s", b)
}

// RemoveLog deletes the embedded log of a stopped node.
func (n *Node) RemoveLog() {
	n.t.Helper()
	require.NoError(n.t, os.RemoveAll(filepath.Join(n.Dir, "log")))
}
