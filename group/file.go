package group

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// AddFile adds the groups of a file, which it reads to its end. where is what errors begin with; the number of the line
// follows it.
//
//	# a comment, up to the end of the line; also behind white space
//	NAME CIDR…
//	NAME/LENGTH CIDR…
//	 CIDR…             a line that begins with white space continues the one before
//
// Lines may be of any length. White space is blanks, tabs and carriage returns. A byte order mark at the file's beginning
// is left out.
func (b *Builder) AddFile(where string, r io.Reader) error {
	w := words{r: bufio.NewReaderSize(r, 1<<16), line: 1, fresh: true}
	if mark, _ := w.r.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		_, _ = w.r.Discard(len(byteOrderMark)) // they are in the buffer
	}
	const none = -1
	g, begun, prefixes := none, 0, 0 // the group that prefixes belong to, the line that it began in, how many words it has
	at := func(line int) string { return fmt.Sprintf("%s: line %d", where, line) }
	end := func() error {
		if g != none && prefixes == 0 {
			return fmt.Errorf("%s: group %s has no prefix: write some behind its name, or leave it out", at(begun), b.groups[g].name)
		}
		return nil
	}
	for {
		word, err := w.next()
		switch {
		case errors.Is(err, io.EOF):
			return end()
		case err != nil:
			return fmt.Errorf("%s: %w: name a file that can be read", where, err)
		case w.first && !w.indented:
			if err := end(); err != nil {
				return err
			}
			if g, err = b.begin(word, at(w.line), fmt.Sprintf("line %d", w.line)); err != nil {
				return fmt.Errorf("%s: %w", at(w.line), err)
			}
			begun, prefixes = w.line, 0
			continue
		case g == none:
			return fmt.Errorf("%s: begins with white space, which continues the line before, and there is none: write a group's name at its beginning", at(w.line))
		}
		prefixes++
		if err := b.add(g, word); err != nil {
			if w.first {
				err = fmt.Errorf("%w; a line that begins with white space continues the one before", err)
			}
			return fmt.Errorf("%s: %w", at(w.line), err)
		}
	}
}

const byteOrderMark = "\uFEFF"

// maxWord is the number of bytes of a word that are looked at. No name and no prefix has as many.
const maxWord = 512

// words splits a text into words. It holds no line as a whole.
type words struct {
	r        *bufio.Reader
	line     int  // of the word that next has returned, or of where the text ends; from 1
	first    bool // the word is the first of its line
	indented bool // white space stands before it there
	fresh    bool // no word of the line has been returned yet
	word     []byte
}

// next returns the next word that is not in a comment, at the end io.EOF.
func (w *words) next() (string, error) {
	for {
		c, err := w.r.ReadByte()
		if err != nil {
			return "", err
		}
		switch {
		case c == '\n':
			w.line, w.fresh, w.indented = w.line+1, true, false
		case isSpace(c):
			w.indented = true
		case c == '#':
			if err := w.skipComment(); err != nil {
				return "", err
			}
		default:
			w.first, w.fresh = w.fresh, false
			return w.rest(c)
		}
	}
}

// skipComment reads up to the end of the line, which next returns to.
func (w *words) skipComment() error {
	for {
		switch _, err := w.r.ReadSlice('\n'); {
		case err == nil:
			return w.r.UnreadByte()
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// rest returns the word that begins with c, or of one of more than maxWord bytes the beginning.
func (w *words) rest(c byte) (string, error) {
	w.word = append(w.word[:0], c)
	for {
		c, err := w.r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return string(w.word), nil
		case err != nil:
			return "", err
		case c == '\n' || isSpace(c):
			return string(w.word), w.r.UnreadByte() // so that next counts the line
		case len(w.word) < maxWord:
			w.word = append(w.word, c)
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' && c != '\n' }
