// Command benchrouter measures what watching costs a router: packets that it no longer forwards. See the README of this
// module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"tcp-stream-exporter/bench/internal/filterfile"
	"tcp-stream-exporter/bench/internal/perfdata"
	"tcp-stream-exporter/bench/internal/pin"

	"golang.org/x/net/bpf"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchrouter:", err)
		os.Exit(1)
	}
}

// The generator and, in its time, the router's kernel have one CPU to themselves, the watchers the other.
const (
	routerCPU  = 0
	watcherCPU = 1
)

type config struct {
	exporter, tools, root string
	kernel                bool // the second table
	loads                 []load
	contenders            []contender
	rounds                int
	warm, window          time.Duration
	quick, markdown       bool
	chosen                string // -size and -contenders as they were given
	tsv                   string
	programs              programs // files, once they are written
}

func parse(args []string) (c config, err error) {
	f := flag.NewFlagSet("benchrouter", flag.ContinueOnError)
	f.StringVar(&c.exporter, "exporter", "./tcp-stream-exporter", "`file` of the exporter")
	f.StringVar(&c.tools, "tools", "", "`folder` of cwalk (default: this program's)")
	f.StringVar(&c.root, "root", ".", "`folder` of the exporter's sources, whose commit the data names")
	f.BoolVar(&c.kernel, "kernel", false, "measure the parts of the kernel's work, each by itself, with cwalk as the watcher")
	f.IntVar(&c.rounds, "rounds", 7, "`rounds`: in each, every contender has its turn")
	f.DurationVar(&c.window, "window", time.Second, "how long forwarded packets are counted in each turn")
	sizes := f.String("size", "", "`loads`, with commas between them: small (54-byte ACKs), large (1400 bytes of payload), super (the same as super-packets) (default: all; with -kernel large)")
	names := f.String("contenders", "", "`which` to measure, with commas between them (default: all)")
	f.BoolVar(&c.quick, "quick", false, "one short round, to see that it works: the figures say nothing")
	f.BoolVar(&c.markdown, "markdown", true, "print the table in Markdown")
	f.StringVar(&c.tsv, "tsv", "", "write the table to this data `file`, as docs/perf has them")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if f.NArg() != 0 {
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	all := contenders
	if *sizes == "" {
		*sizes = "small,large,super"
	}
	if c.kernel {
		all = kernelContenders
		if !set(f, "size") {
			*sizes = "large"
		}
	}
	for name := range strings.SplitSeq(*sizes, ",") {
		i := slices.IndexFunc(loads, func(l load) bool { return l.name == name })
		if i < 0 {
			return c, fmt.Errorf("-size %s: %q is unknown: take small, large or super", *sizes, name)
		}
		c.loads = append(c.loads, loads[i])
	}
	if c.contenders, err = choose(all, *names); err != nil {
		return c, err
	}
	f.Visit(func(g *flag.Flag) {
		if g.Name == "size" || g.Name == "contenders" {
			c.chosen += " -" + g.Name + " " + g.Value.String()
		}
	})
	c.warm = 200 * time.Millisecond
	if c.quick {
		c.rounds, c.warm, c.window = 1, 30*time.Millisecond, 50*time.Millisecond
	}
	if c.rounds < 1 {
		return c, fmt.Errorf("-rounds %d: want 1 or more", c.rounds)
	}
	if c.window < 10*time.Millisecond {
		return c, fmt.Errorf("-window %v: want 10ms or more", c.window)
	}
	if c.tools == "" {
		own, err := os.Executable()
		if err != nil {
			return c, fmt.Errorf("folder of this program: %w (give one with -tools)", err)
		}
		c.tools = filepath.Dir(own)
	}
	return c, nil
}

// set reports whether a flag was given.
func set(f *flag.FlagSet, name string) (found bool) {
	f.Visit(func(g *flag.Flag) { found = found || g.Name == name })
	return found
}

// choose returns the contenders of these names, in their own order, and always the first two, which the others are
// compared with.
func choose(all []contender, names string) ([]contender, error) {
	if names == "" {
		return all, nil
	}
	known := make([]string, len(all))
	for i, c := range all {
		known[i] = c.name
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("-contenders %s: %q is unknown: take of %s", names, name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(c contender) bool {
		return c.name != all[0].name && c.name != all[1].name && !slices.Contains(wanted, c.name)
	}), nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("must run as root, to make network namespaces: try sudo make bench-router")
	}
	table := &perfdata.Table{Columns: columns}
	if c.tsv != "" {
		if table.Origin, err = perfdata.OriginOf(ctx, c.root); err != nil {
			return err
		}
		table.Trial = c.quick
		table.Command = "make bench-router: benchrouter " + c.described()
	}
	if err := pin.Process(routerCPU); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "benchrouter-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if c.programs, err = writePrograms(folder); err != nil {
		return err
	}
	for _, l := range c.loads {
		all, err := c.measure(ctx, l, stderr)
		if err != nil {
			return err
		}
		addRows(table, l, all)
	}
	if c.markdown {
		if _, err := io.WriteString(stdout, markdown(table)); err != nil {
			return err
		}
	}
	if c.tsv == "" {
		return nil
	}
	if err := os.WriteFile(c.tsv, table.Encode(), 0o644); err != nil {
		return fmt.Errorf("-tsv: %w", err)
	}
	return nil
}

// described returns the flags that make a difference to the figures.
func (c *config) described() string {
	text := fmt.Sprintf("-rounds %d -window %v", c.rounds, c.window)
	if c.kernel {
		text = "-kernel " + text
	}
	return text + c.chosen
}

// programs holds the files of the programs that watchers attach.
type programs struct {
	tcp, tcpAny string // what the exporter attaches to one interface, and to all
	tcpCut      string // "tcp", cut to cutLen
	long        string // 100 instructions, all of which run, that take every packet and cut it to cutLen
}

// cutLen is how much of a frame is copied where nothing else is said, bytes: the longest headers of TCP over IPv4.
const cutLen = 96

func writePrograms(folder string) (p programs, err error) {
	long, err := bpf.Assemble(longProgram())
	if err != nil {
		return p, err
	}
	for _, f := range []struct {
		path *string
		name string
		prog func() ([]bpf.RawInstruction, error)
	}{
		{&p.tcp, "tcp", filterfile.TCP}, {&p.tcpAny, "tcp-any", filterfile.TCPAny},
		{&p.tcpCut, "tcp-cut", func() ([]bpf.RawInstruction, error) { return filterfile.TCPCut(cutLen) }},
		{&p.long, "long", func() ([]bpf.RawInstruction, error) { return long, nil }},
	} {
		*f.path = filepath.Join(folder, f.name)
		prog, err := f.prog()
		if err != nil {
			return p, err
		}
		if err := filterfile.Write(*f.path, prog); err != nil {
			return p, err
		}
	}
	return p, nil
}

// longProgram looks 33 times for an EtherType that is not there, in three instructions each, as a list of hosts does.
func longProgram() (prog []bpf.Instruction) {
	for i := range 33 {
		prog = append(prog,
			bpf.LoadAbsolute{Off: 12, Size: 2},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xffff},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(0xf000 + i), SkipTrue: uint8(3 * (32 - i))})
	}
	return append(prog, bpf.RetConstant{Val: cutLen})
}
