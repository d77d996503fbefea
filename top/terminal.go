package top

import (
	"fmt"
	"os"
	"strconv"
	"unicode/utf8"

	"golang.org/x/term"
)

// Size of a terminal that does not tell its own, such as a serial line.
const (
	usualWidth  = 80
	usualHeight = 24
)

// terminal is the terminal as the loop sees it.
type terminal interface {
	// begin hands all keys to read, and keeps what was on the screen. It may be called again when the mode may have been
	// changed by others. end brings everything back; it may be called more than once.
	begin() error
	end()
	size() (width, height int)
	read(b []byte) (int, error)
	write(b []byte) error
}

// device is a terminal of the kernel's. All sequences are those of VT100 and ECMA-48, and the alternate screen and the cursor
// that is hidden, of xterm: terminals that do not know these pass over them.
type device struct {
	in, out *os.File
	before  *term.State // before the first begin
}

func (d *device) begin() error {
	state, err := term.MakeRaw(int(d.in.Fd()))
	if err != nil {
		return fmt.Errorf("the terminal cannot be set up: %w", err)
	}
	if d.before == nil {
		d.before = state
	}
	return d.write([]byte("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"))
}

func (d *device) end() {
	if d.before == nil {
		return
	}
	_ = d.write([]byte("\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l")) // the terminal may be gone, which is why it ends
	_ = term.Restore(int(d.in.Fd()), d.before)
	d.before = nil
}

func (d *device) size() (width, height int) {
	width, height, err := term.GetSize(int(d.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return usualWidth, usualHeight
	}
	return width, height
}

// Width returns how many characters a line of f has, 0 if f is no terminal or nil.
func Width(f *os.File) int {
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _ := (&device{out: f}).size()
	return width
}

func (d *device) read(b []byte) (int, error) { return d.in.Read(b) }

func (d *device) write(b []byte) error {
	_, err := d.out.Write(b)
	return err
}

// appendFrame appends what draws a frame. Each line is placed and then cleared behind its text, so that nothing flickers.
func appendFrame(b []byte, lines []textLine, width int, clear bool) []byte {
	if clear {
		b = append(b, "\x1b[0m\x1b[2J"...)
	}
	for i, l := range lines {
		b = append(b, "\x1b["...)
		b = strconv.AppendInt(b, int64(i+1), 10)
		b = append(b, ";1H"...)
		switch l.style {
		case bold:
			b = append(b, "\x1b[1m"...)
		case reverse:
			b = append(b, "\x1b[7m"...)
		}
		b = append(append(b, l.text...), "\x1b[0m"...)
		// Behind a character in the last column some terminals stay on it, and would clear it.
		if utf8.RuneCountInString(l.text) < width {
			b = append(b, "\x1b[K"...)
		}
	}
	return b
}
