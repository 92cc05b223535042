package corpus

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// generateWebApp makes the spans of one end-to-end test of a web application: the tree of the test
// runner, and the many small traces of the servers.
func generateWebApp() []ptrace.Traces {
	g := newGenerator(4, time.Date(2026, 3, 19, 7, 48, 15, 552176492, time.UTC))
	runner := &resource{attributes: []attribute{{"service.name", "test-runner"}, {"telemetry.sdk.language", "python"},
		{"telemetry.sdk.name", "opentelemetry"}, {"telemetry.sdk.version", "1.40.0"}, {"host.name", "runner-1"},
		{"os.type", "linux"}, {"os.version", "6.8"}, {"python.version", "3.12.3"}}}
	var command []string
	for i := range 8 {
		command = append(command, fmt.Sprintf("-Dexample.option%d=%s", i, g.makeSentence(2)))
	}
	core := &resource{attributes: []attribute{{"service.name", "core"}, {"telemetry.sdk.language", "java"},
		{"telemetry.sdk.name", "opentelemetry"}, {"telemetry.sdk.version", "1.59.0"}, {"host.name", "core-1"},
		{"host.arch", "amd64"}, {"os.type", "linux"}, {"os.description", "Linux 6.8.0"}, {"process.pid", int64(7)},
		{"process.command_args", command}, {"process.executable.path", "/opt/java/bin/java"},
		{"process.runtime.name", "OpenJDK Runtime Environment"}, {"service.instance.id", "3f0e1c9a"},
		{"service.version", "2.4"}}}
	browser := &resource{attributes: []attribute{{"service.name", "ui"}, {"telemetry.sdk.language", "webjs"},
		{"telemetry.sdk.name", "opentelemetry"}, {"telemetry.sdk.version", "2.6.0"}}}
	w := webApp{g, runner, core, browser}

	tests := w.runTests()
	servers := make([][]*span, 7)
	for i := range 167 {
		servers[i%len(servers)] = append(servers[i%len(servers)], w.serveTrace(i)...)
	}
	// The runner exports most of its tree at the end, but its first spans with those of a server.
	servers[3] = append(servers[3], tests[400:]...)
	var out []ptrace.Traces
	for _, spans := range append(servers, tests[:400]) {
		out = append(out, encodeRequest(spans))
	}
	return out
}

type webApp struct {
	*generator
	runner, core, browser *resource
}

// runTests returns a trace of 456 spans: suites, tests and keywords, up to 25 below one.
func (w webApp) runTests() []*span {
	listener := w.scopeNamed("example.test.listener", "0.5")
	begin := w.now
	root := w.startTrace(w.runner, listener, "All Suites", ptrace.SpanKindInternal, 70*time.Second, time.Second)
	w.now = begin
	spans := []*span{root}
	level := spans
	for depth := 1; len(spans) < 456; depth++ {
		var next []*span
		for _, parent := range level {
			for range min(w.between(2, 25), 456-len(spans)) {
				s := w.startChild(parent, w.runner, listener, "Keyword "+w.makeSentence(3), ptrace.SpanKindInternal)
				s.status.code = ptrace.StatusCodeOk
				s.attributes = []attribute{{"test.status", "PASS"}, {"test.elapsed_time", s.end.Sub(s.start).Seconds()},
					{"test.keyword.name", "keyword " + fmt.Sprint(depth)},
					{"test.keyword.lineno", int64(w.random.IntN(400))}}
				switch w.random.IntN(3) {
				case 0:
					s.attributes = append(s.attributes, attribute{"test.keyword.args",
						w.makeSentence(w.between(1, 100))})
				case 1:
					s.attributes = append(s.attributes, attribute{"test.tags",
						[]string{"smoke", "api", w.makeSentence(1)}})
				}
				if w.chance(8) {
					s.status = status{ptrace.StatusCodeError, "Expected 200, got 503: " + w.makeSentence(6)}
					s.events = []event{{s.end.Sub(s.start), "test.failed", []attribute{{"message", s.status.message},
						{"test.status", "FAIL"}, {"timestamp", "20260319 07:48:16.001"}}}}
				}
				spans = append(spans, s)
				if len(next) < 3 || w.chance(6) { // deep at few places
					next = append(next, s)
				}
			}
		}
		level = next[:min(len(next), 4)]
	}
	return spans
}

