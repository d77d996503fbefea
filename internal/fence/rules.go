package fence

// Rules holds the rules that Check enforces. Fenced imports and the names of files are checked in every file;
// layers, bans and calls of functions that panic in all files but tests, which may import any oracle.
type Rules struct {
	Fenced map[string][]string // import → the only packages that may have it
	Names  map[string][]string // import → how the names of its files end, before .go or _test.go
	Layers []Layer
	Banned []Ban
	Panics []string // the only files whose functions may call Must…, which panic
}

// Layer places one package, or all packages below a folder, in the order of imports.
type Layer struct {
	Package string   // path from the module's root, "." for main; with a final "/" a whole folder
	Height  int      // a package imports only packages of lower height
	Only    []string // the only packages that may import it; empty: all above
	Peers   bool     // packages of this height may import one another
}

// Ban keeps an import (and all packages below it) out of every layer lower than Below.
type Ban struct {
	Import string
	Below  int
}

const (
	heightTests   = 10 // nothing but tests imports it
	heightMain    = 9
	heightApp     = 8
	heightOutput  = 6
	heightCapture = 5
	heightWorker  = 4
	heightParts   = 3
	heightStream  = 2
	heightParse   = 1
	heightLeaf    = 0
)

// Project is the order of the packages of this module:
//
//	main → app → offline, web, top, collector, api, status, check → capture → ring, worker → table, wheel → stream → parse
//	app, offline, collector, api → exposition → stream, group, printable
//	app, collector, status → loss → printable
//	app, check, capture, loss, status → netif
//	check → printable, table
//	offline → worker, pcapfile
//	app → group → parse
var Project = Rules{
	Fenced: map[string][]string{
		"unsafe": {"ring", "table", "cgo/pcapfilter"},
		"C":      {"cgo/pcapfilter"},

		// The table of prefixes.
		"github.com/gaissmai/bart": {"group"},
		// The server's door, and the sockets that systemd passes.
		"github.com/prometheus/exporter-toolkit/web":  {"web"},
		"github.com/coreos/go-systemd/v22/activation": {"app"},

		// Raw mode and size of a terminal.
		"golang.org/x/term": {"top"},

		// The reader of capture files: no part of live capture.
		"github.com/gopacket/gopacket":        {"pcapfile"},
		"github.com/gopacket/gopacket/layers": {"pcapfile"},
		"github.com/gopacket/gopacket/pcapgo": {"pcapfile"},
	},
	// The names of the files lead a reviewer to what the compiler cannot check.
	Names: map[string][]string{
		"unsafe": {"_unsafe", "_cgo"}, // C's types take unsafe to convert
		"C":      {"_cgo"},
	},
	Layers: []Layer{
		{Package: ".", Height: heightMain},
		{Package: "app", Height: heightApp, Only: []string{"."}},
		{Package: "offline", Height: heightOutput, Only: []string{"app"}},
		{Package: "check", Height: heightOutput, Only: []string{"app"}},
		{Package: "collector", Height: heightOutput},
		{Package: "api", Height: heightOutput, Only: []string{"app"}},
		{Package: "web", Height: heightOutput, Only: []string{"app"}},
		{Package: "status", Height: heightOutput, Only: []string{"app"}},
		{Package: "top", Height: heightOutput, Only: []string{"app"}}, // asks an exporter over HTTP; capture, ring and worker do not let it in
		{Package: "capture", Height: heightCapture, Only: []string{"app", "check"}},
		{Package: "worker", Height: heightWorker, Only: []string{"app", "check", "offline", "collector", "api", "status", "capture", "internal/tsharkcmp"}},
		{Package: "exposition", Height: heightParts}, // below the bans: no net/http, no client_golang
		{Package: "exposition/expositiontest", Height: heightTests},
		{Package: "ring", Height: heightParts, Only: []string{"app", "check", "capture"}},
		{Package: "wheel", Height: heightParts},
		{Package: "table", Height: heightParts},
		{Package: "printable", Height: heightLeaf, Only: []string{"app", "check", "collector", "exposition", "loss"}},
		{Package: "netif", Height: heightLeaf, Only: []string{"app", "check", "capture", "loss", "status"}},
		{Package: "loss", Height: heightCapture, Only: []string{"app", "collector", "status"}}, // asks the kernel, knows no capture
		{Package: "stream", Height: heightStream},
		{Package: "group", Height: heightStream},
		{Package: "parse", Height: heightParse}, // lowest but for the filter: no project import is open to it
		{Package: "pcapfile", Height: heightStream, Only: []string{"offline", "internal/tsharkcmp"}},
		{Package: "cgo/pcapfilter", Height: heightLeaf, Only: []string{"app", "offline"}},
		{Package: "e2e", Height: heightTests}, // tests of the whole program
		{Package: "e2e/uml", Height: heightTests},
		{Package: "internal/", Height: heightTests, Peers: true},
	},
	Banned: []Ban{
		{"net/http", heightCapture},
		{"log", heightCapture}, // log/slog with it
		{"flag", heightCapture},
		{"github.com/prometheus", heightCapture},
	},
	Panics: []string{"collector/registry.go"}, // registers collectors whose names and labels are constants
}

// layer finds the layer of a package; an exact name goes before a folder.
func (r Rules) layer(pkg string) (Layer, bool) {
	var folder Layer
	found := false
	for _, l := range r.Layers {
		if l.Package == pkg {
			return l, true
		}
		if l.Package[len(l.Package)-1] == '/' && under(pkg, l.Package[:len(l.Package)-1]) {
			folder, found = l, true
		}
	}
	return folder, found
}
