package tidy

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dated are documents that tell what was at a time: names in them may be gone.
var dated = []string{"CHANGELOG.md", "docs/benchmarks.md"}

var (
	inBackticks = regexp.MustCompile("`([^`\n]+)`")
	goFileName  = regexp.MustCompile(`^[\w/.-]+\.go$`)
	pathName    = regexp.MustCompile(`^(\.\./)?[\w.-]+(/[\w.*-]+)+/?$`)
	exportedOf  = regexp.MustCompile(`^([a-z]\w*)\.([A-Z]\w*)(?:\.([A-Z]\w*))?(?:\(\))?$`)
	citedPage   = regexp.MustCompile(`(docs/[\w/-]+\.md)(?:, "([^"]+)")?`)
	fenced      = regexp.MustCompile("(?ms)^```.*?^```")
	headings    = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
)

// Documents name files, folders and Go names that exist.
func TestDocumentsNameWhatExists(t *testing.T) {
	names := collectNames(goFiles(t))
	err := walkTree(func(path string) error {
		if !strings.HasSuffix(path, ".md") || slices.Contains(dated, path) {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err == nil {
			complain(t, names.unknownIn(path, fenced.ReplaceAllString(string(text), "")))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Comments cite pages, and headings in them, that exist.
func TestCommentsCitePagesThatExist(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, group := range f.ast.Comments {
			text := strings.Join(strings.Fields(group.Text()), " ")
			for _, m := range citedPage.FindAllStringSubmatch(text, -1) {
				page, err := os.ReadFile(filepath.Join(root, m[1]))
				switch {
				case err != nil:
					t.Errorf("%s cites %s, which does not exist", f.at(group), m[1])
				case m[2] != "" && !hasHeading(string(page), m[2]):
					t.Errorf("%s cites %q of %s, which has no such heading", f.at(group), m[2], m[1])
				}
			}
		}
	}
}

func hasHeading(page, heading string) bool {
	return slices.ContainsFunc(headings.FindAllStringSubmatch(page, -1), func(m []string) bool { return m[1] == heading })
}

// names are what documents may name.
type names struct {
	files    map[string]bool            // the base names of Go files
	exported map[string]map[string]bool // by name of package: Name and Type.Name
}

func collectNames(files []*file) names {
	n := names{files: map[string]bool{}, exported: map[string]map[string]bool{}}
	for _, f := range files {
		n.files[filepath.Base(f.path)] = true
		pkg := strings.TrimSuffix(f.ast.Name.Name, "_test")
		if n.exported[pkg] == nil {
			n.exported[pkg] = map[string]bool{}
		}
		for _, decl := range f.ast.Decls {
			for _, name := range declared(decl) {
				n.exported[pkg][name] = true
			}
		}
	}
	return n
}

// declared lists the names that a declaration makes, those of methods and fields behind their type's.
func declared(decl ast.Decl) (out []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []string{d.Name.Name}
		}
		return []string{receiver(d) + "." + d.Name.Name}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				for _, id := range s.Names {
					out = append(out, id.Name)
				}
			case *ast.TypeSpec:
				out = append(out, s.Name.Name)
				for _, member := range members(s.Type) {
					out = append(out, s.Name.Name+"."+member)
				}
			}
		}
	}
	return out
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// members lists the fields of a struct, or the methods of an interface.
func members(e ast.Expr) (out []string) {
	var list *ast.FieldList
	switch x := e.(type) {
	case *ast.StructType:
		list = x.Fields
	case *ast.InterfaceType:
		list = x.Methods
	default:
		return nil
	}
	for _, field := range list.List {
		for _, id := range field.Names {
			out = append(out, id.Name)
		}
	}
	return out
}

// unknownIn lists the names in backticks of a document that exist nowhere. A file name without a
// folder is one of the folder that its paragraph names last, or of any.
func (n names) unknownIn(path, text string) (out []string) {
	for _, paragraph := range strings.Split(text, "\n\n") {
		folder := ""
		for _, m := range inBackticks.FindAllStringSubmatch(paragraph, -1) {
			name := m[1]
			switch {
			case pathName.MatchString(name) && isOurPath(name):
				if !exists(path, name) {
					out = append(out, fmt.Sprintf("%s names %s, which does not exist", path, name))
				} else if !strings.HasSuffix(name, ".go") {
					folder = strings.TrimPrefix(name, "../")
				}
			case goFileName.MatchString(name):
				inFolder := folder != "" && exists("", filepath.Join(folder, name))
				if !inFolder && !n.files[name] {
					out = append(out, fmt.Sprintf("%s names %s, a file that does not exist", path, name))
				}
			case exportedOf.MatchString(name) && !n.knows(exportedOf.FindStringSubmatch(name)):
				out = append(out, fmt.Sprintf("%s names %s, which is not declared", path, name))
			}
		}
	}
	return out
}

// isOurPath reports whether a path begins with a folder of the tree, or leaves the one it stands in.
func isOurPath(name string) bool {
	top, _, _ := strings.Cut(strings.TrimPrefix(name, "../"), "/")
	return slices.Contains(topFolders[:8], top)
}

// exists reports whether a path is there, from the root or from the folder of the document.
func exists(document, name string) bool {
	for _, from := range []string{"", filepath.Dir(document)} {
		if found, _ := filepath.Glob(filepath.Join(root, from, name)); len(found) > 0 {
			return true
		}
	}
	return false
}

// knows reports whether a name is declared in a package of that name. It does not judge packages
// that are not ours.
func (n names) knows(parts []string) bool {
	pkg, name, member := parts[1], parts[2], parts[3]
	declared, ours := n.exported[pkg]
	if !ours {
		return true
	}
	if member != "" {
		name += "." + member
	}
	return declared[name]
}
