package printable

import (
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for s, want := range map[string]string{
		"":                       "",
		"eth0":                   "eth0",
		"größe\\ \"\n\x01\uFFFD": "größe\\ \"\n\x01\uFFFD", // all of it is UTF-8
		"a\xff":                  `a\xff`,
		"\xfe\x80ü":              `\xfe\x80ü`,
		"cut off \xc3":           `cut off \xc3`,
		"\xed\xa0\x80":           `\xed\xa0\x80`, // half of a surrogate pair
	} {
		if got := Text(s); got != want || !utf8.ValidString(got) || Text(got) != got {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
	}
}
