package manual

import "strings"

// Choices holds the values of flags that take one of a few, by flag. The tests hold it against -help: each value has to
// stand in the flag's text.
var Choices = map[string][]string{
	"direction":      {"in", "out", "both"},
	"log.format":     {"logfmt", "json"},
	"log.level":      {"debug", "info", "warn", "error"},
	"output":         {"prometheus", "json", "table"},
	"sort":           {"bytes", "packets", "retransmits", "delay", "health"},
	"streams-top-by": {"bytes", "packets", "retransmits", "delay", "health"},
	"tunnels":        {"gre", "ipip", "sit", "vxlan", "geneve", "gtpu", "erspan"},
}

// repeats reports whether a flag may be given several times.
func (f Flag) repeats() bool { return strings.Contains(f.Text, "several times") }

// isFile reports whether the flag's value is a file, by the word that stands for it.
func (f Flag) isFile() bool { return strings.HasSuffix(strings.ToLower(f.Value), "file") }

// isInterface reports whether the flag's value names interfaces.
func (f Flag) isInterface() bool { return f.Value == "interface" }
