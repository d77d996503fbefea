package app

import (
	"errors"
	"fmt"
	"log"
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
// is where. They are behind the door of the metrics: -pprof may name an address that others reach, and on 127.0.0.1 they
// are not for every user of the machine.
func (o *options) serveProfiles(door *web.Door, log *log.Logger) (stop func(), at string, err error) {
	if o.pprof == "" {
		// A program that links net/http/pprof samples allocations from its start on.
		runtime.MemProfileRate = 0
		return func() {}, "", nil
	}
	l, err := listenOn(o.pprof)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w: %s", o.flag("pprof"), err, listenRemedy(err))
	}
	return web.ServeProfiles(l, maxProfileClients, door, log), l.Addr().String(), nil
}
