// Package kafka starts brokers of Apache Kafka for tests, each as a process of its own on the
// loopback interface, with its data in a folder of the test. `make kafka-jars` fetches what it
// starts.
package kafka

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit/absent"
)

// The user that the secured listeners let in.
const (
	User     = "troupe"
	Password = "secret"
)

// Listener is a way into a broker.
type Listener string

// The listeners of every broker.
const (
	Open   Listener = "OPEN" // for everybody; brokers talk to each other here
	SASL   Listener = "AUTH" // PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512
	TLS    Listener = "SAFE" // certificates of brokers
	Mutual Listener = "BOTH" // certificates of brokers and clients
)

var listeners = []Listener{Open, SASL, TLS, Mutual}

// Cluster is some brokers. The first is the controller as well, so it has to stay up while others
// go and come back.
type Cluster struct {
	Brokers []*Broker
	Files   Files // certificates
}

// Broker is one process.
type Broker struct {
	t       testing.TB
	id      int
	folder  string
	address map[Listener]string
	process *exec.Cmd
	guard   *exec.Cmd // ends the broker when the test's process is gone without having done so
}

// Start starts brokers. They end with the test, which is skipped where Kafka is not installed.
// settings are lines of the brokers' configuration.
func Start(t testing.TB, brokers int, settings ...string) *Cluster {
	t.Helper()
	jars := findJars(t)
	c := &Cluster{Files: makeFiles(t)}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	id[0] = 0 // a name that begins with a dash would be read as a flag
	name, controller := base64.RawURLEncoding.EncodeToString(id), freeAddress(t)
	for i := range brokers {
		b := &Broker{t: t, id: i + 1, folder: t.TempDir(), address: map[Listener]string{}}
		for _, l := range listeners {
			b.address[l] = freeAddress(t)
		}
		config := b.writeConfig(c.Files, controller, min(3, brokers), settings)
		format := exec.Command("java", "-Xmx128m", "-cp", jars, "kafka.tools.StorageTool", "format",
			"-t", name, "-c", config, "--add-scram", "SCRAM-SHA-256=[name="+User+",password="+Password+"]",
			"--add-scram", "SCRAM-SHA-512=[name="+User+",password="+Password+"]")
		out, err := format.CombinedOutput()
		require.NoError(t, err, "%s", out)
		c.Brokers = append(c.Brokers, b)
		b.launch()
	}
	t.Cleanup(func() {
		for _, b := range c.Brokers {
			b.Resume()
			b.Kill()
			if t.Failed() {
				t.Logf("broker %d wrote:\n%s", b.id, b.output())
			}
		}
	})
	for _, b := range c.Brokers {
		b.await()
	}
	return c
}

// Addresses lists where clients reach the brokers.
func (c *Cluster) Addresses(l Listener) []string {
	var out []string
	for _, b := range c.Brokers {
		out = append(out, b.address[l])
	}
	return out
}

