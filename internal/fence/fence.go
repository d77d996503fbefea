// Package fence checks what the project's own Go files import: in which packages and files unsafe and
// cgo may be, and that imports between packages run one way. Outside of tests it also checks who calls
// functions that panic.
//
// It reads sources alone, and so checks files for other systems and build tags as well. Its test runs it
// over the module ("make lint"); the rules are in rules.go.
package fence

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Violation is one import, call or folder against the rules.
type Violation struct {
	Pos  string // file:line, or a folder, relative to the module's root
	What string // what is wrong and what the rule allows
}

func (v Violation) String() string { return v.Pos + ": " + v.What }

// Check walks the module at root and returns every violation of r. Folders that belong to no build
// of this module are left out: testdata, vendor, names that begin with "." or "_", nested modules.
func Check(root, module string, r Rules) ([]Violation, error) {
	var out []Violation
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file != root && skipDir(file, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if pkg := path.Dir(rel); !seen[pkg] && !isTest(rel) {
			seen[pkg] = true
			if _, known := r.layer(pkg); !known {
				out = append(out, Violation{pkg, "package without a layer: give it one in internal/fence/rules.go"})
			}
		}
		v, err := checkFile(file, rel, module, r)
		out = append(out, v...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fence: walk %s: %w", root, err)
	}
	return out, nil
}

func skipDir(dir, name string) bool {
	if name == "testdata" || name == "vendor" || name[0] == '.' || name[0] == '_' {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return !errors.Is(err, fs.ErrNotExist)
}

// stem returns the name of a file without .go or _test.go.
func stem(rel string) string { return strings.TrimSuffix(strings.TrimSuffix(rel, ".go"), "_test") }

func isTest(rel string) bool { return strings.HasSuffix(rel, "_test.go") }

func checkFile(file, rel, module string, r Rules) ([]Violation, error) {
	fset := token.NewFileSet()
	mode := parser.SkipObjectResolution
	if isTest(rel) {
		mode |= parser.ImportsOnly
	}
	f, err := parser.ParseFile(fset, file, nil, mode)
	if err != nil {
		return nil, err
	}
	var out []Violation
	for _, spec := range f.Imports {
		what, err := checkImport(spec, rel, module, r)
		if err != nil {
			return nil, err
		}
		if what != "" {
			pos := fmt.Sprintf("%s:%d", rel, fset.Position(spec.Pos()).Line)
			out = append(out, Violation{pos, what})
		}
	}
	if !slices.Contains(r.Panics, rel) {
		for _, call := range musts(f) {
			pos := fmt.Sprintf("%s:%d", rel, fset.Position(call.Pos()).Line)
			out = append(out, Violation{pos, fmt.Sprintf("calls %s, which panics: what comes from outside gets an error", call.Sel.Name)})
		}
	}
	return out, nil
}

// musts returns the functions and methods of other packages by the name Must… that the file's functions call. Values
// of package variables are constants of the program: they may.
func musts(f *ast.File) (found []*ast.SelectorExpr) {
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			ast.Inspect(fn, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && strings.HasPrefix(s.Sel.Name, "Must") {
					found = append(found, s)
				}
				return true
			})
		}
	}
	return found
}

// checkImport returns what is wrong with one import of the file rel, or "".
func checkImport(spec *ast.ImportSpec, rel, module string, r Rules) (string, error) {
	imp, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return "", err
	}
	pkg := path.Dir(rel)
	if yard, fenced := r.Fenced[imp]; fenced && !slices.Contains(yard, pkg) {
		return fmt.Sprintf("imports %q: allowed only in %s", imp, strings.Join(yard, ", ")), nil
	}
	if ends, named := r.Names[imp]; named && !slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(stem(rel), end) }) {
		return fmt.Sprintf("imports %q: only files named *%s.go may", imp, strings.Join(ends, ".go or *")), nil
	}
	if isTest(rel) {
		return "", nil
	}
	from, known := r.layer(pkg)
	if !known { // reported once, for the folder
		return "", nil
	}
	own, inside := strings.CutPrefix(imp, module+"/")
	if !inside {
		for _, b := range r.Banned {
			if from.Height < b.Below && under(imp, b.Import) {
				return fmt.Sprintf("imports %q: %s is below capture/, which leaves it to the packages above", imp, pkg), nil
			}
		}
		return "", nil
	}
	to, known := r.layer(own)
	switch {
	case !known:
		return fmt.Sprintf("imports %q: package without a layer", imp), nil
	case to.Height > from.Height, to.Height == from.Height && !to.Peers:
		return fmt.Sprintf("imports %q: imports run down only, from %s (layer %d) to lower layers, not to %s (layer %d)",
			imp, pkg, from.Height, own, to.Height), nil
	case len(to.Only) > 0 && !slices.Contains(to.Only, pkg):
		return fmt.Sprintf("imports %q: only %s may", imp, strings.Join(to.Only, ", ")), nil
	}
	return "", nil
}

// under reports whether the import path imp is root or a package below it.
func under(imp, root string) bool { return imp == root || strings.HasPrefix(imp, root+"/") }
