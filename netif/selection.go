package netif

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// AnyInterface is the part of a Selection that stands for all interfaces.
const AnyInterface = "any"

// Selection holds which interfaces are meant, by their names. Its text is a list of parts with commas
// between them:
//
//	eth0          the interface of this name
//	ppp*          all whose names match: * stands for any characters or none, ? for one
//	any           all
//	!ppp9, !tap*  not these; it wins wherever in the list it stands
//
// There are no brackets, and a backslash escapes nothing: both may be in a name, and stand for
// themselves. The kernel allows * ? , and a leading ! in a name too (dev_valid_name in net/core/dev.c). They are so
// rare there that no escape is worth a rule: ? stands for each of them.
// A character is one of UTF-8, or a byte that is not UTF-8.
//
// Among other parts, any is the same as *: "any,!lo" means all but lo, "any,eth0" means all, and that eth0 is
// missed while it does not exist. An interface that is called any is selected by "an?".
//
// The zero value selects none. A Selection does not change, and may be used from any goroutine.
type Selection struct {
	text  string
	names []string // given without * and ?, in the order of the text
	in    []string // patterns of path.Match
	out   []string // the same, and names, of what is left out
	any   bool
}

// IsSelection reports whether text is to be read as a Selection: it is not one name and nothing else.
func IsSelection(text string) bool {
	return text == AnyInterface || strings.HasPrefix(text, "!") || strings.ContainsAny(text, ",*?")
}

// ParseSelection reads the text of a Selection. The error is one line that names the part and what to do,
// and leaves it to the caller to put the whole text in front: a part that is empty, comes twice or matches
// no name there can be, a name that is left out again, and a list that only leaves out.
func ParseSelection(text string) (Selection, error) {
	s := Selection{text: text}
	seen := map[string]bool{}
	for n, part := range strings.Split(text, ",") {
		if seen[part] && part != "" {
			return Selection{}, fmt.Errorf("%q is there twice: leave one out", part)
		}
		seen[part] = true
		name, without := strings.CutPrefix(part, "!")
		if name == "" {
			return Selection{}, emptyPart(text, n, without)
		}
		if err := checkName(name); err != nil {
			return Selection{}, fmt.Errorf("%q: %w", part, err)
		}
		switch all := name == AnyInterface || strings.Trim(name, "*") == ""; {
		case without && all:
			return Selection{}, fmt.Errorf("%q leaves out every interface: leave out fewer, such as !lo", part)
		case without:
			s.out = append(s.out, pattern(name))
		case all:
			s.any = true
		case isPattern(name):
			s.in = append(s.in, pattern(name))
		default:
			s.names = append(s.names, name)
		}
	}
	if !s.any && len(s.in) == 0 && len(s.names) == 0 {
		return Selection{}, fmt.Errorf("it says only what to leave out: say what to take too, such as %q", AnyInterface+","+text)
	}
	for _, out := range s.out {
		if again := slices.IndexFunc(s.names, func(name string) bool { return matches(out, name) }); again >= 0 {
			return Selection{}, fmt.Errorf("%q is left out again by %q: drop one of the two", s.names[again], "!"+plain(out))
		}
		if slices.Contains(s.in, out) {
			return Selection{}, fmt.Errorf("%q is left out again by %q: drop one of the two", plain(out), "!"+plain(out))
		}
	}
	return s, nil
}

// emptyPart returns the error for the n-th part, counted from 0, in which there is no name.
func emptyPart(text string, n int, without bool) error {
	switch {
	case without:
		return errors.New(`"!" names nothing: put the name to leave out behind it, such as !lo`)
	case text == "":
		return errors.New("it is empty: name an interface, or " + AnyInterface + " for all")
	}
	return fmt.Errorf("part %d is empty: drop a comma, or put a name there", n+1)
}

// checkName returns why no interface can have a name that matches, or nil. The rules are those of
// dev_valid_name in net/core/dev.c, whose isspace also takes byte 0xa0 for a space, and of __dev_alloc_name, which
// replaces the % in "eth%d". TestNamesOfTheKernel holds them against the kernel, 6.18 at first.
func checkName(name string) error {
	const longest = unix.IFNAMSIZ - 1
	shortest := 0 // bytes of a name that matches
	for i := range len(name) {
		switch c := name[i]; c {
		case '*':
			continue
		case ' ', '\t', '\n', '\v', '\f', '\r', 0xa0:
			return errors.New("no interface has a space in its name: write the names with nothing but commas between them")
		case '/', ':', '%', 0:
			return fmt.Errorf("no interface has %q in its name: correct it (ip link lists the names)", c)
		}
		shortest++
	}
	if shortest > longest {
		return fmt.Errorf("no interface has a name of %d bytes, the kernel allows %d: shorten it (ip link lists the names)", shortest, longest)
	}
	if name == "." || name == ".." {
		return errors.New("no interface has this name: correct it (ip link lists the names)")
	}
	return nil
}

// isPattern reports whether a name may stand for several.
func isPattern(name string) bool { return strings.ContainsAny(name, "*?") }

// What path.Match knows beside * and ?, and how it takes them as they are.
var (
	escape   = strings.NewReplacer(`\`, `\\`, `[`, `\[`)
	unescape = strings.NewReplacer(`\\`, `\`, `\[`, `[`)
)

// pattern returns the pattern of path.Match for a name with * and ?.
func pattern(name string) string { return escape.Replace(name) }

// plain returns the name that a pattern was made of.
func plain(pattern string) string { return unescape.Replace(pattern) }

// matches reports whether the name matches. A pattern of function pattern is never malformed.
func matches(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok
}

// Match reports whether the interface of this name is selected.
func (s *Selection) Match(name string) bool {
	match := func(p string) bool { return matches(p, name) }
	return (s.any || slices.Contains(s.names, name) || slices.ContainsFunc(s.in, match)) && !slices.ContainsFunc(s.out, match)
}

// Names returns the names that were given without * and ?, in their order: those that are missed while
// they do not exist. The caller must not change them.
func (s *Selection) Names() []string { return s.names }

// String returns the text that was parsed.
func (s *Selection) String() string { return s.text }