// serveTrace returns one trace of the servers: mostly one statement, at times a request with its
// statements.
func (w webApp) serveTrace(n int) []*span {
	statement := func(s *span) *span {
		text := "SELECT * FROM project_t WHERE id = ?"
		if n%40 == 7 {
			text = "INSERT INTO settings_t VALUES " + strings.Repeat("(?, ?, ?), ", 320)
		}
		s.attributes = []attribute{{"thread.id", int64(w.between(20, 60))}, {"thread.name", "worker"},
			{"db.connection_string", "postgresql://db:5432"}, {"db.name", "core"}, {"db.statement", text},
			{"db.system", "postgresql"}, {"db.user", "core"}, {"server.address", "db"}, {"server.port", int64(5432)}}
		if w.chance(50) {
			s.attributes[4].value = nil // the empty value
		}
		return s
	}
	jdbc := w.scopeNamed("example.jdbc", "2.25.0-alpha")
	if n%5 != 0 {
		return []*span{statement(w.startTrace(w.core, jdbc, "SELECT core.project_t", ptrace.SpanKindClient,
			time.Duration(w.between(200, 9000))*time.Microsecond, 400*time.Millisecond))}
	}
	root := w.startTrace(w.browser, w.scopeNamed("ui", ""), "http.request", ptrace.SpanKindClient,
		time.Duration(w.between(4, 80))*time.Millisecond, 400*time.Millisecond)
	root.attributes = []attribute{{"http.method", "GET"}, {"http.url", "http://core/v2/executions"}}
	server := w.startChild(root, w.core, w.scopeNamed("example.tomcat-10.0", "2.25.0-alpha"), "GET /v2/executions",
		ptrace.SpanKindServer)
	server.attributes = []attribute{{"http.request.method", "GET"}, {"http.response.status_code", int64(200)},
		{"http.route", "/v2/executions"}, {"url.path", "/v2/executions"}, {"url.scheme", "http"},
		{"url.query", "limit=20"},
		{"client.address", "10.1.0.9"}, {"network.protocol.version", "1.1"},
		{"network.peer.port", int64(w.between(30000, 60000))},
		{"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/146.0"}, {"thread.id", int64(33)}}
	spans := []*span{root, server}
	for range w.between(1, 20) {
		spans = append(spans, statement(w.startChild(server, w.core, jdbc, "SELECT core", ptrace.SpanKindClient)))
	}
	return spans
}

// shell makes spans of scripts and the programs that they start. Each process is a resource.
type shell struct {
	*generator
	pid int
}

func (s *shell) startProcess(parent int, command string) *resource {
	s.pid++
	program := strings.Fields(command)[0]
	return &resource{attributes: []attribute{{"telemetry.sdk.language", "shell"},
		{"telemetry.sdk.name", "opentelemetry"},
		{"telemetry.sdk.version", fmt.Sprintf("4.%d.0", s.pid/900)}, {"service.name", "unknown_service"},
		{"github.repository.name", "example/example"}, {"github.workflow.run.id", fmt.Sprint(10878133000 + s.pid/50)},
		{"github.job.name", "demo"}, {"github.step.name", ""}, {"process.pid", int64(s.pid)},
		{"process.parent_pid", int64(parent)}, {"process.executable.name", program},
		{"process.executable.path", "/usr/bin/" + program}, {"process.command_line", command},
		{"process.command", program},
		{"process.owner", "runner"}, {"process.runtime.name", "bash"}, {"process.runtime.description", "a shell"},
		{"process.runtime.version", "5.1"}, {"process.runtime.options", "ehB"}, {"service.version", ""},
		{"service.namespace", ""}, {"service.instance.id", ""}, {"os.type", "linux"}, {"os.version", "6.8"},
		{"host.name", fmt.Sprintf("runner-%d", s.pid/200)}, {"cloud.provider", "azure"}, {"cloud.region", "eastus"},
		{"host.type", "Standard_D4"}}}
}

func (s *shell) makeCommand() string {
	switch s.random.IntN(4) {
	case 0:
		return "dpkg " + strings.Repeat("--force-confdef ", s.between(1, 12)) + "--print-foreign-architectures"
	case 1:
		return fmt.Sprintf("sed -e s#'%d'#\"x\\\\\"#g", s.random.IntN(100))
	case 2:
		return "curl -fsSL https://example.com/" + fmt.Sprint(s.random.IntN(1000))
	}
	return "echo " + s.makeSentence(s.between(1, 30))
}

