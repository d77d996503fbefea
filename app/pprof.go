package app

import (
	"errors"
	"expvar"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"
	"time"

	"tcp-stream-exporter/web"
)

// profileHeaderTimeout bounds the header of a request for a profile. The answer has no bound: it
// takes as long as the profile was asked for.
const profileHeaderTimeout = 5 * time.Second

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
	server := &http.Server{Handler: profiles(), ReadHeaderTimeout: profileHeaderTimeout}
	go func() { _ = server.Serve(web.Bound(server, l, maxProfileClients)) }() // ends when it is closed
	return func() { _ = server.Close() }, l.Addr().String(), nil
}

// profiles are the pages of package net/http/pprof and the memory statistics of package expvar, which
// are exact where those of -go-metrics are up to date only once a page of memory is full. They are
// nowhere else: the metrics' server does not know them.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("/debug/vars", expvar.Handler())
	return mux
}
