package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/manual"
	"tcp-stream-exporter/internal/need"
)

// helpFlags returns the names in a text of -help, one for each line that begins like a flag.
func helpFlags(help string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^  -(\S+)`).FindAllStringSubmatch(help, -1) {
		names = append(names, m[1])
	}
	return names
}

// complete returns what the completion for bash offers at the end of words.
func complete(t *testing.T, file string, words ...string) []string {
	t.Helper()
	const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tcp_stream_exporter; printf '%s\n' "${COMPREPLY[@]}"`
	out, err := exec.Command("bash", append([]string{"-c", script, "bash", file, manual.Name}, words...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("completion of %q: %v\n%s", words, err, out)
	}
	return strings.Fields(string(out))
}

// TestManualHasEveryFlag holds what the man page and the completions say against -help of the program and of each of its
// subcommands. They are made from it, so that a new flag is in them by itself.
func TestManualHasEveryFlag(t *testing.T) {
	need.Tool(t, "bash")
	exe := exporter(t)
	commands, err := manual.Read(exe)
	if err != nil {
		t.Fatal(err)
	}
	page, err := manual.Man(commands)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "completion")
	if err := os.WriteFile(file, []byte(manual.Bash(commands)), 0o644); err != nil {
		t.Fatal(err)
	}
	zsh := manual.Zsh(commands)
	for _, c := range commands {
		args := []string{"-help"}
		if c.Name != "" {
			args = []string{c.Name, "-help"}
			if !slices.Contains(complete(t, file, ""), c.Name) || !strings.Contains(zsh, c.Name) {
				t.Errorf("a completion lacks the command %s", c.Name)
			}
		}
		help, err := exec.Command(exe, args...).Output()
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		names := helpFlags(string(help))
		if len(names) == 0 {
			t.Fatalf("%q shows no flags:\n%s", args, help)
		}
		offered := complete(t, file, append(args[:len(args)-1], "-")...)
		for _, name := range names {
			if !strings.Contains(page, "\n*-"+name+"*") {
				t.Errorf("%q: the man page lacks -%s", args, name)
			}
			if !slices.Contains(offered, "-"+name) {
				t.Errorf("%q: the completion for bash lacks -%s", args, name)
			}
			if !strings.Contains(zsh, "-"+name+"[") {
				t.Errorf("%q: the completion for zsh lacks -%s", args, name)
			}
		}
	}
}

func TestCompletionOfValues(t *testing.T) {
	need.Tool(t, "bash")
	commands, err := manual.Read(exporter(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "completion.bash")
	if err := os.WriteFile(file, []byte(manual.Bash(commands)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		words []string
		want  []string
	}{
		{[]string{"-direction", ""}, []string{"in", "out", "both"}},
		{[]string{"--direction", "o"}, []string{"out"}},
		{[]string{"-log.level", "=", "w"}, []string{"warn"}}, // as bash splits -log.level=w
		{[]string{"-log.level", "="}, []string{"debug", "info", "warn", "error"}},
		{[]string{"-ipv6", "-vlan"}, []string{"-vlan-identity"}}, // -ipv6 takes no value
		{[]string{"-port", ""}, nil},
		{[]string{"-interface", "l"}, []string{"lo"}},
		{[]string{"-groups", dir + "/compl"}, []string{file}},
		{[]string{"-read", "x.pcap", dir + "/compl"}, []string{file}}, // files may follow
		{[]string{"-read", "x.pcap", "-ou"}, []string{"-output"}},
	} {
		got := complete(t, file, c.words...)
		if c.words[0] == "-interface" { // the machine may have others
			got = slices.DeleteFunc(got, func(s string) bool { return s != "lo" })
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
}

// TestChoicesStandInTheHelp wants each value that is offered for a flag in the flag's text, so that neither changes alone.
func TestChoicesStandInTheHelp(t *testing.T) {
	commands, err := manual.Read(exporter(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, choices := range manual.Choices {
		i := slices.IndexFunc(commands[0].Flags, func(f manual.Flag) bool { return f.Name == name })
		if i < 0 {
			t.Errorf("-%s has choices and is not in -help", name)
			continue
		}
		for _, choice := range choices {
			if !regexp.MustCompile(`\b` + choice + `\b`).MatchString(commands[0].Flags[i].Text) {
				t.Errorf("-%s: %s is offered and not in its text: %s", name, choice, commands[0].Flags[i].Text)
			}
		}
	}
}
