// Command gen writes a capture file of generated TCP traffic to standard output:
//
//	go run ./internal/cmd/pcapgen [-connections N] [-packets N] [-burst N] > file.pcap
package main

import (
	"flag"
	"fmt"
	"os"

	"tcp-stream-exporter/internal/pcapgen"
)

func main() {
	cfg := pcapgen.Default
	flag.IntVar(&cfg.Connections, "connections", cfg.Connections, "connections at the same time")
	flag.IntVar(&cfg.Packets, "packets", cfg.Packets, "packets in all")
	flag.IntVar(&cfg.Rate, "rate", cfg.Rate, "packets per second of capture time")
	flag.IntVar(&cfg.Burst, "burst", cfg.Burst, "packets of one connection in a row, at most; 1: every packet is another's")
	flag.IntVar(&cfg.SnapLen, "snaplen", cfg.SnapLen, "bytes kept of a packet")
	flag.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "of the random numbers")
	flag.Parse()
	if cfg.Connections < 1 || cfg.Packets < 0 || cfg.Rate < 1 || cfg.Burst < 1 || cfg.SnapLen < 1 {
		fail(fmt.Errorf("all numbers must be above zero"))
	}
	if err := pcapgen.Write(os.Stdout, cfg); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gen:", err)
	os.Exit(1)
}
