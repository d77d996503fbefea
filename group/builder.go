package group

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxGroups is the most names of groups that a Set can have.
	MaxGroups = 1 << 16
	// maxNames bounds the names that lists of groups have had since the program's start, all together.
	maxNames = 1 << 20
	// maxPrefixes bounds the memory of a Set, to about 0.4 GB: four times as many as the Internet's routing table has.
	maxPrefixes = 5_000_000
	// maxName is the longest name of a group, in bytes.
	maxName = 128
	// A group of a length behind its name is split into subnets of at most so many bits. What is longer in IPv6 tells
	// apart the addresses that one host makes for itself (RFC 8981).
	maxLength4, maxLength6 = 32, 64
)

// Builder puts a Set together from texts and files. Its errors are one line, which begins with where the fault is and
// ends with the remedy. After an error it is of no use.
type Builder struct {
	names  *Names
	set    *Set
	room   int
	groups []definition
	byName map[string]int // places in groups
	full   string         // where the first group stands for which there is no room; empty: there is for all
}

// definition is a group as it was read.
type definition struct {
	name   string
	length uint8  // of the subnets that it is split into; 0: it is not
	family uint8  // of its prefixes, if it is split: 4 or 6; 0: it has none yet
	where  string // it stands, as errors about other groups name it
}

// NewBuilder returns a Builder of groups whose names get their numbers from names, at most room of them.
func NewBuilder(names *Names, room int) *Builder {
	return &Builder{names: names, set: &Set{names: names}, room: min(room, MaxGroups), byName: map[string]int{}}
}

// AddText adds a group written NAME=CIDR[,CIDR…] or NAME/LENGTH=CIDR[,CIDR…]. where is what errors begin with.
func (b *Builder) AddText(where, text string) error {
	name, list, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("%s: has no =: want NAME=CIDR, such as office=10.1.0.0/16", where)
	}
	g, err := b.begin(name, where, where)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			return fmt.Errorf("%s: has an empty prefix: want NAME=CIDR, such as %s=10.1.0.0/16, with commas between several", where, b.groups[g].name)
		}
		if err := b.add(g, part); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return nil
}

// Build returns the Set, with services. limit is what the room is called in errors, such as "-group-max 128".
func (b *Builder) Build(services *Services, limit string) (*Set, error) {
	if b.full != "" {
		return nil, fmt.Errorf("%s: is group %d of %d, and %s has room for %d: raise it, up to %d, or leave groups out",
			b.full, b.room+1, len(b.groups), limit, b.room, MaxGroups)
	}
	b.set.services = *services
	// Not before all is known to be right: lists that are refused leave no names behind.
	for i := range b.groups {
		b.set.groups = append(b.set.groups, Member{Name: b.names.number(b.groups[i].name), Bits: b.groups[i].length})
	}
	return b.set, nil
}

// begin begins a group, whose name may have the length of subnets behind it, and returns its place in groups. where is
// what errors begin with, and place what errors about other groups call it.
func (b *Builder) begin(text, where, place string) (int, error) {
	name, length, err := splitName(text)
	if err != nil {
		return 0, err
	}
	if before, twice := b.byName[name]; twice {
		return 0, fmt.Errorf("group %s is there already (%s): give it all its prefixes there; in a file a line that begins with white space continues the one before",
			name, b.groups[before].where)
	}
	if b.names.len() >= maxNames && !b.names.known(name) {
		return 0, fmt.Errorf("group %s: lists of groups have had %d names since the start, and there is no room for more: restart the exporter, or use an earlier name", name, maxNames)
	}
	b.byName[name] = len(b.groups)
	b.groups = append(b.groups, definition{name: name, length: length, where: place})
	// What follows is read all the same, so that the error can say how many there are.
	if b.full == "" && len(b.groups) > b.room {
		b.full = where
	}
	return len(b.groups) - 1, nil
}

