package group

import (
	"bytes"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// FuzzFile holds the reader of files against one that splits the text into lines and words, and its errors against what
// a line of the log can hold.
func FuzzFile(f *testing.F) {
	for _, text := range []string{
		"", "a 10.0.0.0/8\n", "a 10.0.0.0/8\n 11.0.0.0/8 # c\n\n#d\nb/24 12.0.0.0/8 13.0.0.0/24\nc/56 2001:db8::/32",
		"\uFEFFa\r\n\t::/0", " 10.0.0.0/8", "a 10.0.0.1/8", "a 10.0.0.0/8\nb 10.0.0.0/8", "a/24 10.0.0.0/25", "other 1.2.3.4", "a\xff 1.2.3.4", "a ::ffff:1.2.3.4/128", "a#b 1.1.1.1#c",
	} {
		f.Add([]byte(text))
	}
	where := regexp.MustCompile(`^f: line ([0-9]+): `)
	f.Fuzz(func(t *testing.T, text []byte) {
		want, good := slowly(string(text))
		b := NewBuilder(new(Names), MaxGroups)
		err := b.AddFile("f", bytes.NewReader(text))
		if (err == nil) != good {
			t.Fatalf("error %v, want a good file: %v", err, good)
		}
		if err != nil {
			at := where.FindStringSubmatch(err.Error())
			if at == nil || !oneLine(err.Error()) {
				t.Fatalf("error %q, want one line that begins with where it is", err)
			}
			if line, _ := strconv.Atoi(at[1]); line < 1 || line > bytes.Count(text, []byte("\n"))+1 {
				t.Fatalf("error %q names a line that there is not", err)
			}
			return
		}
		if got := contents(done(t, b)); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}

// slowly reads a file as contents returns it, or reports that it is no good one.
func slowly(text string) (all string, good bool) {
	type reading struct {
		name, length string
		prefixes     map[netip.Prefix]bool
	}
	var groups []reading
	owner := map[netip.Prefix]string{}
	s := &Set{names: new(Names)}
	const blank = " \t\r\v\f"
	for line := range strings.Lines(strings.TrimPrefix(text, "\uFEFF")) {
		words := strings.FieldsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r < 0x80 && strings.ContainsRune(blank, r) })
		for i, word := range words {
			if word[0] == '#' {
				words = words[:i]
				break
			}
		}
		if len(words) == 0 {
			continue
		}
		if !strings.Contains(blank, line[:1]) {
			name, length, split := strings.Cut(words[0], "/")
			if n, bits, err := splitName(words[0]); err != nil || n != name || (bits != 0) != split || split && strconv.Itoa(int(bits)) != strings.TrimLeft(length, "0") {
				return "", false
			}
			for _, g := range groups {
				if g.name == name {
					return "", false
				}
			}
			groups = append(groups, reading{name, strings.TrimLeft(length, "0"), map[netip.Prefix]bool{}})
			words = words[1:]
		}
		if len(groups) == 0 {
			return "", false
		}
		g := &groups[len(groups)-1]
		for _, word := range words {
			p, err := netip.ParsePrefix(word)
			if a, notAddress := netip.ParseAddr(word); notAddress == nil {
				p, err = netip.PrefixFrom(a.WithZone(""), a.BitLen()), nil
				if a.Zone() != "" {
					return "", false
				}
			}
			if err != nil || p != p.Masked() || p.Addr().Is4In6() {
				return "", false
			}
			if before, twice := owner[p]; twice && before != g.name {
				return "", false
			}
			if length, _ := strconv.Atoi(g.length); length != 0 {
				if length < p.Bits() || p.Addr().Is4() && length > 32 {
					return "", false
				}
				for other := range g.prefixes {
					if other.Addr().Is4() != p.Addr().Is4() {
						return "", false
					}
				}
			}
			owner[p], g.prefixes[p] = g.name, true
		}
	}
	for g, read := range groups {
		if len(read.prefixes) == 0 {
			return "", false
		}
		bits, _ := strconv.Atoi(read.length)
		s.groups = append(s.groups, Member{Name: s.names.number(read.name), Bits: uint8(bits)})
		for p := range read.prefixes {
			s.prefixes.Insert(p, uint32(g))
		}
	}
	return contents(s), true
}
