// Package perfdata holds the data files of PERF.md: one table a file, values separated by tabs, in
// docs/perf. Command perf writes them, command plots draws them and writes them into PERF.md.
//
// A file begins with the comments of its Origin, one a line, and has a line of column names with
// their units before its rows:
//
//	# build 0123abc, 2026-11-28
//	# machine AMD EPYC; 2 CPUs; …
//	# command make perf: …
//	streams	traffic	runs	median (ns/packet)	lowest (ns/packet)	highest (ns/packet)
//	1000	no loss	7	28.1	27.7	29.9
package perfdata

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Origin says where a table's figures come from.
type Origin struct {
	Build   string // commit, a comma and the date of the measurement
	Machine string // its properties, separated by "; "
	Command string // what measured them
	Trial   bool   // a trial run in small sizes, whose figures say nothing
}

// Table is what one file holds.
type Table struct {
	Origin
	Columns []string
	Rows    [][]string
}

// trial is the last comment of the files of a trial run.
const trial = "# trial run: small sizes, figures that say nothing"

// Add appends a row; numbers are written with four digits that count or, if whole, in full.
func (t *Table) Add(values ...any) {
	row := make([]string, len(values))
	for i, v := range values {
		if f, ok := v.(float64); ok {
			row[i] = number(f)
		} else {
			row[i] = fmt.Sprint(v)
		}
	}
	t.Rows = append(t.Rows, row)
}

// number has no exponent, so that it can be read.
func number(f float64) string {
	if f == float64(int64(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 4, 64), 64)
	if err != nil {
		return strconv.FormatFloat(f, 'g', 4, 64) // NaN and infinities
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// Encode returns the text of a table's file.
func (t *Table) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# build %s\n# machine %s\n# command %s\n", t.Build, t.Machine, t.Command)
	if t.Trial {
		b.WriteString(trial + "\n")
	}
	for _, row := range append([][]string{t.Columns}, t.Rows...) {
		b.WriteString(strings.Join(row, "\t") + "\n")
	}
	return b.Bytes()
}

// Decode reads what Encode wrote. The error names the line.
func Decode(text []byte) (*Table, error) {
	t := &Table{}
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		comment, isComment := strings.CutPrefix(line, "# ")
		key, value, _ := strings.Cut(comment, " ")
		fields := strings.Split(line, "\t")
		switch {
		case line == trial:
			t.Trial = true
		case isComment && key == "build":
			t.Build = value
		case isComment && key == "machine":
			t.Machine = value
		case isComment && key == "command":
			t.Command = value
		case isComment:
			return nil, fmt.Errorf("line %d: comment %q: want build, machine or command", i+1, line)
		case t.Columns == nil:
			t.Columns = fields
		case len(fields) != len(t.Columns):
			return nil, fmt.Errorf("line %d: %d values under %d columns", i+1, len(fields), len(t.Columns))
		default:
			t.Rows = append(t.Rows, fields)
		}
	}
	if t.Build == "" || t.Machine == "" || t.Command == "" || len(t.Rows) == 0 {
		return nil, fmt.Errorf("want comments that name build, machine and command, and a row of figures")
	}
	return t, nil
}

// Read reads a table's file.
func Read(path string) (*Table, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := Decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (make perf writes it anew)", path, err)
	}
	return t, nil
}

// column returns the place of the column whose name, without its unit, is name.
func (t *Table) column(name string) int {
	return slices.IndexFunc(t.Columns, func(c string) bool {
		plain, _, _ := strings.Cut(c, " (")
		return plain == name
	})
}

// Text returns the value of a row in the column of that name; without such a column it is empty.
func (t *Table) Text(row int, name string) string {
	if c := t.column(name); c >= 0 {
		return t.Rows[row][c]
	}
	return ""
}

// Number returns the number of a row in the column of that name. The error names row and column.
func (t *Table) Number(row int, name string) (float64, error) {
	v, err := strconv.ParseFloat(t.Text(row, name), 64)
	if err != nil {
		return 0, fmt.Errorf("row %q, column %q: %q is no number", strings.Join(t.Rows[row], " "), name, t.Text(row, name))
	}
	return v, nil
}
