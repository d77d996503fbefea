// Command manual prints the man page or a shell's completion of the exporter, made from its -help:
//
//	manual scd|bash|zsh EXPORTER
//
// scd is the man page as text of scdoc(5).
package main

import (
	"fmt"
	"os"

	"tcp-stream-exporter/internal/manual"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want what to print, scd, bash or zsh, and the exporter to ask for its flags")
	}
	commands, err := manual.Read(args[1])
	if err != nil {
		return err
	}
	var text string
	switch args[0] {
	case "scd":
		text, err = manual.Man(commands)
	case "bash":
		text = manual.Bash(commands)
	case "zsh":
		text = manual.Zsh(commands)
	default:
		err = fmt.Errorf("%s: want scd, bash or zsh", args[0])
	}
	if err == nil {
		_, err = os.Stdout.WriteString(text)
	}
	return err
}
