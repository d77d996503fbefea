package loss

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestSoftnet(t *testing.T) {
	const today = "0cfe1eff 000000bb 00000001 00000000 00000000 00000000 00000000 00000000 00000000 001c25de 00000000 00000000 00000000 00000000 00000000\n" +
		"00cf3f50 00000877 00000010 00000000 00000000 00000000 00000000 00000000 00000000 000796d1 00000000 00000000 00000001 00000000 00000000\n"
	for _, c := range []struct {
		name string
		in   string
		want softnet
		bad  bool
	}{
		{"today's columns, two processors", today, softnet{dropped: 0xbb + 0x877, squeezed: 0x11}, false},
		{"the columns of Linux 2.6", "00000001 00000002 00000003 00000000 00000000 00000000 00000000 00000000 00000000\n", softnet{2, 3}, false},
		{"three columns, no line feed", "1 2 3", softnet{2, 3}, false},
		{"the largest numbers of two processors", strings.Repeat("ffffffff ffffffff ffffffff 0\n", 2), softnet{2 * (1<<32 - 1), 2 * (1<<32 - 1)}, false},
		{"1024 processors", strings.Repeat("00000000 00000001 00000002 00000000\n", 1024), softnet{1024, 2048}, false},

		{"an empty file", "", softnet{}, true},
		{"an empty line", "\n", softnet{}, true},
		{"two columns", "00000001 00000002\n", softnet{}, true},
		{"a second line cut off", today + "00cf3f50 0000", softnet{}, true},
		{"a number of more than 32 bits", "0 100000000 0\n", softnet{}, true},
		{"no number", "0 0 x\n", softnet{}, true},
		{"a negative number", "0 -1 0\n", softnet{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseSoftnet([]byte(c.in))
			if got != c.want || errors.Is(err, errSoftnet) != c.bad || (err != nil) != c.bad {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

// The kernel's own file is read again and again, and its sums never fall.
func TestSoftnetOfThisMachine(t *testing.T) {
	var s softnetReader
	defer s.close()
	var last softnet
	for range 3 {
		got, err := s.read()
		if err != nil {
			t.Fatal(err)
		}
		if got.dropped < last.dropped || got.squeezed < last.squeezed {
			t.Errorf("%+v after %+v", got, last)
		}
		last = got
	}
	text, err := os.ReadFile(softnetFile)
	if err != nil {
		t.Fatal(err)
	}
	if now, err := parseSoftnet(text); err != nil || now.dropped < last.dropped {
		t.Errorf("the file read at once: %+v, %v; read before: %+v", now, err, last)
	}
}

func FuzzSoftnet(f *testing.F) {
	f.Add([]byte("0cfe1eff 000000bb 00000001\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sum, err := parseSoftnet(b)
		if lines := uint64(len(b)/6 + 1); err == nil && (sum.dropped > lines<<32 || sum.squeezed > lines<<32) {
			t.Fatalf("%+v of %d bytes", sum, len(b))
		}
	})
}
