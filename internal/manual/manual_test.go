package manual_test

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/manual"
)

// help returns what package flag prints for some flags of each kind, with lines before and behind them.
func help(before, behind string) string {
	var b strings.Builder
	b.WriteString("Usage of tcp-stream-exporter:\n" + before)
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(&b)
	fs.Bool("wait", false, "wait for it")
	fs.Bool("q", false, "be quiet")
	fs.Int("n", 3, "a `number`")
	fs.String("port", ":9100", "`address` to serve on;\nmore of it, [a_b*c]")
	fs.PrintDefaults()
	return b.String() + behind
}

func TestParse(t *testing.T) {
	want := []manual.Flag{
		{Name: "n", Value: "number", Text: "a number (default 3)"},
		{Name: "port", Value: "address", Text: `address to serve on; more of it, [a_b*c] (default ":9100")`},
		{Name: "q", Text: "be quiet"},
		{Name: "wait", Text: "wait for it"},
	}
	for _, c := range []struct{ name, text, command string }{
		{"flags alone", help("", ""), ""},
		{"a command before them", help("\n  tcp-stream-exporter top [flags]  shows streams\n\n", ""), "top"},
		{"a command behind them", help("", "\nThe command tcp-stream-exporter top shows streams,\nsee its -help.\n"), "top"},
	} {
		flags, commands, err := manual.Parse(c.text)
		if err != nil || !slices.Equal(flags, want) || strings.Join(commands, " ") != c.command {
			t.Errorf("%s: %v, %q, %+v, want %q, %+v", c.name, err, commands, flags, c.command, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"another text", "flag provided but not defined", "begins with"},
		{"a line that is no flag", help("", "\nThe word top shows streams.\n"), `"The word top shows streams.", which is no flag`},
		{"a flag without text", "Usage of x:\n  -wait\n", "-wait has no text"},
	} {
		if _, _, err := manual.Parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// TestSubcommand wants the flags of a subcommand apart from the program's.
func TestSubcommand(t *testing.T) {
	commands := []manual.Command{
		{Flags: []manual.Flag{{Name: "port", Value: "address", Text: "where [to] serve: it's here"}}},
		{Name: "top", Flags: []manual.Flag{{Name: "once", Text: "one_table * only"}}},
	}
	page, err := manual.Man(commands)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string][2]string{
		"the man page's section":  {page, "# OPTIONS OF top\n\n*-once*\n\tone\\_table \\* only\n"},
		"the man page's synopsis": {page, "*tcp-stream-exporter* *top* [_flags_]\n"},
		"bash's flags":            {manual.Bash(commands), "'top') words+='-once' ;;"},
		"bash's command":          {manual.Bash(commands), "words='top '"},
		"zsh's branch":            {manual.Zsh(commands), "_arguments \\\n\t'-once[one_table * only]'"},
		"zsh's quotes":            {manual.Zsh(commands), `'-port[where \[to\] serve]:address:'`},
		"zsh's command":           {manual.Zsh(commands), "'1:command:(top)'"},
	} {
		if !strings.Contains(text[0], text[1]) {
			t.Errorf("%s: want %q in\n%s", what, text[1], text[0])
		}
	}
}
