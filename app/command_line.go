package app

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// commandLine parses the flags of another set, each of which may be given once unless it is a repeated one: package flag
// silently takes the last value.
type commandLine struct {
	*flag.FlagSet
	typed map[string]string // by flag: its value as it was given, of a repeated one the last
	bad   error             // names a flag that was given twice, or a value that is none of its kind
}

// newCommandLine returns a commandLine with the flags of fs, which keep their variables. fs itself
// prints them, because package flag distinguishes the kinds of flags by their types.
func newCommandLine(fs *flag.FlagSet) *commandLine {
	l := &commandLine{FlagSet: flag.NewFlagSet(fs.Name(), flag.ContinueOnError), typed: map[string]string{}}
	l.SetOutput(io.Discard)
	l.Usage = func() {} // the caller shows the error, in one line
	fs.VisitAll(func(f *flag.Flag) { l.Var(&onceValue{f.Value, f.Name, l}, f.Name, f.Usage) })
	return l
}

// readFlag is the flag behind which arguments may stand, that are no flags: files.
const readFlag = "read"

// parse parses the command line and returns the files that follow -read. They may stand before and between other
// flags: a shell's pattern is often typed first. Behind -- everything is a file.
func (l *commandLine) parse(args []string) (files []string, err error) {
	for {
		if err := l.Parse(args); err != nil || l.NArg() == 0 {
			return files, err
		}
		if _, given := l.typed[readFlag]; !given {
			if l.Arg(0) == topCommand {
				l.bad = fmt.Errorf("argument %q: a command comes first: tcp-stream-exporter top", l.Arg(0))
				return nil, l.bad
			}
			l.bad = fmt.Errorf("argument %q: all settings are flags, see -help", l.Arg(0))
			return nil, l.bad
		}
		if behind := len(args) - l.NArg(); behind > 0 && args[behind-1] == "--" {
			return append(files, l.Args()...), nil
		}
		files, args = append(files, l.Arg(0)), l.Args()[1:]
	}
}

// onceValue is the value of a flag that may be given once, unless it is a repeated one.
type onceValue struct {
	flag.Value
	name string
	line *commandLine
}

// String returns the value as package flag shows it, which asks a zero one too.
func (v *onceValue) String() string {
	if v.Value == nil {
		return ""
	}
	return v.Value.String()
}

// IsBoolFlag reports whether the flag may stand without a value.
func (v *onceValue) IsBoolFlag() bool {
	b, ok := v.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// Set takes the flag's value.
func (v *onceValue) Set(text string) error {
	l := v.line
	first, again := l.typed[v.name]
	if _, many := v.Value.(*repeated); many {
		again = false
	}
	if again && v.name == readFlag {
		l.bad = fmt.Errorf("%s and %s: give the flag once, and further files behind it: %s %s",
			withValue(v.name, first), withValue(v.name, text), withValue(v.name, first), asTyped(text))
		return l.bad
	} else if _, repeats := v.Value.(interface{ repeats() }); again && !repeats {
		l.bad = fmt.Errorf("%s and %s: the flag takes one value, give it once", withValue(v.name, first), withValue(v.name, text))
		return l.bad
	}
	l.typed[v.name] = text
	if err := v.Value.Set(text); err != nil {
		l.bad = fmt.Errorf("%s: %s", l.flag(v.name), l.want(v.name, err))
		return l.bad
	}
	return nil
}

// flag returns a flag and its value as they were typed, or the value that it has without that.
func (l *commandLine) flag(name string) string {
	text, given := l.typed[name]
	if !given {
		text = l.Lookup(name).DefValue
	}
	return withValue(name, text)
}

// want returns the remedy for a value that the flag's type does not take.
func (l *commandLine) want(name string, err error) string {
	example := l.Lookup(name).DefValue
	var value any
	if g, ok := l.Lookup(name).Value.(*onceValue).Value.(flag.Getter); ok {
		value = g.Get()
	}
	switch value.(type) {
	case bool:
		return "want true or false"
	case int, int64:
		what := "no whole number"
		if strings.HasSuffix(err.Error(), "out of range") {
			what = "beyond any number"
		}
		if example == "0" {
			example = "10"
		}
		return what + ": want one such as " + example
	case time.Duration:
		if example = shortDuration(example); example == "0s" {
			example = "5m"
		}
		return "no duration: want a number and its unit, such as " + example + ", and no more than 2562047h"
	}
	return err.Error() + ": see -help"
}

// shortDuration drops the zeros that a duration is printed with: 5m0s is 5m.
func shortDuration(text string) string {
	if rest, ok := strings.CutSuffix(text, "m0s"); ok {
		return rest + "m"
	}
	return text
}

// withValue returns a flag and its value as they may be typed.
func withValue(name, value string) string { return "-" + name + " " + asTyped(value) }

// longest is the number of bytes of a value that are shown.
const longest = 200

// asTyped returns a flag's value as it may be typed: in quotes where it has spaces or is empty. Of a long
// one it returns the beginning.
func asTyped(value string) string {
	if len(value) > longest {
		cut := longest
		for cut > longest-utf8.UTFMax && !utf8.RuneStart(value[cut]) {
			cut--
		}
		return fmt.Sprintf("%q (%d bytes in all)", value[:cut]+"…", len(value))
	}
	plain := func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != '"' && r != '\'' }
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return !plain(r) }) {
		return strconv.Quote(value)
	}
	return value
}
