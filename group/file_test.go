package group

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"
)

func TestFiles(t *testing.T) {
	long := strings.Repeat("x", maxName)
	for _, row := range []struct{ says, text, want string }{
		{"nothing", "", ""},
		{"comments and empty lines", "# a\n\n  \t\r\n   # b\n#", ""},
		{"a group", "a 10.0.0.0/8", "a: 10.0.0.0/8"},
		{"a group with an end of its line", "a 10.0.0.0/8\n", "a: 10.0.0.0/8"},
		{"ends of lines as Windows has them, and its mark", "\uFEFFa 10.0.0.0/8\r\nb 11.0.0.0/8\r\n", "a: 10.0.0.0/8, b: 11.0.0.0/8"},
		{"both families", "a 10.0.0.0/8 2001:db8::/32", "a: 10.0.0.0/8 2001:db8::/32"},
		{"addresses", "a 10.0.0.1 2001:db8::1", "a: 10.0.0.1/32 2001:db8::1/128"},
		{"everything", "a 0.0.0.0/0 ::/0", "a: 0.0.0.0/0 ::/0"},
		{"a comment behind", "a 10.0.0.0/8 # not 11.0.0.0/8\n", "a: 10.0.0.0/8"},
		{"a name with #", "a#b 10.0.0.0/8", "a#b: 10.0.0.0/8"},
		{"a name of any letters", "Büro-東京_1.2:3, 10.0.0.0/8", "Büro-東京_1.2:3,: 10.0.0.0/8"},
		{"a quoted name", `"a" 10.0.0.0/8`, `"a": 10.0.0.0/8`},
		{"a name in other case than other", "Other 10.0.0.0/8", "Other: 10.0.0.0/8"},
		{"the longest name", long + " 10.0.0.0/8", long + ": 10.0.0.0/8"},
		{"a line that goes on", "a 10.0.0.0/8\n 11.0.0.0/8\n\t12.0.0.0/8\nb 13.0.0.0/8", "a: 10.0.0.0/8 11.0.0.0/8 12.0.0.0/8, b: 13.0.0.0/8"},
		{"one that goes on behind its name", "a\n 10.0.0.0/8", "a: 10.0.0.0/8"},
		{"one that goes on behind comments", "a # b\n# c\n\n # d\n 10.0.0.0/8", "a: 10.0.0.0/8"},
		{"a prefix twice in one group", "a 10.0.0.0/8 10.0.0.0/8\n 10.0.0.0/8", "a: 10.0.0.0/8"},
		{"subnets", "a/24 10.0.0.0/8 11.0.0.0/24\nb/56 2001:db8::/32", "a/24: 10.0.0.0/8 11.0.0.0/24, b/56: 2001:db8::/32"},
		{"the extremes of lengths", "a/1 0.0.0.0/0\nb/32 10.0.0.1\nc/1 ::/0\nd/64 2001:db8::/64", "a/1: 0.0.0.0/0, b/32: 10.0.0.1/32, c/1: ::/0, d/64: 2001:db8::/64"},
		{"a prefix within another group's", "a 10.0.0.0/8\nb 10.0.0.0/9", "a: 10.0.0.0/8, b: 10.0.0.0/9"},
		{"a long line and a long comment", "a" + strings.Repeat(" 10.0.0.0/8", 50000) + " #" + strings.Repeat("c", 200000) + "\nb 11.0.0.0/8", "a: 10.0.0.0/8, b: 11.0.0.0/8"},
	} {
		// One byte at a time shows what depends on where a read ends.
		for _, reader := range []io.Reader{strings.NewReader(row.text), iotest.OneByteReader(strings.NewReader(row.text))} {
			b := NewBuilder(new(Names), MaxGroups)
			if err := b.AddFile("file", reader); err != nil {
				t.Errorf("%s: %v", row.says, err)
			} else if got := contents(done(t, b)); got != row.want {
				t.Errorf("%s: %s, want %s", row.says, got, row.want)
			}
		}
	}
}

// contents returns a Set's groups in order, with their prefixes.
func contents(s *Set) string {
	groups := make([][]string, len(s.groups))
	for p, g := range s.prefixes.AllSorted() {
		groups[g] = append(groups[g], p.String())
	}
	text := make([]string, 0, len(s.groups))
	for g, m := range s.groups {
		name := s.names.name(m.Name)
		if m.Bits != 0 {
			name += fmt.Sprintf("/%d", m.Bits)
		}
		text = append(text, name+": "+strings.Join(groups[g], " "))
	}
	return strings.Join(text, ", ")
}

