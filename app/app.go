package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/bpf"

	"tcp-stream-exporter/api"
	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/offline"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/printable"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/web"
	"tcp-stream-exporter/worker"
)

// version is Main's argument; empty: the module's build information has it.
var version string

const (
	// maxRetireTimeout is shorter than the time for which a worker waits for the last block of an
	// interface that has gone.
	maxRetireTimeout = 150 * time.Millisecond
	// ipTCPHeaders is the least length of a packet's headers in bytes: IPv4 and TCP without options.
	ipTCPHeaders = 20 + 20
	// statusInterval is how often a line of totals is logged.
	statusInterval = time.Minute
	// stopTime bounds how long scrapes under way may hold up the end.
	stopTime = 500 * time.Millisecond
)

const (
	exitOK = iota
	exitFailure
	exitUsage
)

// Main runs the program with the arguments behind its name and returns its exit status. linked is the version set
// by the linker, or empty.
func Main(args []string, linked string) int {
	version = linked
	return run(args, os.Stdout, os.Stderr)
}

// flagStatus says what is wrong with the flags, or with printing the help that they ask for, and returns the exit status.
func flagStatus(err error, stderr io.Writer) int {
	if errors.Is(err, errHelp) {
		return exitOK
	}
	complain(stderr, err)
	if errors.As(err, new(outputError)) {
		return exitFailure
	}
	return exitUsage
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == topCommand {
		return runTop(args[1:], stdout, stderr)
	}
	o, err := parseFlags(args, stdout)
	switch {
	case err != nil:
		return flagStatus(err, stderr)
	case o.version:
		if _, err := fmt.Fprintf(stdout, "tcp-stream-exporter %s (%s, %s/%s, libpcap: %s)\n",
			versionName(), runtime.Version(), runtime.GOOS, runtime.GOARCH, pcapfilter.Version()); err != nil {
			complain(stderr, outputError{"the version", err})
			return exitFailure
		}
		return exitOK
	}
	if o.checking {
		if err := o.checkCapture(stdout); err != nil {
			complain(stderr, err)
			return exitFailure
		}
		return exitOK
	}
	if o.readGiven {
		stopProfiles, _, err := o.serveProfiles(nil, nil)
		if err != nil {
			complain(stderr, err)
			return exitFailure
		}
		defer stopProfiles()
		if err := offline.Run(o.offline(stderr), stdout, stderr); err != nil {
			complain(stderr, err)
			return exitFailure
		}
		return exitOK
	}
	// A write to a closed pipe on standard output or error would end the exporter with the reader of its log
	// (SIGPIPE); that is how -read FILE | head ends.
	signal.Ignore(syscall.SIGPIPE)
	lines := newLogQueue(stderr, func(lost uint64) {
		o.log.say(stderr, slog.LevelWarn, fmt.Sprintf("%d log lines are lost: standard error was not read", lost))
	})
	defer lines.close()
	log := slog.New(o.log.handler(lines))
	door, err := o.openDoor(func(err error) { tellDoor(log, o.web.config, err) })
	if err != nil {
		complain(lines, err)
		return exitUsage
	}
	stopProfiles, profilesAt, err := o.serveProfiles(door, serverLog(log))
	if err != nil {
		o.log.say(lines, slog.LevelError, err.Error())
		return exitFailure
	}
	defer stopProfiles()
	if profilesAt != "" {
		log.Info("serving profiles", "address", profilesAt)
	}
	if err := serve(o, door, log); err != nil {
		o.log.say(lines, slog.LevelError, err.Error())
		if errors.As(err, new(groupsError)) {
			return exitUsage
		}
		return exitFailure
	}
	return exitOK
}

