package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/printable"
	"tcp-stream-exporter/ring"
)

// lines are the interfaces that are captured where -interface selects several: those of them that there are. One ring
// for each worker, bound to all interfaces, captures them; the kernel filter tells them apart, and is replaced when
// interfaces come and go.
//
// A line has a number, by which connections on it are told from those on others. It is the name's, not the
// interface's: one that is made again goes on with the streams that it had, as one that is captured alone does, and no
// two series can differ in nothing but the index, which they do not show.
type lines struct {
	o         *options
	selection netif.Selection
	log       *slog.Logger
	programs  [numPrograms][]bpf.RawInstruction // the filter for frames of each kind
	byHatype  []bpf.RawInstruction              // the same for frames of any interface

	names sync.Map // the names as labels have them, by number; see numbers

	mu         sync.Mutex // guards the rest
	to         capturing  // nil before the capture is there
	lines      map[int]line
	numbers    map[string]uint32 // by the name as a label has it, of those that have gone too: their streams are still there
	gone       []uint32          // numbers of names without an interface, the longest gone first
	last       uint32            // number given out
	coarse     bool              // the filter that was told of lets other interfaces through
	prog       []bpf.RawInstruction
	toldFilter bool
}

// line is one interface that is captured, by its index.
type line struct {
	name   string
	number uint32
	hatype uint16
	link   parse.Link // LinkUnknown: its frames are not decoded, and not captured
	up     bool
}

// capturing is what lines ask of a capture.
type capturing interface {
	SetFilter(prog []bpf.RawInstruction) error
	SetInterfaces(s *capture.Interfaces)
	SetPromiscuous(index int, on bool) error
}

// Places in lines.programs.
const (
	ethernet = iota
	raw
	numPrograms
)

const (
	// maxTold bounds the interfaces that have series of their own, and that a line of the log names.
	maxTold  = 1024
	maxNamed = 20
	// maxGone bounds the names that are known of interfaces that have gone. Streams of those before show a number.
	maxGone = 1 << 16
)

// newLines compiles the filter for all kinds of interfaces. A filter that cannot apply to those without a link header
// selects nothing there, such as one that asks for an Ethernet address, or one of a file, which is taken for one of Ethernet.
func newLines(o *options, log *slog.Logger) (*lines, error) {
	l := &lines{o: o, selection: o.selection, log: log, numbers: map[string]uint32{}}
	o.filter.use(pcapfilter.EN10MB)
	var err error
	if l.programs[ethernet], err = o.compileFilter(pcapfilter.EN10MB); err != nil {
		return nil, err
	}
	if l.programs[raw], err = o.compileFilter(pcapfilter.Raw); err != nil {
		l.programs[raw] = ring.RejectAll
		log.Warn("the filter cannot apply to interfaces without a link header (tun, PPP, WireGuard): nothing is captured there", "reason", err)
	}
	if l.byHatype, err = pcapfilter.ByHardwareType(l.programs[ethernet], l.programs[raw]); err != nil {
		return nil, fmt.Errorf("%s: for several interfaces: %w", o.flag(o.filter.flagName()), err)
	}
	return l, nil
}

// check returns an error for a name that was given and no interface bears, unless it is to be waited for.
func (l *lines) check(all []netif.Interface) error {
	for _, name := range l.selection.Names() {
		if !l.o.wait && !slices.ContainsFunc(all, func(i netif.Interface) bool { return i.Name == name }) {
			return noInterface(name)
		}
	}
	return nil
}

// start takes the interfaces that there are at the start, and returns the filter to open rings with.
func (l *lines) start(all []netif.Interface) []bpf.RawInstruction {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = l.among(all)
	l.compile()
	return l.prog
}

// begin hands over to a capture whose rings have the filter of start.
func (l *lines) begin(to capturing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
	to.SetInterfaces(l.table())
	for index, line := range l.lines {
		l.promiscuous(index, line, true)
	}
	names := l.told()
	switch {
	case len(l.lines) == 0:
		l.log.Warn("no interface matches yet: waiting for one", "interface", l.o.iface)
	case len(names) > maxNamed:
		l.log.Info("capturing on several interfaces", "number", len(l.lines), "first", strings.Join(names[:maxNamed], ","))
	default:
		l.log.Info("capturing on several interfaces", "number", len(l.lines), "interfaces", strings.Join(names, ","))
	}
	for _, line := range l.lines {
		l.tellUndecoded(line)
	}
	for _, name := range l.selection.Names() {
		if !slices.Contains(names, name) {
			l.log.Warn("there is no such interface yet: waiting for it", "interface", name)
		}
	}
}