// splitName returns the name of a group and the length behind it, 0 if there is none.
func splitName(text string) (name string, length uint8, err error) {
	name, behind, split := strings.Cut(text, "/")
	_, notAddress := netip.ParseAddr(name)
	switch {
	case name == "":
		return "", 0, errors.New("the name is empty: write one before the prefixes")
	case notAddress == nil:
		return "", 0, fmt.Errorf("%s is a prefix and no name: write a name before it", quoted(text))
	case !utf8.ValidString(name):
		return "", 0, fmt.Errorf("the name %s is not UTF-8: convert it", quoted(name))
	case len(name) > maxName:
		return "", 0, fmt.Errorf("the name %s is too long: use at most %d bytes", quoted(name), maxName)
	case name == Other:
		return "", 0, fmt.Errorf("the name %s stands for what no group has: choose another one", Other)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '=' }):
		return "", 0, fmt.Errorf("the name %s has white space, a control character or = in it: leave them out", quoted(name))
	case !split:
		return name, 0, nil
	}
	n, err := strconv.ParseUint(behind, 10, 8)
	if err != nil || n == 0 || n > maxLength6 {
		return "", 0, fmt.Errorf("the length behind %s is %s: want 1 to %d for IPv4 or 1 to %d for IPv6, as in %s/24, or no slash in the name",
			name, quoted(behind), maxLength4, maxLength6, name)
	}
	return name, uint8(n), nil
}

// add adds a prefix to a group.
func (b *Builder) add(g int, text string) error {
	d := &b.groups[g]
	p, err := parsePrefix(text)
	if err != nil {
		return err
	}
	if d.length != 0 {
		if err := d.checkSplit(p); err != nil {
			return err
		}
	}
	if before, twice := b.set.prefixes.Get(p); twice {
		if int(before) == g {
			return nil // lists that programs make have such, and it says nothing else
		}
		other := &b.groups[before]
		return fmt.Errorf("%s is in group %s already (%s): leave it out of one of them", p, other.name, other.where)
	}
	if b.set.prefixes.Size() == maxPrefixes {
		return fmt.Errorf("%s is one prefix too many: use at most %d", p, maxPrefixes)
	}
	b.set.prefixes.Insert(p, uint32(g))
	return nil
}

// checkSplit returns an error if p cannot be split as the group's length says.
func (d *definition) checkSplit(p netip.Prefix) error {
	family, most := uint8(6), maxLength6
	if p.Addr().Is4() {
		family, most = 4, maxLength4
	}
	switch {
	case d.family != 0 && d.family != family:
		return fmt.Errorf("%s is IPv%d and the prefixes of %s before it are IPv%d, which have other lengths: give each its own group, with a name of its own",
			p, family, d.name, d.family)
	case int(d.length) > most:
		return fmt.Errorf("%s/%d: an IPv%d subnet has a length of 1 to %d: use one of these", d.name, d.length, family, most)
	case p.Bits() > most:
		return fmt.Errorf("%s is smaller than the subnets of %s/%d: leave it out, or give it a group of its own", p, d.name, d.length)
	case int(d.length) < p.Bits():
		return fmt.Errorf("%s is smaller than the subnets of %s/%d: use a length of %d to %d", p, d.name, d.length, p.Bits(), most)
	}
	d.family = family
	return nil
}

// parsePrefix returns the prefix that text is; an address is one of its full length.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		switch {
		case a.Zone() != "":
			return netip.Prefix{}, fmt.Errorf("%s has a zone: leave out what begins with %%", quoted(text))
		case a.Is4In6():
			return netip.Prefix{}, fmt.Errorf("%s is an IPv4 address in IPv6 form: write %s", text, a.Unmap())
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		remedy := "want one such as 10.1.0.0/16, 2001:db8::/32 or 192.0.2.1"
		if strings.Contains(text, ",") {
			remedy += ", with spaces between several in a file"
		}
		return netip.Prefix{}, fmt.Errorf("%s is no prefix: %s", quoted(text), remedy)
	}
	if whole := p.Masked(); p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.Prefix{}, fmt.Errorf("%s is an IPv4 prefix in IPv6 form: write %s", text, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked())
	} else if whole != p {
		return netip.Prefix{}, fmt.Errorf("%s has bits behind its length: write %s, or %s for the one address", text, whole, p.Addr())
	}
	return p, nil
}

// longestQuoted is the number of bytes of a word that an error shows.
const longestQuoted = 64

// quoted returns a word as an error shows it: in quotes, the beginning of a long one.
func quoted(word string) string {
	if len(word) > longestQuoted {
		cut := longestQuoted
		for cut > longestQuoted-utf8.UTFMax && !utf8.RuneStart(word[cut]) {
			cut--
		}
		word = word[:cut] + "…"
	}
	return strconv.Quote(word)
}