// offline returns the options of a run over capture files.
func (o *options) offline(stderr io.Writer) offline.Options {
	r := offline.Options{
		Files: o.files, Filter: o.filter.text, Program: o.filter.program, Tunnels: o.tunnels, Sample: parse.OneIn(o.sample), Flag: o.flag, Check: o.checkMemory,
		ReadFlag: func(file string) string { return withValue("read", file) },
		Format:   o.output.format, Sort: o.output.sort, Families: o.metrics.Families, Limits: o.metrics.Limits,
		Others:    func() ([]exposition.Encoded, error) { return collector.Runtime(o.metrics.Options) },
		NewWorker: func() (*worker.Worker, error) { return o.newWorker(o.maxConnections, nil) },
		Say:       func(line string) { say(stderr, line) },
	}
	if o.repeatGiven {
		r.Repeat = o.repeat
	}
	return r
}

// outputError is a failed write to standard output.
type outputError struct {
	what string
	err  error
}

func (e outputError) Error() string {
	return fmt.Sprintf("writing %s to standard output: %v", e.what, e.err)
}

func (e outputError) Unwrap() error { return e.err }

// complain writes err as one line.
func complain(w io.Writer, err error) { say(w, err.Error()) }

// say writes one line, of UTF-8.
func say(w io.Writer, text string) {
	fmt.Fprintf(w, "tcp-stream-exporter: %s\n", oneLine(text))
}

// oneLine returns text as UTF-8 without line breaks.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(printable.Text(text), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

