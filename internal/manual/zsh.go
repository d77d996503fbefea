package manual

import (
	"fmt"
	"strings"
)

// Zsh returns the completion for zsh, in the form of its _arguments (zshcompsys(1)).
func Zsh(commands []Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %[1]s\n# zsh completion of %[1]s, made from its -help.\n\n", Name)
	var names []string
	for _, c := range commands[1:] {
		names = append(names, c.Name)
		fmt.Fprintf(&b, "if ((CURRENT > 2)) && [[ $words[2] == %s ]]; then\n\tshift words\n\t((CURRENT--))\n\t_arguments", c.Name)
		c.zshFlags(&b)
		b.WriteString("\n\treturn\nfi\n\n")
	}
	b.WriteString("_arguments")
	commands[0].zshFlags(&b)
	if len(names) > 0 {
		fmt.Fprintf(&b, " \\\n\t'1:command:(%s)'", strings.Join(names, " "))
	}
	b.WriteString(" \\\n\t'*:file:_files'\n") // those behind -read
	return b.String()
}

func (c Command) zshFlags(b *strings.Builder) {
	for _, f := range c.Flags {
		spec := "-" + f.Name + "[" + zshEscape(f.brief()) + "]"
		if f.repeats() {
			spec = "*" + spec
		}
		switch choices := Choices[f.Name]; {
		case f.Value == "":
		case choices != nil:
			spec += ":" + zshEscape(f.Value) + ":(" + strings.Join(choices, " ") + ")"
		case f.isInterface():
			spec += ":" + f.Value + ":_net_interfaces"
		case f.isFile():
			spec += ":" + f.Value + ":_files"
		default:
			spec += ":" + zshEscape(f.Value) + ":"
		}
		b.WriteString(" \\\n\t'" + strings.ReplaceAll(spec, "'", `'\''`) + "'")
	}
}

// brief returns a flag's text up to its first semicolon, colon or bracket.
func (f Flag) brief() string {
	text := f.Text
	for _, end := range []string{"; ", ": ", " ("} {
		if before, _, found := strings.Cut(text, end); found && before != "" {
			text = before
		}
	}
	return text
}

// zshEscape escapes what has a meaning in a specification of _arguments.
func zshEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(text)
}
