// Package tidy checks what keeps the house a house: who may import whom, where each library lives,
// and that engines are pure.
package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/troupe-tracing/troupe/"

// may lists, for each area of the tree, the prefixes of our own packages it may import. The longest
// matching area wins.
var may = map[string][]string{
	"messages":        {"messages"},
	"runtime/engine":  {"runtime/engine", "messages"},
	"runtime/storage": {"runtime/storage", "runtime/telemetry", "runtime/config"},
	// the one package that joins blocks, which know no bucket, with buckets, which know no blocks
	"runtime/storage/blockstore": {"runtime/storage", "runtime/engine", "messages"},
	"runtime/kernel":             {"runtime/kernel", "messages/control"},
	"runtime/gateway":            {"runtime/gateway", "runtime/kernel/ask", "runtime/kernel/status", "runtime/engine", "messages", "runtime/config", "runtime/telemetry"},
	"runtime/config":             {"runtime/config"},
	"runtime/telemetry":          {"runtime/telemetry"},
	"actors":                     {"runtime/kernel", "runtime/storage", "runtime/engine", "messages", "runtime/config", "runtime/telemetry"},
	"cluster":                    {"runtime/kernel", "messages", "cluster", "runtime/config", "runtime/telemetry"},
	"cmd":                        {""},
	"test":                       {""},
	"deploy":                     {""},
	"docs":                       {""},
}

// home lists the areas that may import a library; everyone else reaches it through them.
var home = map[string][]string{
	"github.com/asynkron/protoactor-go":   {"runtime/kernel", "actors", "cluster", "test"},
	"github.com/IBM/sarama":               {"runtime/storage/kafkalog"},
	"github.com/xitongsys/parquet-go":     {"runtime/engine/block"},
	"github.com/apache/thrift":            {"runtime/engine/block", "runtime/gateway/thriftread", "runtime/gateway/jaeger", "test"},
	"go.opentelemetry.io/collector/pdata": {"runtime/engine/trace", "runtime/gateway/otlp", "runtime/gateway/zipkin", "runtime/gateway/jaeger", "cmd/troupectl", "test"},
	"github.com/hashicorp/memberlist":     {"cluster/membership"},
	"github.com/knadh/koanf":              {"runtime/config"},
	"github.com/twmb/franz-go":            {"runtime/storage/kafkalog"},
	"github.com/hashicorp/raft-wal":       {"runtime/storage/kafkalog"},
	"github.com/prometheus/client_golang": {"runtime/kernel", "runtime/telemetry", "runtime/gateway", "runtime/storage", "actors", "cmd", "test"},
	"github.com/parquet-go/parquet-go":    {"test", "runtime/engine/block"},
}

// impure are imports no engine may have: time passes, chance, files, sockets and locks are
// arguments there.
var impure = []string{"os", "net", "net/http", "log", "log/slog", "sync", "sync/atomic", "math/rand", "crypto/rand", "os/exec",
	"github.com/asynkron/protoactor-go", "github.com/IBM/sarama", "github.com/prometheus"}

type file struct {
	path, dir string
	test      bool
	ast       *ast.File
}

func goFiles(t *testing.T) []file {
	t.Helper()
	root := "../.."
	var out []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" || rel == "bin" || rel == "data" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		out = append(out, file{path: rel, dir: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(p, "_test.go"), ast: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func under(path, prefix string) bool {
	return prefix == "" || path == prefix || strings.HasPrefix(path, prefix+"/")
}

func imports(f file) []string {
	var out []string
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		out = append(out, p)
	}
	return out
}

// Packages import only in the allowed directions.
func TestImportDirections(t *testing.T) {
	for _, f := range goFiles(t) {
		area := ""
		for a := range may {
			if under(f.dir, a) && len(a) > len(area) {
				area = a
			}
		}
		if area == "" {
			t.Errorf("%s: the file lies outside the tree of the project", f.path)
			continue
		}
		for _, p := range imports(f) {
			rel, ours := strings.CutPrefix(p, module)
			if !ours || f.test && under(rel, "test/kit") {
				continue
			}
			ok := rel == f.dir || f.test && area != "runtime/engine" && area != "actors"
			for _, m := range may[area] {
				ok = ok || under(rel, m)
			}
			if !ok {
				t.Errorf("%s imports %s: %s may import only %v", f.path, rel, area, may[area])
			}
			if area == "actors" && under(rel, "actors") && rel != f.dir {
				t.Errorf("%s imports another actor, %s", f.path, rel)
			}
		}
	}
}

// Each library has one home.
func TestLibraryHomes(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, p := range imports(f) {
			for lib, homes := range home {
				if !under(p, lib) {
					continue
				}
				ok := f.test || f.dir == "deploy" // keeps pinned modules, is in no binary
				for _, h := range homes {
					ok = ok || under(f.dir, h)
				}
				if !ok {
					t.Errorf("%s imports %s, whose home is %v", f.path, p, homes)
				}
			}
		}
	}
}

// Engines compute: they have no clock, chance, file, socket, lock, logger, goroutine or mutable
// package variable.
func TestEnginesArePure(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || !under(f.dir, "runtime/engine") {
			continue
		}
		for _, p := range imports(f) {
			for _, bad := range impure {
				if p == bad || strings.HasPrefix(p, bad+"/") && strings.Contains(bad, ".") {
					t.Errorf("%s imports %s", f.path, p)
				}
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", f.path)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && (n.Sel.Name == "Now" || n.Sel.Name == "Since" || n.Sel.Name == "Sleep") {
					t.Errorf("%s calls time.%s", f.path, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// Actors use no goroutines, channels, mutexes or atomics; where one is needed, a comment `tidy:` on
// the line above says why.
func TestActorsHaveNoConcurrencyOfTheirOwn(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || !under(f.dir, "actors") {
			continue
		}
		for _, p := range imports(f) {
			if p == "sync" || p == "sync/atomic" {
				t.Errorf("%s imports %s", f.path, p)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", f.path)
			case *ast.ChanType:
				t.Errorf("%s declares a channel", f.path)
			}
			return true
		})
	}
}

// No package is called by a name that says nothing, and the top-level folders are the agreed ones.
func TestNames(t *testing.T) {
	for _, f := range goFiles(t) {
		switch n := f.ast.Name.Name; n {
		case "util", "utils", "common", "helper", "helpers", "base", "manager":
			t.Errorf("%s: package %s", f.path, n)
		}
	}
	agreed := map[string]bool{"actors": true, "messages": true, "runtime": true, "cluster": true, "cmd": true, "deploy": true, "test": true, "docs": true,
		"bin": true, "data": true}
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !agreed[e.Name()] {
			t.Errorf("top-level folder %s", e.Name())
		}
	}
}

// gRPC servers are made in one place, which bounds them; one made elsewhere would not even unpack
// what it is sent.
func TestServersHaveOneHome(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || f.dir == "runtime/gateway/rpc" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok || s.Sel.Name != "NewServer" {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "grpc" {
				t.Errorf("%s makes a gRPC server: runtime/gateway/rpc does", f.path)
			}
			return true
		})
	}
}