// update asks for the interfaces that there are now, and tells of each change in a line of the log.
func (l *lines) update(all func() []netif.Interface) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.lines
	l.lines = l.among(all()) // asked for here, so that no older answer follows a newer one
	refilter := false
	for index, was := range before {
		now, there := l.lines[index]
		switch {
		case !there:
			l.log.Info("no longer captured: the interface is gone, or is called otherwise", "interface", was.name)
			l.promiscuous(index, was, false)
		case now.name != was.name:
			l.log.Info("the interface has another name", "interface", was.name, "now", now.name)
		case now.hatype != was.hatype:
			l.tellUndecoded(now)
		case now.up != was.up && now.up:
			l.log.Info("capturing again: the interface is up", "interface", now.name)
		case now.up != was.up:
			l.log.Info("the interface is down: waiting for it", "interface", now.name)
		}
		refilter = refilter || !there || now.number != was.number || now.link != was.link
	}
	for index, now := range l.lines {
		if _, there := before[index]; !there {
			refilter = true
			if now.link != parse.LinkUnknown {
				l.log.Info("capturing on another interface", "interface", now.name)
			}
			l.tellUndecoded(now)
			l.promiscuous(index, now, true)
		}
	}
	l.forget(before)
	if !refilter || l.to == nil {
		return
	}
	l.compile()
	// First the numbers, so that no frame of a new interface comes before its number is known.
	l.to.SetInterfaces(l.table())
	if err := l.to.SetFilter(l.prog); err != nil {
		l.fallBack(err)
	}
}

// among returns the lines among all interfaces. The caller holds mu.
func (l *lines) among(all []netif.Interface) map[int]line {
	lines := map[int]line{}
	for i := range all {
		k := &all[i]
		if !l.selection.Match(k.Name) {
			continue
		}
		label := printable.Text(k.Name)
		number := l.numbers[label]
		if number == 0 {
			l.last++
			number = l.last
			l.numbers[label] = number
			l.names.Store(number, label)
		}
		link := parse.LinkFromARPHRD(k.Hatype)
		lines[k.Index] = line{name: k.Name, number: number, hatype: k.Hatype, link: link, up: k.Up}
	}
	return lines
}

// forget drops names of interfaces that have gone long ago, if there are very many of them. The caller holds mu.
func (l *lines) forget(before map[int]line) {
	here := map[uint32]bool{}
	for _, line := range l.lines {
		here[line.number] = true
	}
	for _, was := range before {
		if !here[was.number] {
			l.gone = append(l.gone, was.number)
		}
	}
	for len(l.gone) > maxGone {
		number := l.gone[0]
		l.gone = l.gone[1:]
		if !here[number] && !slices.Contains(l.gone, number) {
			if label, known := l.names.LoadAndDelete(number); known {
				delete(l.numbers, label.(string))
			}
		}
	}
}

// compile makes the filter for the present lines. The caller holds mu.
func (l *lines) compile() {
	all := make([]pcapfilter.OfInterface, 0, len(l.lines))
	for index, line := range l.lines {
		switch line.link {
		case parse.LinkEthernet:
			all = append(all, pcapfilter.OfInterface{Index: uint32(index), Program: ethernet})
		case parse.LinkRaw:
			all = append(all, pcapfilter.OfInterface{Index: uint32(index), Program: raw})
		}
	}
	prog, err := pcapfilter.ByInterface(all, l.programs[:])
	if l.coarse = err != nil; l.coarse {
		prog = l.byHatype
	}
	l.prog = prog
}

// fallBack replaces a filter that the kernel refuses, for want of the memory that it grants to filters, by one that
// knows no interfaces. The caller holds mu.
func (l *lines) fallBack(why error) {
	l.coarse, l.prog = true, l.byHatype
	l.to.SetInterfaces(l.table())
	err := l.to.SetFilter(l.prog)
	if !l.toldFilter || err != nil {
		l.toldFilter = true
		l.log.Warn("the filter for all these interfaces is refused: frames are told apart after they are captured, which costs more; raise the sysctl net.core.optmem_max",
			"reason", errors.Join(why, err))
	}
}

