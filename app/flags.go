package app

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/table"
	"tcp-stream-exporter/worker"
)

// options holds the command line.
type options struct {
	iface          string
	ifaceGiven     bool
	selection      netif.Selection // of several interfaces; empty: iface is one
	wait           bool            // for interfaces that do not exist yet
	direction      string          // one of directions
	promiscuous    bool
	snapLen        int // bytes of a frame that are captured at most
	snapLenGiven   bool
	web            webFlags
	filter         filterFlags
	streamAge      time.Duration // this and finalizedAge: worker.Never for ever
	finalizedAge   time.Duration
	synAge         time.Duration // 0: as streamAge
	frameSize      int
	blockSize      int
	numBlocks      int
	retireTimeout  time.Duration
	maxConnections int
	workers        int
	cpus           []int // that workers are pinned to; empty: none is
	ipv6           bool
	byVLAN         bool // streams are told apart by their VLAN tags, too
	tunnels        parse.Tunnels
	sample         int // one connection in so many is captured
	log            logFlags
	checking       bool // tell what a capture would find, and exit
	metrics        metricsFlags
	groups         groupFlags
	output         outputFlags
	version        bool
	read           string // first file to read instead of a live capture, - for standard input
	readGiven      bool
	files          []string // read, and the files that follow it as arguments
	repeat         int
	repeatGiven    bool
	pprof          string // address to serve profiles on; empty: none are
	line           *commandLine
}

// flag returns a flag and its value as they were typed, for messages.
func (o *options) flag(name string) string { return o.line.flag(name) }

// errHelp is returned after -help has printed the flags.
var errHelp = flag.ErrHelp

