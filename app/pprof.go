package app

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"

	"tcp-stream-exporter/web"
)

// profileAddress returns the address of -pprof. A port alone is one of 127.0.0.1: profiles are for this
// machine's users, unless an address is given.
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
		// A program that links net/http/pprof samples allocations from its start on.
		runtime.MemProfileRate = 0
		return func() {}, "", nil
	}
	l, err := listenOn(o.pprof)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w: %s", o.flag("pprof"), err, listenRemedy(err))
	}
	return web.ServeProfiles(l, maxProfileClients), l.Addr().String(), nil
}