// writeConfig writes the configuration of a broker and returns its file.
func (b *Broker) writeConfig(files Files, controller string, replicas int, settings []string) string {
	roles, ways, kinds := "broker", "", ""
	lines := []string{"controller.quorum.voters=1@" + controller}
	if b.id == 1 {
		roles = "broker,controller"
		ways = "CONTROLLER://" + controller + ","
	}
	advertised := ""
	for _, l := range listeners {
		ways += string(l) + "://" + b.address[l] + ","
		advertised += string(l) + "://" + b.address[l] + ","
	}
	kinds = "CONTROLLER:PLAINTEXT,OPEN:PLAINTEXT,AUTH:SASL_PLAINTEXT,SAFE:SSL,BOTH:SSL"
	lines = append(lines,
		"process.roles="+roles,
		fmt.Sprintf("node.id=%d", b.id),
		"listeners="+strings.TrimSuffix(ways, ","),
		"advertised.listeners="+strings.TrimSuffix(advertised, ","),
		"controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=OPEN",
		"listener.security.protocol.map="+kinds,
		"log.dirs="+b.logFolder(),
		fmt.Sprintf("offsets.topic.replication.factor=%d", replicas),
		"offsets.topic.num.partitions=1",
		"auto.create.topics.enable=false",
		"broker.heartbeat.interval.ms=500",
		"broker.session.timeout.ms=6000",
		"replica.lag.time.max.ms=3000",
		"log.retention.check.interval.ms=500",
		"log.initial.task.delay.ms=500",
		"listener.name.auth.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.auth.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "+
			"user_"+User+"=\""+Password+"\";",
	)
	for _, m := range []string{"scram-sha-256", "scram-sha-512"} {
		lines = append(lines, "listener.name.auth."+m+
			".sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;")
	}
	for _, l := range []string{"safe", "both"} {
		at := "listener.name." + l + ".ssl."
		lines = append(lines, at+"keystore.type=PEM", at+"keystore.location="+files.broker,
			at+"truststore.type=PEM", at+"truststore.location="+files.CA)
	}
	lines = append(lines, "listener.name.both.ssl.client.auth=required")
	file := filepath.Join(b.folder, "server.properties")
	text := strings.Join(append(lines, settings...), "\n") + "\n"
	require.NoError(b.t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// logFolder is where the broker keeps its partitions.
func (b *Broker) logFolder() string { return filepath.Join(b.folder, "log") }

// Partition returns the folder of a partition's files.
func (b *Broker) Partition(topic string, partition int32) string {
	return filepath.Join(b.logFolder(), fmt.Sprintf("%s-%d", topic, partition))
}

func (b *Broker) launch() {
	out, err := os.OpenFile(filepath.Join(b.folder, "out"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(b.t, err)
	defer out.Close()
	b.process = exec.Command("java", "-Xmx384m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.configurationFile=file:"+filepath.Join(devFolder(), "log4j2.yaml"),
		"-cp", findJars(b.t), "kafka.Kafka", filepath.Join(b.folder, "server.properties"))
	b.process.Stdout, b.process.Stderr = out, out
	require.NoError(b.t, b.process.Start())
	b.guard = exec.Command("sh", "-c", "cat >/dev/null; kill -9 $0", strconv.Itoa(b.process.Process.Pid))
	_, err = b.guard.StdinPipe() // it closes with this process
	require.NoError(b.t, err)
	require.NoError(b.t, b.guard.Start())
}

// awaitEnd waits for the end of the broker. The guard goes first, because the number of a process
// may be used again.
func (b *Broker) awaitEnd() {
	_ = b.guard.Process.Kill()
	_ = b.guard.Wait()
	_ = b.process.Wait()
}

// await waits until the broker listens.
func (b *Broker) await() {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		conn, err := net.Dial("tcp", b.address[Mutual]) // it is opened last
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 2*time.Minute, 50*time.Millisecond, "broker %d does not listen:\n%s", b.id, b.output())
}

// output returns the end of what the broker has written.
func (b *Broker) output() []byte {
	out, _ := os.ReadFile(filepath.Join(b.folder, "out"))
	return out[max(0, len(out)-4000):]
}

// Kill ends the broker at once, as a power switch would.
func (b *Broker) Kill() {
	_ = b.process.Process.Kill()
	b.awaitEnd()
}

// Stop ends the broker in order: its partitions get other leaders first.
func (b *Broker) Stop() {
	_ = b.process.Process.Signal(syscall.SIGTERM)
	b.awaitEnd()
}

// Restart starts a broker that has ended, and returns when it listens.
func (b *Broker) Restart() {
	b.t.Helper()
	b.launch()
	b.await()
}

// Pause makes the broker answer nobody until Resume.
func (b *Broker) Pause() { _ = b.process.Process.Signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (b *Broker) Resume() { _ = b.process.Process.Signal(syscall.SIGCONT) }

// devFolder is where the scripts for Kafka are.
func devFolder() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../../deploy/dev/kafka")
}

// findJars returns the class path of Kafka. In CI its absence is a failure.
func findJars(t testing.TB) string {
	t.Helper()
	lib := filepath.Join(devFolder(), ".installed/lib")
	_, err := os.Stat(lib)
	if err == nil {
		_, err = exec.LookPath("java")
	}
	if err != nil && os.Getenv("CI") != "" {
		t.Fatalf("Apache Kafka is absent, run make kafka-jars: %v", err)
	}
	if err != nil {
		absent.Skip(t, "Apache Kafka is absent (make kafka-jars)")
	}
	return filepath.Join(lib, "*")
}

// Long skips tests of faults that take minutes, unless they are asked for.
func Long(t testing.TB) {
	if os.Getenv("TROUPE_KAFKA") == "" {
		t.Skip("make kafka runs it")
	}
}

func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