// parseFlags reads the command line. Errors are one line with the remedy.
func parseFlags(args []string, out io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("tcp-stream-exporter", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var maxAge time.Duration
	fs.StringVar(&o.iface, "interface", "eth0", "network `interface` to capture on, or several, names and patterns with commas between: eth0,ppp*,!ppp9; any: all of them")
	fs.BoolVar(&o.wait, "wait", false, "wait for an interface that does not exist yet, instead of ending with an error")
	fs.StringVar(&o.direction, "direction", both, "capture packets of this `direction` only: in (arriving), out (sent) or both")
	fs.BoolVar(&o.promiscuous, "promiscuous", false, "capture packets too that are addressed to others, as at a mirror port")
	fs.IntVar(&o.snapLen, "snaplen", worker.SnapLen, "`bytes` of a packet that are captured at most; what is behind the headers is never looked at")
	o.web.register(fs)
	o.filter.register(fs)
	fs.DurationVar(&o.streamAge, "stream-age", 5*time.Minute, "how long a stream is kept after its last packet; 0: for ever; with -read for ever unless given")
	fs.DurationVar(&maxAge, "max-age", 0, "another name of -stream-age")
	fs.DurationVar(&o.finalizedAge, "finalized-age", time.Minute, "how long a stream with FIN or RST is kept after its last packet; 0: for ever; with -read for ever unless given")
	fs.DurationVar(&o.synAge, "syn-age", 0, "how long a connection that showed only SYNs is kept after its last one; 0: for ever (default: as -stream-age)")
	fs.IntVar(&o.frameSize, "framesize", 2048, "frame size of the ring in `bytes`, a multiple of 16")
	fs.IntVar(&o.blockSize, "blocksize", 262144, "block size of the ring in `bytes`, a multiple of the page size")
	fs.IntVar(&o.numBlocks, "numblocks", 128, "`number` of blocks in the ring")
	fs.DurationVar(&o.retireTimeout, "retire-timeout", 64*time.Millisecond, "how long the kernel keeps a block of the ring that does not fill")
	fs.IntVar(&o.workers, "workers", 1, "`number` of workers that share out the traffic, each with a ring and a table of its own")
	cpus := fs.String("cpus", "", "`list` of CPUs that the workers are pinned to, in turn, e.g. 0,2-5 (default: none)")
	fs.IntVar(&o.maxConnections, "max-connections", 262144, "`number` of connections (two streams each) that are tracked at most")
	fs.BoolVar(&o.ipv6, "ipv6", false, "have IPv6 in the metrics by stream, too; those by group have it anyhow")
	fs.BoolVar(&o.byVLAN, "vlan-identity", false, "tell streams of the same addresses and ports apart by their VLAN tags, and label them with vlan")
	tunnels := fs.String("tunnels", "", "`list` of encapsulations whose inner packets are accounted, of "+parse.TunnelNames()+" (default: none)")
	fs.IntVar(&o.sample, "sample", 1, "capture one connection in this `number`, chosen by a hash of addresses and ports; 1: all")
	fs.BoolVar(&o.checking, "check", false, "tell what this machine and the interface mean for a capture, propose flags, and exit: with status 0 if a capture works")
	o.log.register(fs)
	o.metrics.register(fs)
	o.groups.register(fs)
	o.output.register(fs)
	fs.StringVar(&o.read, "read", "", "account a capture `file` (pcap or pcapng, also compressed with gzip or zstd; -: standard input) instead of an interface, print the figures and exit; more files may follow as arguments and are read as one capture")
	fs.IntVar(&o.repeat, "repeat", 1, "with -read: hold the packets in memory, account them this `number` of times and tell the time per packet")
	pprof := fs.String("pprof", "", "serve profiles of the program (Go's net/http/pprof) on this `address`; a port alone is one of 127.0.0.1 (default: none)")
	fs.BoolVar(&o.version, "version", false, "print the version and exit")
	line := newCommandLine(fs)
	o.line = line
	files, err := line.parse(args)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			help := bytes.NewBufferString("Usage of tcp-stream-exporter:\n")
			fs.SetOutput(help)
			fs.PrintDefaults() // which drops errors
			help.WriteString("tcp-stream-exporter top shows the streams of a running exporter in a terminal: see tcp-stream-exporter top -help\n")
			if _, err := out.Write(help.Bytes()); err != nil {
				return nil, outputError{"the help", err}
			}
			return nil, errHelp
		}
		if line.bad != nil {
			return nil, line.bad
		}
		return nil, line.flagError(err)
	}
	given := map[string]bool{}
	line.Visit(func(f *flag.Flag) { given[f.Name] = true })
	o.ifaceGiven = given["interface"]
	o.snapLenGiven = given["snaplen"]
	o.readGiven, o.repeatGiven = given["read"], given["repeat"]
	o.files = append([]string{o.read}, files...)
	if err := o.checkRead(given); err != nil {
		return nil, err
	}
	if err := o.log.resolve(given, o.flag); err != nil {
		return nil, err
	}
	if err := o.web.resolve(given, o.flag); err != nil {
		return nil, err
	}
	if err := o.output.resolve(given, o.flag); err != nil {
		return nil, err
	}
	if err := o.metrics.resolve(given, o.flag); err != nil {
		return nil, err
	}
	if err := o.groups.resolve(given, o.flag); err != nil {
		return nil, err
	}
	if given["pprof"] {
		var err error
		if o.pprof, err = profileAddress(*pprof); err != nil {
			return nil, fmt.Errorf("%s: %w", o.flag("pprof"), err)
		}
	}
	if given["tunnels"] {
		var err error
		if o.tunnels, err = parse.ParseTunnels(*tunnels); err != nil {
			return nil, fmt.Errorf("%s: %w", o.flag("tunnels"), err)
		}
	}
	if given["cpus"] {
		var err error
		if o.cpus, err = parseCPUs(*cpus); err != nil {
			return nil, fmt.Errorf("%s: %w", o.flag("cpus"), err)
		}
	}
	if given["max-age"] {
		if maxAge < 0 {
			return nil, o.ageError("max-age", "5m")
		}
		if given["stream-age"] {
			return nil, fmt.Errorf("%s and %s: they are two names of one setting, give only one",
				o.flag("stream-age"), o.flag("max-age"))
		}
		o.streamAge = maxAge
	}
	if err := o.resolveAges(given); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil || o.version {
		return o, err
	}
	return o, o.filter.resolve(given, o.snapLen, o.flag)
}

