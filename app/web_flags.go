package app

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	"tcp-stream-exporter/web"
)

// webFlags are the flags of the server. Those with dots are called as in Prometheus' exporter-toolkit.
type webFlags struct {
	port      string
	listen    addresses
	socket    bool   // systemd's sockets, instead of addresses
	config    string // file; empty: plain HTTP for everybody
	metrics   string // path
	fromPort  bool   // the address is that of -port
	addresses []string
}

// addresses is a flag that may be given several times.
type addresses []string

func (a *addresses) String() string { return strings.Join(*a, ",") }

// Set takes another one.
func (a *addresses) Set(text string) error {
	*a = append(*a, text)
	return nil
}

// Get returns those so far.
func (a *addresses) Get() any { return []string(*a) }

// repeats marks a flag that may be given several times.
func (*addresses) repeats() {}

func (f *webFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.port, "port", ":9100", "`address` to serve metrics on, as host:port or :port")
	fs.Var(&f.listen, "web.listen-address", "`address` to serve metrics on, as -port; may be given several times")
	fs.BoolVar(&f.socket, "web.systemd-socket", false, "serve on the sockets that systemd passes (socket activation), instead of addresses")
	fs.StringVar(&f.config, "web.config.file", "", "`file` with TLS certificates and users' passwords, in the format of Prometheus' exporter-toolkit (default: plain HTTP, no passwords)")
	fs.StringVar(&f.metrics, "web.telemetry-path", "/metrics", "`path` to serve metrics on")
}

// resolve validates the flags that were given. flag shows one as typed.
func (f *webFlags) resolve(given map[string]bool, flag func(string) string) error {
	all := make([]string, 0, len(f.listen))
	for _, address := range f.listen {
		if slices.Contains(all, withValue("web.listen-address", address)) {
			return fmt.Errorf("%s: it is there twice, leave one out", withValue("web.listen-address", address))
		}
		all = append(all, withValue("web.listen-address", address))
	}
	switch {
	case given["port"] && len(all) > 0:
		return fmt.Errorf("%s and %s: they are two names of one setting, give only one", flag("port"), all[0])
	case f.socket && given["port"]:
		return fmt.Errorf("%s and %s: systemd's sockets are served, or an address, give only one", flag("web.systemd-socket"), flag("port"))
	case f.socket && len(all) > 0:
		return fmt.Errorf("%s and %s: systemd's sockets are served, or an address, give only one", flag("web.systemd-socket"), all[0])
	}
	if f.addresses = f.listen; len(all) == 0 {
		f.addresses, f.fromPort = []string{f.port}, true
	}
	for _, address := range f.addresses {
		if _, port, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("%s: no address: want host:port or :port, e.g. :9100", f.flag(address))
		} else if !isPort(port) {
			return fmt.Errorf("%s: %s is no TCP port: want host:port or :port, e.g. :9100", f.flag(address), asTyped(port))
		}
	}
	if given["web.config.file"] && f.config == "" {
		return fmt.Errorf("%s: name a file, or leave the flag out for plain HTTP", flag("web.config.file"))
	}
	if !strings.HasPrefix(f.metrics, "/") || strings.ContainsAny(f.metrics, "?#%") || strings.ContainsFunc(f.metrics, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s: want a path such as /metrics, of ASCII without spaces, ?, # and %%", flag("web.telemetry-path"))
	}
	if f.metrics == healthyPath || f.metrics == readyPath {
		return fmt.Errorf("%s: health checks are there, use another path, such as /metrics", flag("web.telemetry-path"))
	}
	return nil
}

// flag returns the flag by which an address was given.
func (f *webFlags) flag(address string) string {
	if f.fromPort {
		return withValue("port", address)
	}
	return withValue("web.listen-address", address)
}

// listenAll binds all addresses, or takes over systemd's sockets. With an error it leaves nothing open.
func (f *webFlags) listenAll() (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			closeListeners(all)
			all = nil
		}
	}()
	if f.socket {
		return systemdSockets(activation.Files(true))
	}
	for _, address := range f.addresses {
		l, err := f.listenTo(address)
		if err != nil {
			return all, err
		}
		all = append(all, l)
	}
	return all, nil
}

// systemdSockets takes over the sockets that systemd has passed (sd_listen_fds(3)).
func systemdSockets(files []*os.File) (all []net.Listener, err error) {
	for _, file := range files {
		defer file.Close() // the listener has another descriptor
	}
	if len(files) == 0 {
		return nil, errors.New("-web.systemd-socket: systemd has passed no socket: give the unit a .socket unit, see docs/systemd.md")
	}
	for _, file := range files {
		l, err := net.FileListener(file)
		if err != nil {
			return all, fmt.Errorf("-web.systemd-socket: %s is no socket that listens for streams: use ListenStream= in the .socket unit: %w", asTyped(file.Name()), err)
		}
		all = append(all, l)
	}
	return all, nil
}

// listenTo binds one address.
func (f *webFlags) listenTo(address string) (net.Listener, error) {
	l, err := listenOn(address)
	if err == nil {
		return l, nil
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		hint := ""
		if _, port, _ := net.SplitHostPort(address); port == "9100" {
			hint = " (9100 is also node_exporter's port)"
		}
		return nil, fmt.Errorf("%s: in use by another program%s: choose another one, e.g. -port :9101", f.flag(address), hint)
	}
	return nil, fmt.Errorf("%s: %w: %s", f.flag(address), err, listenRemedy(err))
}

func closeListeners(all []net.Listener) {
	for _, l := range all {
		_ = l.Close() // nobody has used it
	}
}

// addressesOf returns the listeners' addresses, for the log.
func addressesOf(all []net.Listener) string {
	texts := make([]string, 0, len(all))
	for _, l := range all {
		texts = append(texts, l.Addr().String())
	}
	return strings.Join(texts, ",")
}

// openDoor reads the file of -web.config.file; nil without that. report is as in web.OpenDoor.
func (o *options) openDoor(report func(error)) (*web.Door, error) {
	if o.web.config == "" {
		return nil, nil
	}
	door, err := web.OpenDoor(o.web.config, report)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.flag("web.config.file"), err)
	}
	return door, nil
}
