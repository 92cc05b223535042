package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The bounds of TestShape. Widths count a tab as four columns.
const (
	maxCodeColumns    = 120
	maxCommentColumns = 100
	maxFunctionLines  = 80
	maxBranches       = 25
	maxFields         = 15
	maxAssigned       = 3 // values of one assignment
)

// measure is one property that TestShape counts in each package.
type measure int

const (
	functions measure = iota
	oneWordNames
	lineCount
	commentLines
	wideCode
	wideComments
	longFunctions
	branchyFunctions
	largeStructsFound
	wideAssignments
	measures
)

// most is how often each finding may stand in the whole tree. Shares are checked apart.
var most = map[measure]int{
	wideCode:         0,
	wideComments:     0,
	longFunctions:    0,
	branchyFunctions: 0,
	wideAssignments:  10,
}

// mostOneWord is the share of functions that may be named by one lower-case word, in percent.
const mostOneWord = 20

// largeStructs are the structs of more than maxFields fields, each with what makes it one thing.
var largeStructs = map[string]string{
	"actors/queryfrontend.Config": "the keys of one section of the configuration",
	"cmd/troupe.Config":           "the sections of the configuration",
	"cmd/troupe.Server":           "the keys of one section of the configuration",
	"runtime/engine/block.Meta":   "the fields of meta.json, whose format is fixed",
	"runtime/engine/trace.Span":   "the fields of a span in OTLP",
	"runtime/gateway/admin.Deps":  "what the pages show, one field a page or a fact",
}

// mostLargeStructs bounds that list.
const mostLargeStructs = 10

var titles = [measures]string{
	"functions", "one word", "lines", "comments", "wide code", "wide comments", "long", "branchy", "large structs", "4-way",
}

// shape is what was counted, and where.
type shape struct {
	counts   [measures]int
	findings []string
}

func (s *shape) find(m measure, where, format string, args ...any) {
	s.counts[m]++
	s.findings = append(s.findings, where+": "+fmt.Sprintf(format, args...))
}

// add adds the counts and findings of another shape.
func (s *shape) add(o *shape) {
	for m, n := range o.counts {
		s.counts[m] += n
	}
	s.findings = append(s.findings, o.findings...)
}

// Code is neither wide nor long, and names say what they name. Tests, generated code and the
// simulator are left out.
func TestShape(t *testing.T) {
	packages := map[string]*shape{}
	large := map[string]bool{}
	for _, f := range goFiles(t) {
		if !isHandWritten(f) {
			continue
		}
		if packages[f.dir] == nil {
			packages[f.dir] = &shape{}
		}
		packages[f.dir].measureLines(f)
		packages[f.dir].measureDeclarations(f, large)
	}
	all := &shape{}
	table := []string{"", row("", nil)}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		all.add(packages[dir])
		table = append(table, row(dir, packages[dir]))
	}
	t.Log(strings.Join(append(table, row("all", all)), "\n"))
	if *report {
		t.Log("\n" + strings.Join(all.findings, "\n"))
	}
	for m, limit := range most {
		if all.counts[m] > limit {
			t.Errorf("%s: %d, of which there may be %d; -report lists them", titles[m], all.counts[m], limit)
		}
	}
	if share := 100 * all.counts[oneWordNames] / all.counts[functions]; share > mostOneWord {
		t.Errorf("%d %% of functions are named by one lower-case word; at most %d %% may be", share, mostOneWord)
	}
	checkLargeStructs(t, large)
}

// checkLargeStructs compares the structs that are large with those that may be.
func checkLargeStructs(t *testing.T, found map[string]bool) {
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if largeStructs[name] == "" {
			t.Errorf("%s has more than %d fields: split it, or say in largeStructs what makes it one thing", name, maxFields)
		}
	}
	for name := range largeStructs {
		if !found[name] {
			t.Errorf("%s is not large any more: take it out of largeStructs", name)
		}
	}
	if len(largeStructs) > mostLargeStructs {
		t.Errorf("largeStructs lists %d structs, of which there may be %d", len(largeStructs), mostLargeStructs)
	}
}

