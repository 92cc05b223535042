package tidy

import (
	"go/ast"
	"os"
	"slices"
	"strings"
	"testing"
)

// mayImport lists, for each area of the tree, the folders of our own packages that it may import.
// The longest area that matches a file applies.
var mayImport = map[string][]string{
	"messages":       {"messages"},
	"runtime/engine": {"runtime/engine", "messages"},
	"runtime/storage": {
		"runtime/storage",
		"runtime/telemetry",
		"runtime/config",
	},
	// the packages that join blocks, which know no bucket, with buckets, which know no blocks
	"runtime/storage/blockstore": {"runtime/storage", "runtime/engine", "messages"},
	"runtime/storage/adopt":      {"runtime/storage", "runtime/engine", "messages"},
	"runtime/storage/backup":     {"runtime/storage", "runtime/engine", "messages"},
	"runtime/storage/export":     {"runtime/storage", "runtime/engine", "messages"},
	"runtime/kernel":             {"runtime/kernel", "messages/control"},
	"runtime/gateway": {
		"runtime/gateway",
		"runtime/kernel/ask",
		"runtime/kernel/status",
		"runtime/engine",
		"messages",
		"runtime/config",
		"runtime/telemetry",
	},
	"runtime/config":    {"runtime/config"},
	"runtime/telemetry": {"runtime/telemetry"},
	"actors": {
		"runtime/kernel",
		"runtime/storage",
		"runtime/engine",
		"messages",
		"runtime/config",
		"runtime/telemetry",
	},
	"cluster": {
		"cluster",
		"runtime/kernel",
		"messages",
		"runtime/config",
		"runtime/telemetry",
	},
	"cmd":    {""},
	"test":   {""},
	"deploy": {""},
	"docs":   {""},
}

// homes lists the areas that may import a library. Everyone else reaches it through them.
var homes = map[string][]string{
	"github.com/asynkron/protoactor-go": {"runtime/kernel", "actors", "cluster", "test"},
	"github.com/IBM/sarama":             {"runtime/storage/kafkalog"},
	"github.com/xitongsys/parquet-go":   {"runtime/engine/block"},
	"github.com/apache/thrift": {
		"runtime/engine/block",
		"runtime/gateway/thriftread",
		"runtime/gateway/jaeger",
		"test",
	},
	"go.opentelemetry.io/collector/pdata": {
		"runtime/engine/trace",
		"runtime/gateway/ingress",
		"runtime/gateway/zipkin",
		"runtime/gateway/jaeger",
		"cmd/troupectl",
		"test",
	},
	"github.com/hashicorp/memberlist": {"cluster/membership"},
	"github.com/knadh/koanf":          {"runtime/config"},
	"github.com/twmb/franz-go":        {"runtime/storage/kafkalog"},
	"github.com/hashicorp/raft-wal":   {"runtime/storage/kafkalog"},
	"github.com/prometheus/client_golang": {
		"runtime/kernel",
		"runtime/telemetry",
		"runtime/gateway",
		"runtime/storage",
		"actors",
		"cmd",
		"test",
	},
	"github.com/parquet-go/parquet-go": {"test", "runtime/engine/block", "cmd/troupectl/tempo"},
}

// keepsPinned is a folder that imports libraries only to keep their versions in go.mod. It is in no
// binary.
const keepsPinned = "deploy"

// topFolders are the agreed folders at the top of the tree, and what a working copy has beside
// them. cluster has no code yet: its doc.go says what will stand there.
var topFolders = []string{
	"actors", "cluster", "cmd", "deploy", "docs", "messages", "runtime", "test",
	"bin", "data",
}

// Packages import only in the allowed directions.
func TestImportDirections(t *testing.T) {
	for _, f := range goFiles(t) {
		area := areaOf(f.dir)
		if area == "" {
			t.Errorf("%s: the file lies outside the tree of the project", f.path)
			continue
		}
		for _, p := range f.imports() {
			rel, ours := strings.CutPrefix(p, module)
			if !ours || rel == f.dir || f.test && under(rel, "test/kit") {
				continue
			}
			if area == "actors" && under(rel, "actors") {
				t.Errorf("%s imports another actor, %s", f.path, rel)
			}
			free := f.test && area != "runtime/engine" && area != "actors"
			if !free && !underAny(rel, mayImport[area]) {
				t.Errorf("%s imports %s: %s may import only %v", f.path, rel, area, mayImport[area])
			}
		}
	}
}

// areaOf returns the longest area that a folder is under.
func areaOf(dir string) string {
	longest := ""
	for area := range mayImport {
		if under(dir, area) && len(area) > len(longest) {
			longest = area
		}
	}
	return longest
}

func underAny(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return under(path, folder) })
}

// Each library has one home.
func TestLibraryHomes(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || f.dir == keepsPinned {
			continue
		}
		for _, p := range f.imports() {
			for library, folders := range homes {
				if under(p, library) && !underAny(f.dir, folders) {
					t.Errorf("%s imports %s, whose home is %v", f.path, p, folders)
				}
			}
		}
	}
}

// No package has a name that says nothing, and the top-level folders are the agreed ones.
func TestNames(t *testing.T) {
	for _, f := range goFiles(t) {
		switch n := f.ast.Name.Name; n {
		case "util", "utils", "common", "helper", "helpers", "base", "manager":
			t.Errorf("%s: package %s", f.path, n)
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topFolders, e.Name()) {
			t.Errorf("top-level folder %s", e.Name())
		}
	}
}

// Every package has code: a folder with nothing but a comment promises what is not there.
func TestNoFolderWithoutCode(t *testing.T) {
	code := map[string]bool{"cluster": true} // see topFolders
	for _, f := range goFiles(t) {
		code[f.dir] = code[f.dir] || f.test || len(f.ast.Decls) > 0
	}
	for dir, has := range code {
		if !has {
			t.Errorf("%s has no code", dir)
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
			if s, ok := n.(*ast.SelectorExpr); ok && isSelector(s, "grpc", "NewServer") {
				t.Errorf("%s makes a gRPC server: runtime/gateway/rpc does", f.at(n))
			}
			return true
		})
	}
}

// isSelector reports whether an expression is pkg.name, whatever pkg is.
func isSelector(s *ast.SelectorExpr, pkg, name string) bool {
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg && s.Sel.Name == name
}
