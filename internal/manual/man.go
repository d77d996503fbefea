package manual

import (
	_ "embed" // the page's text
	"strings"
	"text/template"
)

//go:embed page.scd
var page string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"esc": scdEscape}).Parse(page))

// Man returns the man page as the text of scdoc(5).
func Man(commands []Command) (string, error) {
	var b strings.Builder
	err := pageTemplate.Execute(&b, map[string]any{"Name": Name, "Flags": commands[0].Flags, "Commands": commands[1:]})
	return b.String(), err
}

// scdEscape escapes what has a meaning in scdoc(5): a backslash before it stands for itself.
func scdEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "[", `\[`, "#", `\#`, "|", `\|`).Replace(text)
}
