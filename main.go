// Command tcp-stream-exporter exports per-stream TCP metrics, taken passively from the wire
// through AF_PACKET, to Prometheus.
package main

import (
	"os"

	"tcp-stream-exporter/app"
)

// version is set by the linker; if empty, the module's build information has it.
var version string

func main() { os.Exit(app.Main(os.Args[1:], version)) }
