// Package linked lets tests look up which functions the linker has put into their program: a function
// whose calls a constant rules out is not there.
package linked

import (
	"debug/elf"
	"debug/gosym"
	"os"
	"strings"
	"testing"
)

// Has reports whether the running program has the function of that name, "path/of/package.(*Type).Method".
// A function that is only inlined into others counts as absent.
func Has(tb testing.TB, name string) bool {
	tb.Helper()
	path, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	f, err := elf.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	// go test strips the symbol table. The runtime's own table, which tracebacks need, stays.
	for _, s := range f.Sections {
		if !strings.HasSuffix(s.Name, ".gopclntab") {
			continue
		}
		data, err := s.Data()
		if err != nil {
			tb.Fatal(err)
		}
		table, err := gosym.NewTable(nil, gosym.NewLineTable(data, f.Section(".text").Addr))
		if err != nil {
			tb.Fatal(err)
		}
		return table.LookupFunc(name) != nil
	}
	tb.Fatalf("%s has no table of functions", path)
	return false
}