func TestFilesThatCannotBe(t *testing.T) {
	for _, row := range []struct{ says, text, want string }{
		{"no prefix", "a", "line 1: group a has no prefix: write some"},
		{"no prefix before another group", "a\n\n# c\nb 10.0.0.0/8", "line 1: group a has no prefix"},
		{"white space at the beginning", " a 10.0.0.0/8", "line 1: begins with white space"},
		{"an indented line that is a group", "a 10.0.0.0/8\n b 11.0.0.0/8", `line 2: "b" is no prefix: want one such as 10.1.0.0/16, 2001:db8::/32 or 192.0.2.1; a line that begins with white space continues`},
		{"a bad prefix", "\na 10.0.0/8", `line 2: "10.0.0/8" is no prefix: want`},
		{"a length beyond", "a 10.0.0.0/33", `line 1: "10.0.0.0/33" is no prefix`},
		{"no length", "a 10.0.0.0/", `line 1: "10.0.0.0/" is no prefix`},
		{"commas", "a 10.0.0.0/8,11.0.0.0/8", "with spaces between"},
		{"a zone", "a fe80::1%eth0", "has a zone: leave out"},
		{"a zone in a prefix", "a fe80::%eth0/64", "has a zone: leave out"},
		{"host bits", "a 10.1.2.3/8", "line 1: 10.1.2.3/8 has bits behind its length: write 10.0.0.0/8, or 10.1.2.3 for"},
		{"host bits of IPv6", "a 2001:db8::1/32", "write 2001:db8::/32, or 2001:db8::1 for"},
		{"IPv4 in IPv6 form", "a ::ffff:10.0.0.0/104", "write 10.0.0.0/8"},
		{"an IPv4 address in IPv6 form", "a ::ffff:10.0.0.1", "write 10.0.0.1"},
		{"a prefix in two groups", "a 10.0.0.0/8\n\nb 11.0.0.0/8\n 10.0.0.0/8", "line 4: 10.0.0.0/8 is in group a already (line 1): leave it out"},
		{"a prefix in two groups, once split", "a 10.0.0.0/8\nb/24 10.0.0.0/8", "line 2: 10.0.0.0/8 is in group a already"},
		{"an address and its prefix", "a 10.0.0.1\nb 10.0.0.1/32", "line 2: 10.0.0.1/32 is in group a already"},
		{"a name twice", "a 10.0.0.0/8\nb 11.0.0.0/8\na 12.0.0.0/8", "line 3: group a is there already (line 1): give it all its prefixes there"},
		{"a name twice, once split", "a 10.0.0.0/8\na/24 11.0.0.0/8", "line 2: group a is there already"},
		{"an empty name", "/24 10.0.0.0/8", "line 1: the name is empty: write"},
		{"a prefix for a name", "10.0.0.0/8 11.0.0.0/8", `line 1: "10.0.0.0/8" is a prefix and no name: write a name before it`},
		{"an address for a name", "2001:db8::1 11.0.0.0/8", "is a prefix and no name"},
		{"a name that is not UTF-8", "a\xff 10.0.0.0/8", `line 1: the name "a\xff" is not UTF-8: convert it`},
		{"a file of UTF-16", "\xff\xfea\x00 \x00", "is not UTF-8"},
		{"a name with a control character", "a\x01b 10.0.0.0/8", `the name "a\x01b" has white space, a control character`},
		{"a name with a space that does not show", "a\u00a0b 10.0.0.0/8", `the name "a\u00a0b" has white space`},
		{"a name with =", "a=10.0.0.0/8", `the name "a=10.0.0.0" has white space, a control character or = in it`},
		{"the name other", "other 10.0.0.0/8", "the name other stands for what no group has: choose"},
		{"the name other, split", "other/24 10.0.0.0/8", "the name other stands for"},
		{"a long name", strings.Repeat("ü", maxName/2) + "u 10.0.0.0/8", "is too long: use at most 128 bytes"},
		{"a very long name", strings.Repeat("x", 1<<20) + " 10.0.0.0/8", "is too long"},
		{"a very long prefix", "a 10.0.0.0/8" + strings.Repeat("0", 1<<20), "is no prefix"},
		{"a slash in a name", "a/b 10.0.0.0/8", `the length behind a is "b": want 1 to 32 for IPv4 or 1 to 64 for IPv6`},
		{"two lengths", "a/24/56 10.0.0.0/8", `the length behind a is "24/56": want`},
		{"an empty length", "a/ 10.0.0.0/8", `the length behind a is "": want`},
		{"a length of 0", "a/0 0.0.0.0/0", `the length behind a is "0": want 1`},
		{"a negative length", "a/-1 10.0.0.0/8", "want 1 to 32"},
		{"a length beyond both families", "a/65 ::/0", "want 1 to 32"},
		{"a length of 256 and more", "a/280 10.0.0.0/8", "want 1 to 32"},
		{"a length beyond IPv4", "a/33 10.0.0.0/8", "line 1: a/33: an IPv4 subnet has a length of 1 to 32"},
		{"a length below the prefix's", "a/24 10.0.0.0/25", "line 1: 10.0.0.0/25 is smaller than the subnets of a/24: use a length of 25 to 32"},
		{"an IPv6 prefix that cannot be split", "a/64 2001:db8::/96", "2001:db8::/96 is smaller than the subnets of a/64: leave it out"},
		{"a length for both families", "a/24 10.0.0.0/8 2000::/3", "2000::/3 is IPv6 and the prefixes of a before it are IPv4"},
	} {
		b := NewBuilder(new(Names), MaxGroups)
		err := b.AddFile("-groups f", strings.NewReader(row.text))
		if err == nil || !strings.HasPrefix(err.Error(), "-groups f: line ") || !strings.Contains(err.Error(), row.want) || !oneLine(err.Error()) {
			t.Errorf("%s: error %v, want one line that begins with -groups f: line, and %q", row.says, err, row.want)
		}
	}
}

