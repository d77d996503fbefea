package app

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"

	"tcp-stream-exporter/web"
)

// profileAddress is where -pprof has profiles served. A port alone is one of 127.0.0.1: profiles are
// for whoever is on this machine, unless an address says otherwise.
func profileAddress(text string) (string, error) {
	if !strings.Contains(text, ":") {
		text = ":" + text
	}
	host, port, err := net.SplitHostPort(text)
	if err == nil && isPort(port) {
		if host == "" {
			host = "127.0.0.1"
		}
		return net.JoinHostPort(host, port), nil
	}
	return "", errors.New("no address: want a port, which is then one of 127.0.0.1, or host:port")
}

// serveProfiles serves profiles if -pprof was given, until the function that it returns is called. at
// is where.
func (o *options) serveProfiles() (stop func(), at string, err error) {
	if o.pprof == "" {
		// That a profile could be asked for has the runtime sample allocations from the start on.
		runtime.MemProfileRate = 0
		return func() {}, "", nil
	}
	l, err := listenOn(o.pprof)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w: %s", o.flag("pprof"), err, listenRemedy(err))
	}
	return web.ServeProfiles(l, maxProfileClients), l.Addr().String(), nil
}
