package web

import (
	"expvar"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// profileHeaderTimeout bounds the header of a request for a profile. The answer has no bound: it
// takes as long as the profile was asked for.
const profileHeaderTimeout = 5 * time.Second

// ServeProfiles serves profiles of the program on l, behind the door, to at most so many clients at a time, until stop is
// called. log gets what the server complains of; nil: the standard logger.
func ServeProfiles(l net.Listener, clients int, door *Door, log *log.Logger) (stop func()) {
	server := &http.Server{Handler: profiles(), ReadHeaderTimeout: profileHeaderTimeout, ErrorLog: log}
	door.Guard(server)
	bounded := Bound(server, l, clients)
	go func() { _ = Serve(server, bounded) }() // ends when it is closed
	return func() { _ = server.Close() }
}

// profiles returns the pages of package net/http/pprof and the memory statistics of package expvar, which
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