func isHandWritten(f *file) bool {
	return !f.test && !f.generated && !under(f.dir, "test") && !under(f.dir, "deploy") && !under(f.dir, "runtime/kernel/sim")
}

// row is a line of the table: the counts of a package, or the titles.
func row(name string, s *shape) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-30s", name)
	for m, title := range titles {
		switch {
		case s == nil:
			fmt.Fprintf(&b, " %*s", len(title), title)
		case measure(m) == oneWordNames:
			fmt.Fprintf(&b, " %*s", len(title), percent(s.counts[m], s.counts[functions]))
		case measure(m) == commentLines:
			fmt.Fprintf(&b, " %*s", len(title), percent(s.counts[m], s.counts[lineCount]))
		default:
			fmt.Fprintf(&b, " %*d", len(title), s.counts[m])
		}
	}
	return b.String()
}

func percent(part, whole int) string { return fmt.Sprintf("%d %%", 100*part/max(whole, 1)) }

// measureLines counts lines, comments, and what is too wide.
func (s *shape) measureLines(f *file) {
	commented := map[int]bool{}
	for _, group := range f.ast.Comments {
		for l := f.line(group.Pos()); l <= f.line(group.End()); l++ {
			commented[l] = true
		}
	}
	s.counts[lineCount] += len(f.lines)
	s.counts[commentLines] += len(commented)
	for i, text := range f.lines {
		where := fmt.Sprintf("%s:%d", f.path, i+1)
		columns := utf8.RuneCountInString(strings.ReplaceAll(text, "\t", "    "))
		isComment := strings.HasPrefix(strings.TrimSpace(text), "//")
		switch {
		case isComment && columns > maxCommentColumns:
			s.find(wideComments, where, "comment of %d columns", columns)
		case !isComment && columns > maxCodeColumns:
			s.find(wideCode, where, "code of %d columns", columns)
		}
	}
}

// oneWord is a name of one lower-case word.
var oneWord = regexp.MustCompile(`^[a-z0-9]+$`)

// measureDeclarations counts functions, structs and assignments. It adds the large structs to large.
func (s *shape) measureDeclarations(f *file, large map[string]bool) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if len(n.Lhs) > maxAssigned {
				s.find(wideAssignments, f.at(n), "assignment of %d values", len(n.Lhs))
			}
		case *ast.TypeSpec:
			if st, ok := n.Type.(*ast.StructType); ok && st.Fields.NumFields() > maxFields {
				large[f.dir+"."+n.Name.Name] = true
				s.find(largeStructsFound, f.at(n), "%s has %d fields", n.Name.Name, st.Fields.NumFields())
			}
		case *ast.FuncDecl:
			s.measureFunction(f, n)
		}
		return true
	})
}

func (s *shape) measureFunction(f *file, fn *ast.FuncDecl) {
	s.counts[functions]++
	if oneWord.MatchString(fn.Name.Name) {
		s.find(oneWordNames, f.at(fn), "%s is one word", fn.Name.Name)
	}
	if lines := f.line(fn.End()) - f.line(fn.Pos()); lines > maxFunctionLines {
		s.find(longFunctions, f.at(fn), "%s has %d lines", fn.Name.Name, lines)
	}
	if n := branches(fn); n > maxBranches {
		s.find(branchyFunctions, f.at(fn), "%s has %d branches", fn.Name.Name, n)
	}
}

// branches counts the places where a function may go one way or another.
func branches(fn *ast.FuncDecl) (count int) {
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			count++
		case *ast.CaseClause:
			if n.List != nil {
				count++
			}
		case *ast.CommClause:
			if n.Comm != nil {
				count++
			}
		case *ast.BinaryExpr:
			if n.Op == token.LAND || n.Op == token.LOR {
				count++
			}
		}
		return true
	})
	return count
}