func versionName() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// serve captures and answers scrapes until SIGINT or SIGTERM.
func serve(o *options, door *web.Door, log *slog.Logger) error {
	ctx, stopSignals := untilSignal()
	defer stopSignals()
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)

	s, err := o.setUp(ctx, log)
	switch {
	case ctx.Err() != nil:
		if err == nil {
			s.close()
		}
		logStatus(log, "stopped", worker.Stats{})
		return nil
	case err != nil:
		return err
	}
	defer s.close()

	log.Info("starting", "version", versionName(), "interface", o.iface, "filter", o.filter.shown(),
		"address", addressesOf(s.listeners), "framesize", o.frameSize, "blocksize", o.blockSize,
		"numblocks", o.numBlocks, "workers", o.workers, "max_connections", o.maxConnections,
		"stream_age", ageText(o.streamAge), "finalized_age", ageText(o.finalizedAge))
	if o.sample > 1 {
		log.Info("capturing a sample: counters are of the connections in it, and are not scaled", "one_in", o.sample)
	}
	if door != nil {
		switch {
		case door.HasPasswords() && !door.HasTLS():
			log.Warn("passwords are asked for without TLS: whoever sees the traffic can read them; add tls_server_config", "file", o.web.config)
		case !door.HasPasswords() && !door.HasTLS():
			log.Warn("the file asks for neither TLS nor passwords", "file", o.web.config)
		}
	}
	if s.chosen {
		log.Info("there is no eth0 and -interface was not given: capturing on the interface of the default route", "interface", o.iface)
	}
	var given presence
	switch {
	case s.absent:
		log.Warn("there is no such interface yet: waiting for it", "interface", o.iface)
		given.waitsFromTheStart()
	case s.rings == nil:
		log.Warn("the interface is down: waiting for it", "interface", o.iface)
	}

	if o.groups.isConfigured() {
		log.Info("counting by group", "groups", s.groups.Groups(), "prefixes", s.groups.Prefixes())
	}
	c := capture.NewWorkers(s.workers, s.rings, reopener(o, s.ring, s.at.kind, log, &given), clocks, func(change capture.Change) {
		if change.Up {
			log.Info("capturing again", "interface", o.iface)
		} else {
			log.Warn("the interface went away: waiting for it, known streams are kept", "interface", o.iface, "reason", change.Err)
		}
	})
	if len(o.cpus) > 0 {
		c.SetCPUs(o.cpus)
	}
	interfaces := func(s *worker.Stats) []collector.Interface {
		return []collector.Interface{{Name: o.iface, Up: s.InterfaceUp, Named: true, Exists: given.exists()}}
	}
	states := health{sinceTurn: c.SinceTurn, up: func() bool { return c.Stats().InterfaceUp }}
	states.interfaces = func() []collector.Interface {
		s := c.Stats()
		return interfaces(&s)
	}
	absent, selected := func() bool { return false }, (func(string) bool)(nil)
	if s.lines != nil {
		states.interfaces = s.lines.all
		interfaces = func(*worker.Stats) []collector.Interface { return s.lines.interfaces() }
		absent, selected = s.lines.absent, o.selection.Match
		s.lines.begin(c)
		stop, err := s.lines.follow(ctx)
		if err != nil {
			return lookFailed(o.iface, err)
		}
		defer stop()
	}
	watcher := loss.New(loss.Config{
		Interface: o.iface, Selected: selected,
		Capture: func() loss.Capture {
			s := c.Stats()
			return loss.Capture{Lost: s.Lost(), Up: s.InterfaceUp, IfIndex: s.IfIndex, Absent: absent()}
		},
		MTU: func(bytes uint32) { c.SetSuperAbove(max(bytes, ipTCPHeaders) - ipTCPHeaders) },
		Report: func(err error) {
			log.Warn("losses before the ring cannot be read: the figures are taken for incomplete meanwhile", "reason", err)
		},
	})
	go watcher.Run(ctx)
	// A worker keeps its P (of Go's scheduler) while packets keep coming: the other goroutines need one too.
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) <= o.workers {
		runtime.GOMAXPROCS(o.workers + 1)
	}
	captured := make(chan error, 1)
	ended := make(chan struct{}) // the worker's memory is in use until its goroutine has ended
	go func() {
		defer close(ended)
		captured <- c.Run()
	}()
	defer func() {
		c.Stop()
		<-ended
	}()

	var groups groupsInForce
	groups.set.Store(s.groups)
	reloader := newGroupReloader(o.groups.file, s.groupsFile, o.groups.load, func(set *group.Set) {
		c.SetGroups(set)
		groups.set.Store(set)
	}, log)
	if plain, _ := o.groups.combinations(); plain != 0 {
		o.metrics.Groups, o.metrics.GroupFamilies, o.metrics.GroupName = c, o.groups.families, groups.name
	}
	o.metrics.MaxWaiting = s.clients / 2 // the others may be idle, or about to ask
	o.metrics.Came = web.Came
	if s.lines != nil {
		o.metrics.InterfaceName = s.lines.name
	}
	metrics := collector.New(c, o.metrics.Options)
	for _, own := range []prometheus.Collector{
		collector.Own(c.Stats, interfaces), collector.Workers(c.Packets), collector.Losses(watcher.Figures), metrics.Durations(),
		collector.BuildInfo(versionName(), runtime.Version(), pcapfilter.Version()), collector.Sample(1 / float64(o.sample)),
	} {
		if err := metrics.Registry().Register(own); err != nil {
			return fmt.Errorf("metrics of the exporter itself: %w", err)
		}
	}
	if o.groups.file != "" {
		if err := metrics.Registry().Register(collector.GroupReloads(reloader.figures)); err != nil {
			return fmt.Errorf("metrics of the groups' file: %w", err)
		}
		go reloader.run(ctx, hangUps)
		hangUps = nil // they are no longer for attend
	}
	started := time.Now()
	below := strings.TrimSuffix(o.web.metrics, "/")
	summary, streams := below+"/summary", below+"/streams"
	routes := append(states.routes(), web.Route{Path: o.web.metrics, Handler: metrics},
		web.Route{Path: summary, Handler: metrics.Summary()}, web.Route{Path: streams, Handler: metrics.Streams()},
		web.Route{Path: "/api/", Handler: api.New(c, o.apiOptions(c, s, &groups, o.status(ctx, c, watcher, &states, interfaces)))})
	server := web.Server("", web.Mux(routes, func() web.Page {
		s := c.Stats()
		return web.Page{
			Name: "TCP stream exporter", Metrics: o.web.metrics, Summary: summary, PerStream: streams, Version: versionName(), Interface: printable.Text(o.iface), Filter: printable.Text(o.filter.shown()),
			Packets: s.Packets, Drops: s.Dropped, Freezes: s.Freezes, Streams: int(s.Active),
			Uptime: time.Since(started).Truncate(time.Second),
		}
	}))
	server.ErrorLog = serverLog(log)
	door.Guard(server)
	bounded := web.Bound(server, web.Merge(s.listeners), s.clients)
	if err := metrics.Registry().Register(metrics.Clients(func() (refused, stalled, idle uint64) {
		f := bounded.Figures()
		return f.Refused, f.Stalled, f.Idle
	})); err != nil {
		return fmt.Errorf("metrics of the exporter's clients: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(server, bounded) }()

	err = attend(ctx, c, log, &hints{ipv6: o.ipv6, ipv6Grouped: o.metrics.Groups != nil, arriving: o.direction == arriving}, captured, served, hangUps)

	c.Stop()
	stopping, done := context.WithTimeout(context.Background(), stopTime)
	defer done()
	if server.Shutdown(stopping) != nil {
		server.Close()
	}
	if err != nil {
		return err
	}
	<-ended
	logStatus(log, "stopped", c.Stats())
	return nil
}

// attend logs a line a minute until a signal ends ctx, which is no error, or something ends by itself.
func attend(ctx context.Context, c *capture.Workers, log *slog.Logger, h *hints, captured, served <-chan error, hangUps <-chan os.Signal) error {
	minute := time.NewTicker(statusInterval)
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-captured: // never nil: nothing has stopped it
			return fmt.Errorf("capturing ended: %w", err)
		case err := <-served:
			return fmt.Errorf("serving metrics ended: %w", err)
		case <-hangUps:
			log.Debug("SIGHUP has no effect: there is no file of groups (-groups) to read again")
		case <-minute.C:
			s := c.Stats()
			logStatus(log, "status", s)
			h.note(s, log)
		}
	}
}

