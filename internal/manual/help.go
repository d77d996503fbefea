// Package manual makes the man page and the shells' completions from what the program prints at -help, so that a new
// flag stands in them by itself. It serves the packages and their tests; nothing of the program imports it.
package manual

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// Name is the program's, of its man page and of what is completed.
const Name = "tcp-stream-exporter"

// Flag is one flag of -help.
type Flag struct {
	Name  string // without the dash
	Value string // what stands for its value; empty: the flag takes none
	Text  string // what it does, with its default
}

// Command is a set of flags: the program's own, whose Name is empty, or those of a subcommand.
type Command struct {
	Name  string
	Flags []Flag
}

var (
	flagLine    = regexp.MustCompile(`^  -(\S+)(?: (\S.*)|\t(.*))?$`) // a flag of one letter has its text beside it
	commandName = regexp.MustCompile(`\b` + Name + ` ([a-z]+)\b`)
)

// textIndent is what package flag puts before the text of a flag.
const textIndent = "    \t"

// Parse reads what package flag's PrintDefaults writes, below a line that begins with "Usage of". It returns the flags,
// and the subcommands that other lines name as "tcp-stream-exporter COMMAND". Lines that are neither are an error: what
// they say would be missing in the man page.
func Parse(help string) (flags []Flag, commands []string, err error) {
	usage, rest, _ := strings.Cut(help, "\n")
	if !strings.HasPrefix(usage, "Usage of ") {
		return nil, nil, fmt.Errorf("-help begins with %q, want Usage of %s", usage, Name)
	}
	var other []string
	for line := range strings.Lines(rest) {
		line = strings.TrimSuffix(line, "\n")
		if m := flagLine.FindStringSubmatch(line); m != nil {
			flags = append(flags, Flag{Name: m[1], Value: m[2], Text: m[3]})
		} else if text, ok := strings.CutPrefix(line, textIndent); ok && len(flags) > 0 {
			f := &flags[len(flags)-1]
			f.Text = strings.TrimSpace(f.Text + " " + text)
		} else if line = strings.TrimSpace(line); line != "" {
			other = append(other, line)
			for _, m := range commandName.FindAllStringSubmatch(line, -1) {
				commands = append(commands, m[1])
			}
		}
	}
	if len(other) > 0 && len(commands) == 0 {
		return nil, nil, fmt.Errorf("-help has the line %q, which is no flag: write a subcommand as %q, so that man page and completions have it",
			other[0], Name+" COMMAND")
	}
	for _, f := range flags {
		if f.Text == "" {
			return nil, nil, fmt.Errorf("-%s has no text in -help", f.Name)
		}
	}
	return flags, commands, nil
}

// Read asks a program for the flags of itself and of its subcommands.
func Read(program string) ([]Command, error) {
	flags, names, err := ask(program, "-help")
	if err != nil {
		return nil, err
	}
	all := []Command{{"", flags}}
	for _, name := range names {
		flags, _, err := ask(program, name, "-help")
		if err != nil {
			return nil, err
		}
		all = append(all, Command{name, flags})
	}
	return all, nil
}

func ask(program string, args ...string) ([]Flag, []string, error) {
	cmd := exec.Command(program, args...)
	help, err := cmd.CombinedOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("%v: %w: %s", cmd, err, help)
	}
	flags, commands, err := Parse(string(help))
	if err != nil {
		return nil, nil, fmt.Errorf("%v: %w", cmd, err)
	}
	return flags, commands, nil
}
