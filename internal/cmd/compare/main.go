// Command compare runs tshark and the exporter on capture files and prints where they differ:
//
//	go run ./internal/cmd/compare [-limit N] FILE...
//
// A file FILE.tsv with tshark's figures takes tshark's place.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"tcp-stream-exporter/internal/tsharkcmp"
)

func main() {
	limit := flag.Int("limit", 40, "how many differences of each kind are printed")
	flag.Parse()
	if flag.NArg() == 0 {
		fail(fmt.Errorf("name a capture file: make compare PCAP=file"))
	}
	var all tsharkcmp.Report
	for _, path := range flag.Args() {
		r, err := compare(path)
		if err != nil {
			fail(err)
		}
		if flag.NArg() > 1 {
			fmt.Printf("%s: %d directions, %d differences, RTT minimum %v, maximum %v, average %v\n",
				path, r.Directions, len(r.Differences), r.Min, r.Max, r.Avg)
		}
		all.Add(r)
	}
	all.Print(os.Stdout, *limit)
}

func compare(path string) (*tsharkcmp.Report, error) {
	tshark, err := tsharkcmp.RunTshark(path)
	if err != nil {
		return nil, err
	}
	ours, err := tsharkcmp.RunExporter(path)
	if err != nil {
		return nil, err
	}
	return tsharkcmp.Compare(tshark, ours), nil
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "compare: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	os.Exit(1)
}