// table returns the lines' numbers, for the capture. The caller holds mu.
func (l *lines) table() *capture.Interfaces {
	numbers := make(map[int]int32, len(l.lines))
	for index, line := range l.lines {
		if line.link != parse.LinkUnknown {
			numbers[index] = int32(line.number)
		}
	}
	return capture.NewInterfaces(numbers, l.coarse)
}

// promiscuous switches an interface, if that is wanted. The caller holds mu.
func (l *lines) promiscuous(index int, line line, on bool) {
	if !l.o.promiscuous || l.to == nil || line.link == parse.LinkUnknown {
		return
	}
	if err := l.to.SetPromiscuous(index, on); err != nil && !errors.Is(err, ring.ErrGone) {
		l.log.Warn("the interface cannot be switched to promiscuous mode: what is addressed to others is not captured there", "interface", line.name, "reason", err)
	}
}

// tellUndecoded logs a line that is not captured. The caller holds mu.
func (l *lines) tellUndecoded(line line) {
	if line.link == parse.LinkUnknown {
		l.log.Warn("the interface has a hardware type (ARPHRD_ in linux/if_arp.h) that is not decoded: it is left out", "interface", line.name, "type", line.hatype)
	}
}

// told returns the lines' names in order. The caller holds mu.
func (l *lines) told() []string {
	names := make([]string, 0, len(l.lines))
	for _, line := range l.lines {
		names = append(names, line.name)
	}
	slices.Sort(names)
	return names
}

// interfaces returns those that have series of their own: the first of all.
func (l *lines) interfaces() []collector.Interface {
	all := l.all()
	return all[:min(len(all), maxTold)]
}

// all returns the lines, and what was named and is not there, in the order of their names.
func (l *lines) all() []collector.Interface {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []collector.Interface
	named := l.selection.Names()
	for _, line := range l.lines {
		all = append(all, collector.Interface{
			Name: line.name, Up: line.up && line.link != parse.LinkUnknown, Named: slices.Contains(named, line.name), Exists: true,
		})
	}
	for _, name := range named {
		if !slices.ContainsFunc(all, func(i collector.Interface) bool { return i.Name == name }) {
			all = append(all, collector.Interface{Name: name, Named: true})
		}
	}
	slices.SortFunc(all, func(a, b collector.Interface) int { return strings.Compare(a.Name, b.Name) })
	// An interface may be listed twice while others come and go.
	return slices.CompactFunc(all, func(a, b collector.Interface) bool { return printable.Text(a.Name) == printable.Text(b.Name) })
}

// absent reports whether an interface that was named is not there, or down.
func (l *lines) absent() bool {
	return slices.ContainsFunc(l.all(), func(i collector.Interface) bool { return i.Named && !i.Up })
}

// name returns the label of a number, empty if it is forgotten. It takes no lock: each line of an answer asks.
func (l *lines) name(number uint32) string {
	label, known := l.names.Load(number)
	if !known {
		return ""
	}
	return label.(string)
}

// follow keeps the lines up to date until ctx ends, or the returned function is called.
func (l *lines) follow(ctx context.Context) (stop func(), err error) {
	var monitor atomic.Pointer[netif.Monitor]
	m, err := netif.NewMonitor(ctx, func([]netif.Change) {
		if m := monitor.Load(); m != nil {
			l.update(m.All)
		}
	})
	if err != nil {
		return nil, err
	}
	monitor.Store(m)
	l.update(m.All) // what has come since the start
	go l.awaitEnd(m)
	return m.Close, nil
}

// awaitEnd waits for the end of a netif.Monitor, and logs it if the program has not brought it about: the lines stay as
// they are from then on.
func (l *lines) awaitEnd(m interface {
	Done() <-chan struct{}
	Err() error
}) {
	<-m.Done()
	if err := m.Err(); !errors.Is(err, context.Canceled) {
		l.log.Error("changes of interfaces are not seen any more: what comes later is not captured, restart the exporter", "reason", err)
	}
}
