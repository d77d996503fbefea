package netif

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"tcp-stream-exporter/internal/lab"
)

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		text, single string
		names        []string
		in, out      string // names with spaces between them
	}{
		{"eth0", "eth0", []string{"eth0"}, "eth0", "eth eth00 Eth0 lo any"},
		{"any", "", nil, "eth0 lo any a*b", ""},
		{"eth0,ppp0", "", []string{"eth0", "ppp0"}, "eth0 ppp0", "ppp1 eth0,ppp0"},
		{"ppp*", "", nil, "ppp ppp0 ppp17 ppp*", "pp xppp0"},
		{"*pp*0", "", nil, "ppp0 pp0 xppx0", "ppp1 p0"},
		{"ppp?", "", nil, "ppp0 ppp? ppp* pppü ppp\xff", "ppp ppp10"},
		{"*", "", nil, "eth0 lo any", ""},
		{"ppp*,!ppp9", "", nil, "ppp0 ppp90", "ppp9 eth0"},
		{"!ppp9,ppp*", "", nil, "ppp0", "ppp9"},
		{"any,!tap*,!lo", "", nil, "eth0 ppp0 ta", "tap tap0 lo"},
		{"any,eth0", "", []string{"eth0"}, "eth0 eth1", ""},
		{"eth0,eth*", "", []string{"eth0"}, "eth0 eth1", "lo"},
		{"anyone", "anyone", []string{"anyone"}, "anyone", "any"},
		{"an?", "", nil, "any ant", "anyone"},

		{"[ab]*", "", nil, "[ab] [ab]x", "a ax"},
		{`a\b`, `a\b`, []string{`a\b`}, `a\b`, `ab a\\b`},
		{`a\*`, "", nil, `a\ a\x`, `a* a`},
		{`any,!a\[0]`, "", nil, `a[0] a\[1]`, `a\[0]`},
		{"a!b", "a!b", []string{"a!b"}, "a!b", "a b"},
		{"?b", "", nil, "!b xb", "b"}, // ! and , of a name, by ?
		{"a?b", "", nil, "a,b a*b axb", "a ab"},
		{"any,!!b", "", nil, "b x", "!b"},
		{"\xff\xfe", "\xff\xfe", []string{"\xff\xfe"}, "\xff\xfe", "\xff"},
		{"exactly15bytes_", "exactly15bytes_", []string{"exactly15bytes_"}, "exactly15bytes_", ""},
		{"*exactly15bytes_*", "", nil, "exactly15bytes_", ""},
	} {
		s, err := ParseSelection(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := IsSelection(c.text); got != (c.single == "") {
			t.Errorf("%q is more than one name: %v", c.text, got)
		}
		if !slices.Equal(s.Names(), c.names) {
			t.Errorf("%q: names %q, want %q", c.text, s.Names(), c.names)
		}
		if s.String() != c.text {
			t.Errorf("%q reads back as %q", c.text, s.String())
		}
		for name := range strings.FieldsSeq(c.in) {
			if !s.Match(name) {
				t.Errorf("%q does not select %q", c.text, name)
			}
		}
		for name := range strings.FieldsSeq(c.out) {
			if s.Match(name) {
				t.Errorf("%q selects %q", c.text, name)
			}
		}
	}
	if none := new(Selection); none.Match("eth0") || none.Match("") || none.Names() != nil {
		t.Error("the zero value selects something")
	}
}

func TestSelectionErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "it is empty: name an interface, or any for all",
		",eth0":                "part 1 is empty: drop a comma, or put a name there",
		"eth0,":                "part 2 is empty: drop a comma, or put a name there",
		"eth0,,":               "part 2 is empty: drop a comma, or put a name there",
		"eth0,!":               `"!" names nothing: put the name to leave out behind it, such as !lo`,
		"!lo":                  "it says only what to leave out: say what to take too, such as \"any,!lo\"",
		"!lo,!tap*":            "it says only what to leave out: say what to take too, such as \"any,!lo,!tap*\"",
		"any,!any":             `"!any" leaves out every interface: leave out fewer, such as !lo`,
		"any,!**":              `"!**" leaves out every interface: leave out fewer, such as !lo`,
		"eth0,lo,eth0":         `"eth0" is there twice: leave one out`,
		"any,any":              `"any" is there twice: leave one out`,
		"eth0,!ppp0,!ppp0":     `"!ppp0" is there twice: leave one out`,
		"eth0,!eth0":           `"eth0" is left out again by "!eth0": drop one of the two`,
		"lo,eth0,!e*":          `"eth0" is left out again by "!e*": drop one of the two`,
		`a\[,!a\*`:             `"a\\[" is left out again by "!a\\*": drop one of the two`,
		"ppp*,!ppp*":           `"ppp*" is left out again by "!ppp*": drop one of the two`,
		"sixteen_bytes__x":     `"sixteen_bytes__x": no interface has a name of 16 bytes, the kernel allows 15: shorten it (ip link lists the names)`,
		"*sixteen_bytes_?x*":   `"*sixteen_bytes_?x*": no interface has a name of 16 bytes, the kernel allows 15: shorten it (ip link lists the names)`,
		"lo,!a_sixteen_bytes_": `"!a_sixteen_bytes_": no interface has a name of 16 bytes, the kernel allows 15: shorten it (ip link lists the names)`,
		"eth0, ppp0":           `" ppp0": no interface has a space in its name: write the names with nothing but commas between them`,
		"a\xa0":                `"a\xa0": no interface has a space in its name: write the names with nothing but commas between them`,
		"eth0:1":               `"eth0:1": no interface has ':' in its name: correct it (ip link lists the names)`,
		"eth/0":                `"eth/0": no interface has '/' in its name: correct it (ip link lists the names)`,
		"..":                   `"..": no interface has this name: correct it (ip link lists the names)`,
	} {
		if s, err := ParseSelection(text); err == nil || err.Error() != want || s.Match("eth0") {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// The names that are refused are those that the kernel refuses.
func TestNamesOfTheKernel(t *testing.T) {
	ns := lab.New(t).A
	for c := 1; c < 256; c++ {
		name := "a" + string([]byte{byte(c)})
		if c == ',' || c == '*' || c == '?' { // not of a plain name
			continue
		}
		_, err := ParseSelection(name)
		kernel := ns.Command("ip", "link", "add", "name", name, "type", "bridge").Run()
		if (kernel == nil) != (err == nil) {
			t.Errorf("%q: %v, the kernel: %v", name, err, kernel)
		}
	}
}

// FuzzSelection: a text that is taken selects the names in it, nothing is left out and taken at once,
// and an error is one line of UTF-8.
func FuzzSelection(f *testing.F) {
	for _, text := range []string{"eth0", "eth0,ppp*,!ppp9", "any,!lo", `a\[b]*,?`, "!", ",", "\xff*"} {
		f.Add(text, "eth0")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		s, err := ParseSelection(text)
		if err != nil {
			if msg := err.Error(); strings.Contains(msg, "\n") || !utf8.ValidString(msg) {
				t.Fatalf("%q: %q", text, msg)
			}
			return
		}
		for _, n := range s.Names() {
			if !s.Match(n) {
				t.Fatalf("%q does not select %q", text, n)
			}
		}
		if strings.Contains(name, ",") { // more than one part
			return
		}
		if without, err := ParseSelection(text + ",!" + name); err == nil && without.Match(name) {
			t.Fatalf("%q selects %q", without.String(), name)
		}
	})
}
