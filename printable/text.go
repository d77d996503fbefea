// Package printable makes text of what need not be any: names of interfaces and files, values of flags. The kernel
// takes nearly any bytes for an interface's name; labels, pages and lines of the log must be UTF-8.
package printable

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text returns s with each byte that is not UTF-8 written as \xff, the way a shell's $'…' takes it. What is UTF-8
// stays as it is, so that names that differ stay different, but for those that spell such a byte out.
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
