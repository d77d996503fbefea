package top

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Keys beside printable characters, as a terminal in raw mode sends them.
const (
	keyCtrlC     = 0x03
	keyTab       = 0x09
	keyCtrlL     = 0x0c
	keyEnter     = 0x0d
	keyCtrlU     = 0x15
	keyEsc       = 0x1b
	keyBackspace = 0x7f
)

// keysOf returns the keys of what was read at once. Sequences that begin with ESC, such as those of arrows, are none: ESC
// alone is the key.
func keysOf(b []byte) (keys []rune) {
	for len(b) > 0 {
		if b[0] == keyEsc && len(b) > 1 {
			b = b[escapeLen(b):]
			continue
		}
		r, n := utf8.DecodeRune(b)
		switch b = b[n:]; r {
		case '\n':
			r = keyEnter
		case '\b':
			r = keyBackspace
		}
		keys = append(keys, r)
	}
	return keys
}

// escapeLen returns the length of the sequence that b begins with (ECMA-48 section 5.4; SS3 has one character more).
func escapeLen(b []byte) int {
	switch b[1] {
	case '[':
		for i := 2; i < len(b); i++ {
			if b[i] >= 0x40 && b[i] <= 0x7e {
				return i + 1
			}
		}
		return len(b)
	case 'O':
		return min(3, len(b))
	}
	return 2
}

// effect is what a key asks of the loop.
type effect uint8

const (
	redraw  effect = iota
	anew           // draw all, also what seems to be there
	askNow         // the question has changed
	quitNow        //
)

// maxFilter bounds the length of a filter in bytes.
const maxFilter = 200

// press takes a key.
func (m *model) press(key rune) effect {
	switch {
	case key == keyCtrlC:
		return quitNow
	case key == keyCtrlL:
		return anew
	case m.editing:
		return m.pressEditing(key)
	case key == 'q':
		return quitNow
	case m.help:
		m.help = false
		return redraw
	}
	var sort order
	switch key {
	case 'b':
		sort = byBytes
	case 't':
		sort = byRate
	case 'p':
		sort = byPackets
	case 'r':
		sort = byRetransmits
	case 'd':
		sort = byDelay
	case 'h':
		sort = byHealth
	case 'g', keyTab:
		m.question.view = ofStreams + ofGroups - m.question.view
		return askNow
	case '/':
		m.editing, m.edit, m.wrong = true, m.question.filter.String(), ""
		return redraw
	case ' ':
		m.paused = !m.paused
		if !m.paused {
			return askNow
		}
		return redraw
	case '?':
		m.help = true
		return redraw
	default:
		return redraw
	}
	if sort == m.question.sort {
		return redraw
	}
	m.question.sort = sort
	return askNow
}

// pressEditing takes a key while a filter is typed.
func (m *model) pressEditing(key rune) effect {
	m.wrong = ""
	switch key {
	case keyEsc:
		m.editing = false
	case keyBackspace:
		_, n := utf8.DecodeLastRuneInString(m.edit)
		m.edit = m.edit[:len(m.edit)-n]
	case keyCtrlU:
		m.edit = ""
	case keyEnter:
		f, err := parseFilter(m.edit)
		if err != nil {
			m.wrong = strings.TrimSpace(err.Error())
			return redraw
		}
		m.editing, m.question.filter = false, f
		return askNow
	default:
		if unicode.IsPrint(key) && key != utf8.RuneError && len(m.edit) < maxFilter {
			m.edit += string(key)
		}
	}
	return redraw
}
