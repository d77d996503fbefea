package loss

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fakeProc returns a folder that stands for /proc/self.
func fakeProc(t testing.TB) (proc string) {
	t.Helper()
	proc = t.TempDir()
	if err := os.Mkdir(filepath.Join(proc, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	return proc
}

// softnetOf reads a softnet_stat with this text.
func softnetOf(t testing.TB, proc string, text []byte) (softnet, error) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(proc, "net", "softnet_stat"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	return readSoftnet(proc)
}

func TestSoftnet(t *testing.T) {
	const today = "0cfe1eff 000000bb 00000001 00000000 00000000 00000000 00000000 00000000 00000000 001c25de 00000000 00000000 00000000 00000000 00000000\n" +
		"00cf3f50 00000877 00000010 00000000 00000000 00000000 00000000 00000000 00000000 000796d1 00000000 00000000 00000001 00000000 00000000\n"
	const zeros = " 0 0 0 0 0 0" // the fourth to ninth column
	for _, c := range []struct {
		name string
		in   string
		want softnet
		bad  bool
	}{
		{"today's columns, two processors", today, softnet{dropped: 0xbb + 0x877, squeezed: 0x11}, false},
		{"the columns of Linux 2.6", "00000001 00000002 00000003 00000000 00000000 00000000 00000000 00000000 00000000\n", softnet{2, 3}, false},
		{"no line feed", "1 2 3" + zeros, softnet{2, 3}, false},
		{"more columns than today", "1 2 3" + zeros + " 0 0 0 0 0 0 0 0 0 0\n", softnet{2, 3}, false},
		{"the largest numbers of two processors", strings.Repeat("ffffffff ffffffff ffffffff"+zeros+"\n", 2), softnet{2 * (1<<32 - 1), 2 * (1<<32 - 1)}, false},
		{"1024 processors", strings.Repeat("00000000 00000001 00000002"+zeros+"\n", 1024), softnet{1024, 2048}, false},

		{"an empty file", "", softnet{}, true},
		{"an empty line", "\n", softnet{}, true},
		{"two columns", "00000001 00000002\n", softnet{}, true},
		{"a second line cut off", today + "00cf3f50 0000", softnet{}, true},
		{"a number of more than 32 bits", "0 100000000 0" + zeros + "\n", softnet{}, true},
		{"no number", "0 0 x" + zeros + "\n", softnet{}, true},
		{"a negative number", "0 -1 0" + zeros + "\n", softnet{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := softnetOf(t, fakeProc(t), []byte(c.in))
			if got != c.want || errors.Is(err, errSoftnet) != c.bad || (err != nil) != c.bad {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
			if c.bad && !strings.HasPrefix(err.Error(), "malformed /proc/self/net/softnet_stat: ") {
				t.Errorf("the error does not name the file: %v", err)
			}
		})
	}
}

// Without /proc the error has the remedy.
func TestSoftnetWithoutProc(t *testing.T) {
	empty := t.TempDir()
	for _, proc := range []string{empty, filepath.Join(empty, "missing")} {
		if _, err := readSoftnet(proc); !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(err.Error(), ": /proc must be mounted") {
			t.Errorf("%s: %v", proc, err)
		}
	}
}

// The kernel's own file is read again and again, and its sums never fall.
func TestSoftnetOfThisMachine(t *testing.T) {
	var last softnet
	for range 3 {
		got, err := readSoftnet(procSelf)
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
	if now, err := addSoftnet(text); err != nil || now.dropped < last.dropped {
		t.Errorf("the file read at once: %+v, %v; read before: %+v", now, err, last)
	}
}

// addSoftnet adds up the second and third column, the obvious way.
func addSoftnet(text []byte) (sum softnet, err error) {
	for line := range bytes.Lines(text) {
		field := bytes.Fields(line)
		if len(field) < 3 {
			return softnet{}, errSoftnet
		}
		for i, to := range []*uint64{&sum.dropped, &sum.squeezed} {
			n, err := strconv.ParseUint(string(field[1+i]), 16, 32)
			if err != nil {
				return softnet{}, err
			}
			*to += n
		}
	}
	return sum, nil
}

// FuzzSoftnet wants the sum of the columns of any text, or an error.
func FuzzSoftnet(f *testing.F) {
	f.Add([]byte("0cfe1eff 000000bb 00000001 0 0 0 0 0 0\n"))
	f.Add([]byte("1 2 3 0 0 0 0 0 0 9 a b c d e\n1 2 3 0 0 0 0 0 0 9 a b c d e"))
	proc := fakeProc(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 { // procfs reads no longer line
			return
		}
		got, err := softnetOf(t, proc, b)
		if err != nil {
			return
		}
		if want, err := addSoftnet(b); err != nil || got != want {
			t.Fatalf("%+v, want %+v, %v", got, want, err)
		}
	})
}