// oneLine reports whether a text can stand in a line of the log.
func oneLine(text string) bool {
	return utf8.ValidString(text) && len(text) < 500 && !strings.ContainsFunc(text, unicode.IsControl)
}

func TestFileThatCannotBeRead(t *testing.T) {
	b := NewBuilder(new(Names), MaxGroups)
	err := b.AddFile("-groups f", io.MultiReader(strings.NewReader("a 10.0.0.0/8\nb "), iotest.ErrReader(errors.New("is a directory"))))
	if err == nil || err.Error() != "-groups f: is a directory: name a file that can be read" {
		t.Errorf("error %v", err)
	}
}

func TestTexts(t *testing.T) {
	b := NewBuilder(new(Names), MaxGroups)
	for _, text := range []string{"a=10.0.0.0/8", "b=11.0.0.0/8, 2001:db8::1", "c/24=12.0.0.0/8"} {
		if err := b.AddText("-group", text); err != nil {
			t.Error(err)
		}
	}
	if err := b.AddFile("file", strings.NewReader("d 13.0.0.0/8")); err != nil {
		t.Error(err)
	}
	if got, want := contents(done(t, b)), "a: 10.0.0.0/8, b: 11.0.0.0/8 2001:db8::1/128, c/24: 12.0.0.0/8, d: 13.0.0.0/8"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTextsThatCannotBe(t *testing.T) {
	for _, row := range []struct{ says, text, want string }{
		{"nothing", "", "has no =: want NAME=CIDR"},
		{"no prefixes", "b", "has no =: want NAME=CIDR"},
		{"an empty prefix", "b=", "has an empty prefix: want NAME=CIDR"},
		{"a comma at the end", "b=11.0.0.0/8,", "has an empty prefix"},
		{"an empty name", "=10.0.0.0/8", "the name is empty"},
		{"a name with a space", "b c=10.0.0.0/8", "has white space"},
		{"a bad prefix", "b=10.0.0/8", "is no prefix"},
		{"two =", "b=c=10.0.0.0/8", "is no prefix"},
		{"a name twice", "a=11.0.0.0/8", "group a is there already (-group a=10.0.0.0/8): give"},
		{"a prefix twice", "b=10.0.0.0/8", "10.0.0.0/8 is in group a already (-group a=10.0.0.0/8): leave"},
	} {
		b := NewBuilder(new(Names), MaxGroups)
		if err := b.AddText("-group a=10.0.0.0/8", "a=10.0.0.0/8"); err != nil {
			t.Fatal(err)
		}
		err := b.AddText("-group x", row.text)
		if err == nil || !strings.HasPrefix(err.Error(), "-group x: ") || !strings.Contains(err.Error(), row.want) || !oneLine(err.Error()) {
			t.Errorf("%s: error %v, want one line with %q", row.says, err, row.want)
		}
	}
}

func TestMoreGroupsThanRoom(t *testing.T) {
	services := &Services{}
	for _, row := range []struct {
		room int
		want string
	}{
		{3, ""},
		{2, "-groups f: line 3: is group 3 of 3, and -group-max 2 has room for 2: raise it, up to 65536, or leave groups out"},
		{1, "-groups f: line 1: is group 2 of 3, and -group-max 1 has room for 1"},
	} {
		b := NewBuilder(new(Names), row.room)
		if err := b.AddText("-group a", "a=10.0.0.0/8"); err != nil {
			t.Fatal(err)
		}
		if err := b.AddFile("-groups f", strings.NewReader("b 11.0.0.0/8\n 12.0.0.0/8\nc 13.0.0.0/8\n")); err != nil {
			t.Fatal(err)
		}
		_, err := b.Build(services, fmt.Sprintf("-group-max %d", row.room))
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.HasPrefix(err.Error(), row.want)) {
			t.Errorf("room %d: error %v, want %q", row.room, err, row.want)
		}
	}
}

func TestServices(t *testing.T) {
	for _, row := range []struct{ list, want string }{
		{"none", ""}, {" none ", ""}, {"1,65535", ""}, {"22, 80", ""}, {DefaultServices, ""},
		{"", "name ports"}, {" ", "name ports"},
		{"80,", `"" is no port: want 1 to 65535`},
		{"0", `"0" is no port`}, {"65536", `"65536" is no port`}, {"-1", `"-1" is no port`}, {"http", `"http" is no port`}, {"80-90", `"80-90" is no port`},
		{"4294967376", "is no port"}, // 80 in 32 bits
		{"80,443,80", "port 80 is there twice: leave one out"},
		{"80,none", "none stands alone"},
	} {
		_, err := ParseServices(row.list)
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%q: error %v, want %q", row.list, err, row.want)
		}
	}
}