func (s *shell) describeCommand(at *span, command string) {
	name := strings.Fields(command)[0]
	at.attributes = append(at.attributes, attribute{"shell.command_line", command}, attribute{"shell.command", name},
		attribute{"shell.command.type", "file"}, attribute{"shell.command.name", name},
		attribute{"shell.command.exit_code", int64(0)}, attribute{"subprocess.executable.path", "/usr/bin/" + name},
		attribute{"code.filepath", "/home/runner/demo.sh"}, attribute{"code.lineno", int64(s.random.IntN(90))})
	if s.chance(17) {
		at.attributes[4].value = int64(s.between(1, 127))
		at.status = status{ptrace.StatusCodeError, ""}
	}
}

// describeRequest adds the attributes of an HTTP call with all its headers, which are arrays.
func (s *shell) describeRequest(at *span, headers int) {
	at.kind = ptrace.SpanKindClient
	at.attributes = append(at.attributes, attribute{"http.request.method", "GET"},
		attribute{"url.full", fmt.Sprintf("https://example.com/pool/main/%d?token=REDACTED", s.random.IntN(500))},
		attribute{"http.response.status_code", int64(200)}, attribute{"network.transport", "tcp"},
		attribute{"server.address", "example.com"}, attribute{"server.port", int64(443)})
	for i := range headers {
		at.attributes = append(at.attributes, attribute{fmt.Sprintf("http.response.header.x-header-%d", i),
			[]string{s.makeSentence(s.between(1, 6))}})
	}
}

// growTree returns a tree of processes, wide below the first and deep elsewhere.
func (s *shell) growTree(count int) []*span {
	script := s.scopeNamed("shell", "4.28.0")
	root := s.startTrace(s.startProcess(1, "bash -e demo.sh"), script, "bash -e demo.sh", ptrace.SpanKindServer,
		time.Duration(count)*100*time.Millisecond, time.Minute)
	spans := []*span{root}
	for at, depth := root, 1; len(spans) < count; depth++ {
		command := s.makeCommand()
		child := s.startChild(at, s.startProcess(s.pid, command), script, command, ptrace.SpanKindInternal)
		s.describeCommand(child, command)
		spans = append(spans, child)
		if at = child; depth%14 == 0 || len(spans) < 115 && count > 200 {
			at, depth = root, 0
		}
		if s.chance(4) {
			request := s.startChild(child, child.under, s.scopeNamed("example/instrumentation-http", "0.57.1"), "GET",
				ptrace.SpanKindClient)
			s.describeRequest(request, s.random.IntN(37))
			if s.chance(60) {
				request.links = []link{{root.trace, root.id, nil}}
			}
			spans = append(spans, request)
		}
	}
	return spans
}

func generateShell() []ptrace.Traces {
	s := &shell{generator: newGenerator(5, time.Date(2024, 9, 16, 6, 11, 58, 765280951, time.UTC))}
	var out []ptrace.Traces
	for n := range 500 {
		if n == 300 {
			s.now = time.Date(2025, 12, 20, 8, 42, 27, 555963904, time.UTC)
		}
		if n%8 != 0 { // most traces are one command
			command := s.makeCommand()
			single := s.startTrace(s.startProcess(1, command), s.scopeNamed("shell", "4.28.0"), command,
				ptrace.SpanKindInternal, time.Duration(s.between(1, 900))*time.Millisecond, time.Minute)
			single.flags = 768
			s.describeCommand(single, command)
			if n%100 == 9 {
				single.kind = []ptrace.SpanKind{ptrace.SpanKindProducer, ptrace.SpanKindConsumer}[n/100%2]
				single.events = []event{{time.Millisecond, "exception", []attribute{
					{"exception.type", "ExitError"}, {"exception.message", "exit status 1"}}}}
			}
			out = append(out, encodeRequest([]*span{single}))
			continue
		}
		count := s.between(2, 24)
		if n%80 == 0 {
			count = s.between(200, 450)
		}
		tree := s.growTree(count)
		if n%56 == 0 && len(tree) > 3 {
			tree = slices.Delete(tree, 1, 2) // its child names an absent parent
		}
		for request := range slices.Chunk(tree, max(1, min(226, len(tree)/2))) { // over several requests
			out = append(out, encodeRequest(request))
		}
	}
	return out
}