// resolveAges turns 0 into worker.Never, with -read also an age that was not given: all streams of a file
// are wanted, however old.
func (o *options) resolveAges(given map[string]bool) error {
	for _, age := range []struct {
		name    string
		value   *time.Duration
		given   bool
		example string
	}{
		{"stream-age", &o.streamAge, given["stream-age"] || given["max-age"], "5m"},
		{"finalized-age", &o.finalizedAge, given["finalized-age"], "1m"},
		{"syn-age", &o.synAge, given["syn-age"], "30s"},
	} {
		switch {
		case *age.value < 0:
			return o.ageError(age.name, age.example)
		case age.given && *age.value == 0, !age.given && o.readGiven && age.value != &o.synAge:
			*age.value = worker.Never
		}
	}
	return nil
}

// ageText returns an age as the log shows it.
func ageText(age time.Duration) string {
	if age > worker.MaxAge {
		return "never"
	}
	return age.String()
}

// flagError turns package flag's messages about flags, but not those about values, into ours.
func (l *commandLine) flagError(err error) error {
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok && l.Lookup(name) != nil {
		example := shortDuration(l.Lookup(name).DefValue)
		if example != "" && example != "0" && example != "0s" {
			example = ", such as " + asTyped(example)
		} else {
			example = ", see -help"
		}
		return fmt.Errorf("-%s: needs a value%s", name, example)
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: "); ok {
		return fmt.Errorf("%s: unknown flag: -help lists all flags", asTyped(name))
	}
	if text, ok := strings.CutPrefix(err.Error(), "bad flag syntax: "); ok {
		return fmt.Errorf("%s: no flag looks like that: -help lists all flags", asTyped(text))
	}
	return fmt.Errorf("%w: see -help", err)
}

// Directions of packets as this host sees them, as -direction takes them.
const (
	both     = "both"
	arriving = "in"
	sent     = "out"
)

var directions = []string{arriving, sent, both}

// liveFlags lists the flags that a live capture alone has a use for.
var liveFlags = []string{"check", "interface", "wait", "direction", "promiscuous", "snaplen", "port", "web.listen-address", "web.systemd-socket", "web.config.file", "web.telemetry-path", "framesize", "blocksize", "numblocks", "retire-timeout", "workers", "cpus", "log.level", "log.format"}

// checkRead validates the flags that belong to -read and those that do not.
func (o *options) checkRead(given map[string]bool) error {
	if !o.readGiven {
		if o.repeatGiven {
			return fmt.Errorf("%s: goes with -read only: name a capture file with -read", o.flag("repeat"))
		}
		return nil
	}
	if o.read == "" {
		return fmt.Errorf("%s: name a capture file, or - for standard input", o.flag("read"))
	}
	for i, file := range o.files[1:] {
		if file == "" {
			return fmt.Errorf("argument %q: name a capture file, or - for standard input", file)
		}
		if file == "-" && slices.Contains(o.files[:i+1], "-") {
			return fmt.Errorf("%s: standard input can be read once, name - once", withValue("read", file))
		}
	}
	if o.repeat < 1 {
		return fmt.Errorf("%s: want 1 or more", o.flag("repeat"))
	}
	for _, name := range slices.Concat(liveFlags, groupFlagNames) {
		if given[name] {
			return fmt.Errorf("%s: goes with a live capture only: leave it out with -read", o.flag(name))
		}
	}
	return nil
}

func (o *options) ageError(name, example string) error {
	return fmt.Errorf("%s: want a duration, e.g. %s, or 0: never", o.flag(name), example)
}

