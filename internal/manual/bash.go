package manual

import (
	"fmt"
	"strings"
)

// Bash returns the completion for bash 4 or newer. It needs nothing of the package bash-completion.
func Bash(commands []Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# bash completion of %[1]s, made from its -help.

_tcp_stream_exporter() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= words=
	if [[ $cur == = ]]; then # -flag=value: to bash three words
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	prev=${prev/#--/-}
	COMPREPLY=()
`, Name)
	var names []string
	for _, c := range commands[1:] {
		names = append(names, c.Name)
	}
	if len(names) > 0 {
		fmt.Fprintf(&b, `	if ((COMP_CWORD == 1)); then
		words='%[1]s '
	else
		case ${COMP_WORDS[1]} in
		%[2]s) command=${COMP_WORDS[1]} ;;
		esac
	fi
`, strings.Join(names, " "), strings.Join(names, " | "))
	}
	b.WriteString("\tcase $command$prev in\n")
	for _, c := range commands {
		c.bashValues(&b)
	}
	b.WriteString("\t*)\n\t\tcase $command in\n")
	for _, c := range commands {
		var flags []string
		for _, f := range c.Flags {
			flags = append(flags, "-"+f.Name)
		}
		fmt.Fprintf(&b, "\t\t'%s') words+='%s' ;;\n", c.Name, strings.Join(flags, " "))
	}
	// Behind -read further files may stand.
	b.WriteString(`		esac
		if [[ $cur != -* && -z $command && " ${COMP_WORDS[*]} " == *' -read '* ]]; then
			words=
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _tcp_stream_exporter ` + Name + "\n")
	return b.String()
}

// bashValues writes what completes the values of flags.
func (c Command) bashValues(b *strings.Builder) {
	var others []string
	for _, f := range c.Flags {
		pattern := c.Name + "-" + f.Name
		switch choices := Choices[f.Name]; {
		case f.Value == "":
		case choices != nil:
			fmt.Fprintf(b, "\t%s) words='%s' ;;\n", pattern, strings.Join(choices, " "))
		case f.isInterface():
			fmt.Fprintf(b, "\t%s) words=\"$(cd /sys/class/net 2>/dev/null && echo *) any\" ;;\n", pattern)
		case f.isFile():
			fmt.Fprintf(b, `	%s)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
`, pattern)
		default:
			others = append(others, pattern)
		}
	}
	if len(others) > 0 {
		fmt.Fprintf(b, "\t%s) return ;; # a value that only its user knows\n", strings.Join(others, " | "))
	}
}
