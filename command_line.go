package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// commandLine parses the flags of another set, each of which may be given once: package flag lets
// the last value win without a word.
type commandLine struct {
	*flag.FlagSet
	typed map[string]string // by flag: its value as it was given
	twice error             // names a flag that was given twice
}

// newCommandLine returns a commandLine with the flags of fs, which keep their variables. fs itself
// prints them, because package flag tells the kinds of flags apart by their types.
func newCommandLine(fs *flag.FlagSet) *commandLine {
	l := &commandLine{FlagSet: flag.NewFlagSet(fs.Name(), flag.ContinueOnError), typed: map[string]string{}}
	l.SetOutput(io.Discard)
	fs.VisitAll(func(f *flag.Flag) { l.Var(&onceValue{f.Value, f.Name, l}, f.Name, f.Usage) })
	return l
}

// onceValue is the value of a flag that may be given once.
type onceValue struct {
	flag.Value
	name string
	line *commandLine
}

// IsBoolFlag reports whether the flag may stand without a value.
func (v *onceValue) IsBoolFlag() bool {
	b, ok := v.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// Set takes the flag's value.
func (v *onceValue) Set(text string) error {
	if first, again := v.line.typed[v.name]; again {
		v.line.twice = fmt.Errorf("-%[1]s %[2]s and -%[1]s %[3]s: the flag takes one value, give it once", v.name, asTyped(first), asTyped(text))
		return v.line.twice
	}
	v.line.typed[v.name] = text
	return v.Value.Set(text)
}

// asTyped returns a flag's value as it may be typed: in quotes where it has spaces or is empty.
func asTyped(value string) string {
	plain := func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != '"' && r != '\'' }
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return !plain(r) }) {
		return strconv.Quote(value)
	}
	return value
}
