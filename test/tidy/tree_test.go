// Package tidy checks what keeps the house a house: who may import whom, where each library lives,
// that engines are pure, how large and wide code may be, and that documents name what exists.
//
// A comment with a line that begins with "tidy:" exempts the line below it from a check, and says
// why:
//
//	// tidy: the seed only spreads hash tables; no result depends on it
//	seed := maphash.MakeSeed()
//
// go test -v -run TestShape ./test/tidy prints a table of sizes and names; with -report it prints
// each finding too.
package tidy

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	module = "github.com/troupe-tracing/troupe/"
	root   = "../.."
)

var report = flag.Bool("report", false, "print each finding of TestShape")

// file is one Go file of the tree.
type file struct {
	path      string // from the root of the tree, with slashes
	dir       string
	test      bool
	generated bool
	lines     []string
	ast       *ast.File
	set       *token.FileSet
	exempt    map[int]bool // lines below a comment with a line that begins with "tidy:"
}

// at begins a message about a node.
func (f *file) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, f.line(n.Pos()))
}

func (f *file) line(p token.Pos) int { return f.set.Position(p).Line }

// exempts reports whether a comment exempts the line of a node.
func (f *file) exempts(n ast.Node) bool { return f.exempt[f.line(n.Pos())] }

// imports lists the paths that a file imports.
func (f *file) imports() []string {
	var out []string
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value) // it has been parsed
		out = append(out, p)
	}
	return out
}

// parseTree parses every Go file of the tree once.
var parseTree = sync.OnceValues(func() ([]*file, error) {
	var out []*file
	err := walkTree(func(path string) error {
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parseFile(path)
		if err == nil {
			out = append(out, f)
		}
		return err
	})
	return out, err
})

// walkTree calls f with every file of the tree that is the project's, by its path from the root.
func walkTree(f func(path string) error) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p) // p is below root
		rel = filepath.ToSlash(rel)
		if !d.IsDir() {
			return f(rel)
		}
		hidden := strings.HasPrefix(d.Name(), ".") && rel != "."
		if hidden || d.Name() == "testdata" || rel == "bin" || rel == "data" {
			return filepath.SkipDir
		}
		return nil
	})
}

func parseFile(path string) (*file, error) {
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return nil, err
	}
	return parseText(path, text)
}

func parseText(path string, text []byte) (*file, error) {
	f := &file{
		path:   path,
		dir:    filepath.ToSlash(filepath.Dir(path)),
		test:   strings.HasSuffix(path, "_test.go"),
		lines:  strings.Split(strings.TrimRight(string(text), "\n"), "\n"),
		set:    token.NewFileSet(),
		exempt: map[int]bool{},
	}
	var err error // objects are resolved: they tell a local variable from one of the package
	if f.ast, err = parser.ParseFile(f.set, path, text, parser.ParseComments); err != nil {
		return nil, err
	}
	f.generated = ast.IsGenerated(f.ast)
	for _, group := range f.ast.Comments {
		for line := range strings.Lines(group.Text()) {
			if strings.HasPrefix(line, "tidy:") {
				f.exempt[f.line(group.End())+1] = true
			}
		}
	}
	return f, nil
}

// goFiles returns the Go files of the tree.
func goFiles(t *testing.T) []*file {
	t.Helper()
	files, err := parseTree()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// under reports whether a path is a folder or below it. Every path is under the empty one.
func under(path, folder string) bool {
	return folder == "" || path == folder || strings.HasPrefix(path, folder+"/")
}
