package main

import (
	"path/filepath"
	"strconv"

	"tcp-stream-exporter/bench/cwalk"
	"tcp-stream-exporter/bench/lab"
)

// load is what the router has to forward.
type load struct {
	name         string
	payload      int  // bytes of TCP payload of a packet
	burst        int  // packets of a connection in a row
	superPackets bool // the router joins them by GRO
}

var loads = []load{{"small", 0, 1, false}, {"large", 1400, 8, false}, {"super", 1400, 8, true}}

// contender is a way to watch the router.
type contender struct {
	name     string
	copies   int // how often the watchers see a forwarded packet, all together
	watchers func(c *config) []watcher
}

// watcher is one program that watches.
type watcher struct {
	argv    []string
	ready   string
	address string // to scrape until it answers; empty: ready is enough
}

// Addresses of the exporters, in the router's namespace.
const firstAddress, secondAddress = "127.0.0.1:9777", "127.0.0.1:9778"

func (c *config) exporterAt(address string, args ...string) watcher {
	return watcher{append([]string{c.exporter, "-port", address}, args...), "msg=starting", address}
}

func (c *config) walk(args ...string) watcher {
	return watcher{append([]string{filepath.Join(c.tools, "cwalk")}, args...), cwalk.Ready, ""}
}

func one(w watcher) []watcher { return []watcher{w} }

const in, out = lab.RouterIn, lab.RouterOut

// halfRing is half of the default number of blocks: two exporters have as much memory in their rings as one.
const halfRing = "64"

// contenders are those of the first table. The first watches nothing.
var contenders = []contender{
	{"none", 0, func(*config) []watcher { return nil }},
	{"walk-one", 1, func(c *config) []watcher { return one(c.walk("-i", in, "-filter", c.programs.tcp)) }},
	{"exporter-one", 1, func(c *config) []watcher { return one(c.exporterAt(firstAddress, "-interface", in)) }},
	{"exporter-in", 1, func(c *config) []watcher {
		return one(c.exporterAt(firstAddress, "-interface", in+","+out, "-direction", "in"))
	}},
	{"exporter-both", 2, func(c *config) []watcher { return one(c.exporterAt(firstAddress, "-interface", in+","+out)) }},
	{"exporters-two", 2, func(c *config) []watcher {
		return []watcher{
			c.exporterAt(firstAddress, "-interface", in, "-numblocks", halfRing),
			c.exporterAt(secondAddress, "-interface", out, "-numblocks", halfRing),
		}
	}},
	{"exporter-any", 2, func(c *config) []watcher { return one(c.exporterAt(firstAddress, "-interface", "any")) }},
	{"walk-two", 2, func(c *config) []watcher {
		return one(c.walk("-i", in, "-i", out, "-numblocks", halfRing, "-filter", c.programs.tcp))
	}},
	{"walk-any", 2, func(c *config) []watcher { return one(c.walk("-i", "any", "-filter", c.programs.tcpAny)) }},
}

// kernelContenders differ from "base" in one property each: every packet of one interface, cut to 96 bytes, blocks of
// 256 KiB, the kernel's time when it copies.
var kernelContenders = []contender{
	contenders[0],
	variant("base", 1),
	withProgram("filter-tcp", func(p programs) string { return p.tcpCut }),
	withProgram("filter-exporter", func(p programs) string { return p.tcp }),
	withProgram("filter-100", func(p programs) string { return p.long }),
	variant("time-received", 1, "-timestamp", "received"),
	variant("time-hardware", 1, "-timestamp", "hardware"),
	variant("copy-1514", 1, "-snaplen", "1514"),
	variant("block-64k", 1, "-blocksize", strconv.Itoa(64<<10), "-numblocks", "512"),
	variant("block-1m", 1, "-blocksize", strconv.Itoa(1<<20), "-numblocks", "32"),
	variant("fanout-2", 1, "-fanout", "2", "-numblocks", halfRing),
	variant("busy-poll", 1, "-busy-poll", "50"),
	variant("wait-each", 1, "-poll"),
	variantOn("any", 2, "any"),
	variantOn("any-ingress", 1, "any", "-ingress"),
}

func variant(name string, copies int, args ...string) contender {
	return variantOn(name, copies, in, args...)
}

func variantOn(name string, copies int, device string, args ...string) contender {
	return contender{name, copies, func(c *config) []watcher {
		return one(c.walk(append([]string{"-i", device, "-snaplen", strconv.Itoa(cutLen)}, args...)...))
	}}
}

func withProgram(name string, of func(programs) string) contender {
	return contender{name, 1, func(c *config) []watcher { return one(c.walk("-i", in, "-filter", of(c.programs))) }}
}
