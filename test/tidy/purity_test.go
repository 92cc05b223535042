package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// impure are imports that no engine may have: time that passes, chance, files, sockets and locks are
// arguments there.
var impure = []string{
	"os", "os/exec", "net", "net/http", "log", "log/slog", "sync", "sync/atomic",
	"math/rand", "math/rand/v2", "crypto/rand",
	"github.com/asynkron/protoactor-go", "github.com/IBM/sarama", "github.com/prometheus",
}

// impureCalls are functions that no engine calls: clocks, and chance.
var impureCalls = map[string][]string{
	"time":    {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"},
	"maphash": {"MakeSeed", "Comparable", "WriteComparable"},
	"uuid":    {"New", "NewString", "NewRandom", "NewUUID", "NewV7"},
}

// constant are constructors whose result nobody can change, so that a variable of a package may hold
// it.
var constant = []string{"errors.New", "strings.NewReplacer"}

// Engines compute: they have no clock, chance, file, socket, lock, logger or goroutine.
func TestEnginesArePure(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.test && under(f.dir, "runtime/engine") {
			complain(t, impurities(f))
		}
	}
}

// Engines keep no state in variables of a package: what a variable holds cannot change once the
// program runs, and nothing assigns to it or to a part of it.
func TestEnginesHaveNoPackageState(t *testing.T) {
	files := goFiles(t)
	vars := packageVars(files)
	for _, f := range files {
		if !f.test && under(f.dir, "runtime/engine") {
			complain(t, packageState(f, vars[f.dir]))
		}
	}
}

// The two checks find what they are for, and leave alone what is exempt or local.
func TestPurityChecksFind(t *testing.T) {
	f, err := parseText("runtime/engine/x/x.go", []byte(`package x

import "math/rand"

var table, cache = map[string]int{}, newCache()

// tidy: nobody sees it
var seed = maphash.MakeSeed()

func f() {
	go f()
	_ = time.Now()
	table["a"] = 1
	// tidy: for a test
	table["b"] = 1
	delete(table, "c")
	last++
	p := &last
	{
		table := map[string]int{}
		table["d"]++
		last := &table
		*last = nil
	}
}
`))
	if err != nil {
		t.Fatal(err)
	}
	vars := packageVars([]*file{f})[f.dir]
	vars["last"] = true // of another file
	got := append(impurities(f), packageState(f, vars)...)
	want := []string{
		"runtime/engine/x/x.go imports math/rand",
		"runtime/engine/x/x.go:11 starts a goroutine",
		"runtime/engine/x/x.go:12 calls time.Now",
		"runtime/engine/x/x.go:5: table holds what a constructor made, which may have state",
		"runtime/engine/x/x.go:13 changes table, a variable of the package",
		"runtime/engine/x/x.go:16 changes table, a variable of the package",
		"runtime/engine/x/x.go:17 changes last, a variable of the package",
		"runtime/engine/x/x.go:18 changes last, a variable of the package",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func complain(t *testing.T, findings []string) {
	t.Helper()
	for _, text := range findings {
		t.Error(text)
	}
}

// impurities lists what an engine's file may not import, call or start.
func impurities(f *file) (out []string) {
	for _, p := range f.imports() {
		for _, bad := range impure {
			if p == bad || strings.HasPrefix(p, bad+"/") && strings.Contains(bad, ".") {
				out = append(out, fmt.Sprintf("%s imports %s", f.path, p))
			}
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			out = append(out, f.at(n)+" starts a goroutine")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && slices.Contains(impureCalls[x.Name], n.Sel.Name) && !f.exempts(n) {
				out = append(out, fmt.Sprintf("%s calls %s.%s", f.at(n), x.Name, n.Sel.Name))
			}
		}
		return true
	})
	return out
}

// packageState lists where a file has state in variables of its package, whose names are vars.
func packageState(f *file, vars map[string]bool) []string {
	out := statefulInitialisers(f)
	for _, decl := range f.ast.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil && fn.Name.Name != "init" {
			out = append(out, assignments(f, fn, vars)...)
		}
	}
	return out
}

// packageVars returns the names of the variables of each package, by folder.
func packageVars(files []*file) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		if out[f.dir] == nil {
			out[f.dir] = map[string]bool{}
		}
		for _, spec := range varSpecs(f) {
			for _, name := range spec.Names {
				out[f.dir][name.Name] = true
			}
		}
	}
	return out
}

// varSpecs are the declarations of variables of a file's package.
func varSpecs(f *file) []*ast.ValueSpec {
	var out []*ast.ValueSpec
	for _, decl := range f.ast.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
			for _, spec := range d.Specs {
				out = append(out, spec.(*ast.ValueSpec))
			}
		}
	}
	return out
}

// statefulInitialisers lists the variables that hold what a constructor made: it may have state that
// its methods change.
func statefulInitialisers(f *file) (out []string) {
	for _, spec := range varSpecs(f) {
		for _, value := range spec.Values {
			ast.Inspect(value, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && isConstructor(call.Fun) && !f.exempts(spec) {
					text := fmt.Sprintf("%s: %s holds what a constructor made, which may have state", f.at(n), spec.Names[0].Name)
					out = append(out, text)
				}
				_, isFunc := n.(*ast.FuncLit) // runs later, or fills a table here
				return !isFunc
			})
		}
	}
	return out
}

// isConstructor reports whether a function is called like one.
func isConstructor(fn ast.Expr) bool {
	name := types.ExprString(fn)
	if slices.Contains(constant, name) {
		return false
	}
	last := strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
	return strings.HasPrefix(last, "new") || strings.HasPrefix(last, "make") && last != "make" ||
		strings.HasPrefix(last, "open") || strings.HasPrefix(last, "start")
}

// assignments lists what a function does to variables of its package, whose names are vars.
func assignments(f *file, fn *ast.FuncDecl, vars map[string]bool) (out []string) {
	note := func(n ast.Node, target ast.Expr) {
		if name := packageVar(f, target, vars); name != "" && !f.exempts(n) {
			out = append(out, fmt.Sprintf("%s changes %s, a variable of the package", f.at(n), name))
		}
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				break
			}
			for _, target := range n.Lhs {
				note(n, target)
			}
		case *ast.IncDecStmt:
			note(n, n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				note(n, n.X)
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") {
				note(n, n.Args[0])
			}
		}
		return true
	})
	return out
}

// packageVar returns the name of the variable of the package that an expression is or is a part of;
// empty where it is none. A variable of another file of the package has no object.
func packageVar(f *file, e ast.Expr, vars map[string]bool) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			if !vars[x.Name] {
				return ""
			}
			if x.Obj != nil && f.ast.Scope.Objects[x.Name] != x.Obj {
				return "" // a local variable
			}
			return x.Name
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return ""
		}
	}
}

// Actors use no goroutines, channels, mutexes or atomics; where one is needed, a comment `tidy:` on
// the line above says why.
func TestActorsHaveNoConcurrencyOfTheirOwn(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || !under(f.dir, "actors") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if n == nil || f.exempts(n) {
				return true
			}
			switch n := n.(type) {
			case *ast.ImportSpec:
				if n.Path.Value == `"sync"` || n.Path.Value == `"sync/atomic"` {
					t.Errorf("%s imports %s", f.at(n), n.Path.Value)
				}
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", f.at(n))
			case *ast.ChanType:
				t.Errorf("%s declares a channel", f.at(n))
			}
			return true
		})
	}
}