// check validates what can be validated without touching the system.
func (o *options) check() error {
	if o.version {
		return nil
	}
	if !slices.Contains(directions, o.direction) {
		return fmt.Errorf("%s: want in, out or both", o.flag("direction"))
	}
	if o.snapLen < minSnapLen || o.snapLen > pcapfilter.MaxSnapLen {
		return fmt.Errorf("%s: want %d to %d bytes", o.flag("snaplen"), minSnapLen, pcapfilter.MaxSnapLen)
	}
	if o.maxConnections < 1 || o.maxConnections > table.MaxConnections {
		return fmt.Errorf("%s: want 1 to %d", o.flag("max-connections"), table.MaxConnections)
	}
	if o.retireTimeout < time.Millisecond || o.retireTimeout > maxRetireTimeout {
		return fmt.Errorf("%s: want 1ms to %v", o.flag("retire-timeout"), maxRetireTimeout)
	}
	if o.workers < 1 || o.workers > ring.MaxRings {
		return fmt.Errorf("%s: want 1 to %d", o.flag("workers"), ring.MaxRings)
	}
	if o.workers > o.maxConnections {
		return fmt.Errorf("%s and %s: the workers share the connections, use at most %d workers or more connections",
			o.flag("workers"), o.flag("max-connections"), o.maxConnections)
	}
	if o.sample < 1 || o.sample > parse.MaxSample {
		return fmt.Errorf("%s: want 1 (all connections) to %d", o.flag("sample"), parse.MaxSample)
	}
	if o.sample > 1 && o.tunnels != 0 {
		return fmt.Errorf("%s and %s: the kernel's filter sees the outer packets and cannot choose among the connections inside: leave one of the two out",
			o.flag("sample"), o.flag("tunnels"))
	}
	if o.iface == "" {
		return fmt.Errorf("%s: %s", o.flag("interface"), interfaceList())
	}
	if netif.IsSelection(o.iface) {
		var err error
		if o.selection, err = netif.ParseSelection(o.iface); err != nil {
			return fmt.Errorf("%s: %w", o.flag("interface"), err)
		}
	}
	return o.asFlags(o.ringConfig().Validate())
}

// minSnapLen holds the longest headers of an ordinary packet: Ethernet, a tag, IPv4 and TCP with all options.
const minSnapLen = 14 + 4 + 20 + 60

// tunnelSnapLen returns how many bytes of a packet with others inside are captured at most.
func (o *options) tunnelSnapLen() int {
	if o.snapLenGiven {
		return o.snapLen
	}
	return worker.TunnelSnapLen
}

// byInterface reports whether streams are told apart by their interface, too. What arrives alone passes once however many
// interfaces are captured, and the two directions of a connection that is forwarded arrive at different ones.
func (o *options) byInterface() bool { return o.selection.String() != "" && o.direction != arriving }

// isPort reports whether text is a TCP port or a service's name. Package net truncates a number to 32 bits:
// it takes 4294976396 for 9100.
func isPort(text string) bool {
	if n, err := strconv.Atoi(text); err == nil || errors.Is(err, strconv.ErrRange) {
		return err == nil && n >= 0 && n <= math.MaxUint16
	}
	_, err := net.LookupPort("tcp", text)
	return err == nil && text != ""
}

// ringConfig returns the ring's configuration by the flags.
func (o *options) ringConfig() ring.Config {
	return ring.Config{BlockSize: o.blockSize, NumBlocks: o.numBlocks, FrameSize: o.frameSize, RetireTov: o.retireTimeout}
}

// asFlags returns err with the ring's settings under the names of their flags, as typed.
func (o *options) asFlags(err error) error {
	var setting *ring.SettingError
	if !errors.As(err, &setting) {
		return err
	}
	return flagsError{setting.Text(func(s ring.Setting) string {
		switch s {
		case ring.SettingInterface:
			return withValue("interface", o.iface) // also where it was chosen
		case ring.SettingBlockSize:
			return o.flag("blocksize")
		case ring.SettingNumBlocks:
			return o.flag("numblocks")
		case ring.SettingFrameSize:
			return o.flag("framesize")
		case ring.SettingRetireTov:
			return o.flag("retire-timeout")
		case ring.SettingFilter:
			return o.flag(o.filter.flagName())
		}
		return o.flag("workers")
	}), err}
}

// flagsError is another package's error with a text that names the flags.
type flagsError struct {
	text string
	err  error
}

func (e flagsError) Error() string { return e.text }

func (e flagsError) Unwrap() error { return e.err }
