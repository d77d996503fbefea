// Package printable turns strings that may hold any bytes into text. The kernel takes nearly any bytes as the
// name of an interface or a file, and so does a command line as the value of a flag; labels, pages and lines
// of the log must be UTF-8.
package printable

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text returns s with each byte that is not UTF-8 written as \xff, which a shell reads back in $'…'. UTF-8 stays
// as it is. Names that differ stay different, unless one of them spells such a byte out.
func Text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[0])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}
