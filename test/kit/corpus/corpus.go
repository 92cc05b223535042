// Package corpus provides the traces of whole systems on which tests check that nothing is lost.
//
// There are two sources. The generated corpus is always there: it is made from fixed seeds, so that
// every run and every machine sees the same bytes. The recorded corpus is spans of running software
// that TROUPE_SHARED names a folder of; it is too large for this repository, and its tests are
// skipped where it is absent.
//
// The generated files imitate the shapes of the recorded ones, not their contents. They were
// compared with the figures that come with the recordings: spans a trace, depth, children of one
// span, requests that a trace arrives in, resources a request, attributes a span, lengths and types
// of values, kinds, statuses, events, links, absent parents and missing roots. TestShapes holds the
// files of both sources to these figures. In brief:
//
//	file        shape that it imitates
//	DemoApps    123 traces of web shops: chains of HTTP calls up to a dozen deep over many
//	            services, SQL at the leaves, queue fan-outs, log events, exceptions, booleans;
//	            absent parents in every tenth trace, no root in every fourth
//	WebApp      8 requests with 168 traces of a browser test: one has 456 spans, most have one;
//	            two vocabularies for HTTP, SQL of kilobytes, doubles, arrays, empty values
//	Shell       traces of one span, and process trees of hundreds that arrive in several
//	            requests: a resource of 28 attributes for each process, up to 42 attributes a
//	            span, arrays, up to 114 children, links
//	Boutique    volume without attributes: 48 spans a trace, ten services, ordered by end and
//	            cut every 1,000 spans, so that every seventh trace arrives in two requests
//	Sample      one trace of 22 spans over four services in one request
//
// Two generated files have no recorded counterpart:
//
//	Agents      programs that call language models: prompts of up to 64 KiB, lists of messages,
//	            recursion 300 deep, a parent of 1,500 children, many events and links
//	RawText     text that is not UTF-8 wherever OTLP has text; only as protobuf
package corpus

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit/absent"
)

// The files that both sources have.
const (
	DemoApps = "demo-apps"
	WebApp   = "webapp-e2e"
	Shell    = "ci-shell"
	Boutique = "online-boutique"
	Sample   = "sample-small"
)

// The files that only the generated corpus has.
const (
	Agents  = "agents"
	RawText = "raw-text"
)

// Source is one of the two corpora.
type Source interface {
	// Files returns the given files, and for the generated corpus also those that have no recorded
	// counterpart.
	Files(names ...string) []string
	// JSON returns the requests of a file as OTLP/JSON in the order in which they were sent. It
	// returns nil for RawText, which JSON cannot express.
	JSON(t testing.TB, name string) [][]byte
	// Protobuf returns the requests of a file as ExportTraceServiceRequest messages.
	Protobuf(t testing.TB, name string) [][]byte
}

// Generated returns the generated corpus, for tests that need many traces but no real ones.
func Generated() Source { return generated{} }

// Run runs check once on each source, as the subtests "generated" and "recorded". The latter is
// skipped where the recordings are absent.
func Run(t *testing.T, check func(t *testing.T, from Source)) {
	t.Run("generated", func(t *testing.T) { check(t, generated{}) })
	t.Run("recorded", func(t *testing.T) {
		t.Helper()
		check(t, recorded{findRecordings(t)})
	})
}

type generated struct{}

func (generated) Files(names ...string) []string {
	return append(names[:len(names):len(names)], Agents, RawText)
}

func (generated) JSON(t testing.TB, name string) [][]byte {
	t.Helper()
	if name == RawText {
		return nil
	}
	return marshalEach(t, name, (&ptrace.JSONMarshaler{}).MarshalTraces)
}

func (generated) Protobuf(t testing.TB, name string) [][]byte {
	t.Helper()
	return marshalEach(t, name, (&ptrace.ProtoMarshaler{}).MarshalTraces)
}

func marshalEach(t testing.TB, name string, marshal func(ptrace.Traces) ([]byte, error)) [][]byte {
	t.Helper()
	generate, ok := generators[name]
	if !ok {
		t.Fatalf("BUG: no generated file is called %q", name)
	}
	var out [][]byte
	for _, request := range generate() {
		b, err := marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// generators make each file once in a process. Marshalling reads the requests only.
var generators = map[string]func() []ptrace.Traces{
	DemoApps: sync.OnceValue(generateDemoApps),
	WebApp:   sync.OnceValue(generateWebApp),
	Shell:    sync.OnceValue(generateShell),
	Boutique: sync.OnceValue(generateBoutique),
	Sample:   sync.OnceValue(generateSample),
	Agents:   sync.OnceValue(generateAgents),
	RawText:  sync.OnceValue(generateRawText),
}

// recorded reads files of recorded traces.
type recorded struct{ folder string }

// findRecordings returns the folder of the recorded traces, or skips the test. TROUPE_SHARED names
// the folder above it; without it, a folder "shared" beside the repository is looked for.
func findRecordings(t testing.TB) string {
	t.Helper()
	t.Helper()
	dir := os.Getenv("TROUPE_SHARED")
	if dir == "" {
		dir = filepath.Join(findRepository(t), "..", "shared")
	}
	dir = filepath.Join(dir, "data")
	if _, err := os.Stat(dir); err != nil {
		absent.Skip(t, "the recorded traces are absent (TROUPE_SHARED; the same assertions ran on generated ones)",
			"looked in", dir)
	}
	return dir
}

// findRepository returns the folder of go.mod above the test's working folder.
func findRepository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod is above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}

func (r recorded) Files(names ...string) []string { return names }

func (r recorded) JSON(t testing.TB, name string) [][]byte {
	t.Helper()
	if name == Sample { // one indented request
		b, err := os.ReadFile(filepath.Join(r.folder, name+".otlp.json"))
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{b}
	}
	f, err := os.Open(filepath.Join(r.folder, name+".otlp.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReaderSize(z, 1<<20)
	var out [][]byte
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			out = append(out, line)
		}
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (r recorded) Protobuf(t testing.TB, name string) [][]byte {
	t.Helper()
	var out [][]byte
	for _, line := range r.JSON(t, name) {
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		if err != nil {
			t.Fatal(err)
		}
		b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// makeSentence returns n words that depend on the random source only.
func (g *generator) makeSentence(n int) string {
	words := strings.Fields("the quick order of a late parcel was shipped to every town that asked for it before noon")
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(words[g.random.IntN(len(words))])
	}
	return b.String()
}