// tellDoor logs that a changed file of -web.config.file is in force, or why not.
func tellDoor(log *slog.Logger, file string, err error) {
	if err != nil {
		log.Warn("the changed file cannot be used: what it said before stays in force", "file", file, "reason", err)
		return
	}
	log.Info("the changed file is in force, for certificates and passwords", "file", file)
}

func logStatus(log *slog.Logger, message string, s worker.Stats) {
	log.Info(message, "streams", s.Streams, "active", s.Active, "packets", s.Packets,
		"dropped", s.Dropped, "queue_freezes", s.Freezes)
}

// reopener opens the rings again by the interface's name: under it there may be another interface
// now, with another index, and even of another kind, which takes another filter. kind is the one that
// cfg was made for. given records whether there is an interface of that name.
func reopener(o *options, cfg ring.Config, kind pcapfilter.LinkType, log *slog.Logger, given *presence) capture.WorkersOpener {
	lastReason := ""
	return func(ctx context.Context) ([]*ring.Ring, error) {
		at, err := findLink(o.iface)
		var absent noInterface
		heard, isAbsent := nothingNew, errors.As(err, &absent)
		if unknown := syscall.Errno(0); isAbsent || !errors.As(err, &unknown) {
			heard = given.note(!isAbsent, time.Now())
		}
		if heard == goneForGood {
			log.Warn("no interface of this name exists any more: still waiting for one; if it bears another name now, restart with that as -interface",
				"interface", o.iface, "reason", err)
		}
		if err == nil && !at.up {
			err = ring.ErrDown
		}
		if err == nil && at.kind != kind {
			// A filter that cannot be made leaves the one there is, for when the kind of before comes back.
			var filter []bpf.RawInstruction
			if filter, err = o.compileFilter(at.kind); err == nil {
				cfg.Filter, kind = filter, at.kind
			}
		}
		var rings []*ring.Ring
		if err == nil {
			o.aim(&cfg, at, cfg.Filter)
			rings, err = ring.OpenGroup(ctx, cfg, o.workers)
			err = o.asFlags(err)
		}
		switch {
		case ctx.Err() != nil: // the program is ending
		case err == nil:
			lastReason = ""
		case heard == thereAgain && errors.Is(err, ring.ErrDown): // any other outcome is reported
			log.Info("the interface exists again, and is down: waiting for it", "interface", o.iface)
		case errors.Is(err, ring.ErrDown), errors.Is(err, ring.ErrGone), errors.As(err, &absent):
			log.Debug("the interface is not back yet", "interface", o.iface, "reason", err)
		case err.Error() != lastReason:
			lastReason = err.Error()
			log.Warn("the interface is back but cannot be captured: trying again", "interface", o.iface, "reason", err)
		}
		return rings, err
	}
}

