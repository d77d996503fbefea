// Package web is the exporter's HTTP side but for the metrics themselves: the landing page, the
// choice between the two paths that exist, a server with its limits set, and a bound on its
// connections.
//
// It knows no capture and no metric: the metrics handler and the figures of the page are handed
// to it. Everything it returns may be used from any number of goroutines.
package web