// compileFilter makes the program that the kernel runs, which also returns how much of a packet it copies.
func (o *options) compileFilter(kind pcapfilter.LinkType) ([]bpf.RawInstruction, error) {
	where := func() string { return o.flag(o.filter.flagName()) }
	prog, err := o.filter.compile(kind, o.snapLen)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where(), err)
	}
	if prog, err = pcapfilter.Sample(prog, kind, o.sample); err != nil {
		return nil, fmt.Errorf("%s and %s: %w", where(), o.flag("sample"), err)
	}
	prog = pcapfilter.HeadersOnly(prog, kind)
	outer := pcapfilter.Outer{}
	outer.Protocols, outer.Ports = o.tunnels.Outer()
	if prog, err = pcapfilter.OrOuter(prog, kind, outer, o.tunnelSnapLen()); err != nil {
		return nil, fmt.Errorf("%s: %w", where(), err)
	}
	if o.direction != sent {
		return prog, nil
	}
	if prog, err = pcapfilter.OnlyOutgoing(prog); err != nil {
		return nil, fmt.Errorf("%s: %w", where(), err)
	}
	return prog, nil
}

// newWorker makes a worker of so many connections at most, for a file or a live capture. groups are those that it begins
// with; nil: connections are not counted by group.
func (o *options) newWorker(connections int, groups *group.Set) (*worker.Worker, error) {
	plain, subnets := 0, 0
	if groups != nil {
		plain, subnets = o.groups.combinations()
	}
	w, err := worker.New(worker.Config{
		MaxConnections: connections, StreamAge: o.streamAge, FinalizedAge: o.finalizedAge, SynAge: o.synAge, IPv6: o.ipv6,
		Optional: o.metrics.Families.NeedOptional(), ByInterface: o.byInterface(), ByVLAN: o.byVLAN, Tunnels: o.tunnels,
		GroupMax: plain, GroupMaxSubnets: subnets, Groups: groups,
	})
	if errors.Is(err, syscall.ENOMEM) {
		return nil, fmt.Errorf("%s: %w", o.flag("max-connections"), err)
	}
	return w, err
}

// newWorkers makes the workers and shares out the capacity for connections among them. With an error it
// returns those already made.
func (o *options) newWorkers(groups *group.Set) (workers []*worker.Worker, err error) {
	for range o.workers {
		w, err := o.newWorker((o.maxConnections+o.workers-1)/o.workers, groups)
		if err != nil {
			return workers, err
		}
		workers = append(workers, w)
	}
	return workers, nil
}

// clocks reads the monotonic and the real-time clock together.
func clocks() (mono, real int64) {
	now := time.Now()
	return int64(now.Sub(processStart)), now.UnixNano()
}

// processStart anchors the monotonic clock. An hour of it is taken to have passed already, so that
// times from before the start are positive too.
var processStart = time.Now().Add(-time.Hour)

// listenRemedy returns the remedy for an address that cannot be bound.
func listenRemedy(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "choose another port"
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose another one, e.g. :9100"
	}
	return "want an address of this machine, as host:port or :port"
}

// listenOn binds addr. An IPv4 address is one of IPv4 alone, also 0.0.0.0, which package net takes for
// every address of both families.
func listenOn(addr string) (net.Listener, error) {
	network := "tcp"
	if at, err := net.ResolveTCPAddr(network, addr); err == nil && at.IP.To4() != nil {
		network = "tcp4"
	}
	return net.Listen(network, addr)
}
