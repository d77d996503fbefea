// Package web serves HTTP for the exporter: everything but the metrics and the JSON themselves.
//
//	net.Listener → Merge → Bound → Door → Server → Mux → the metrics' handler
//	                                                   → the API's handler
//	                                                   → Probe
//	                                                   → Page, and its files in page/
//
// Merge makes several listeners one, Bound keeps the number of connections below a bound, Door has TLS and passwords,
// Server has a limit on everything that a client can draw out, and Mux chooses between the only paths that exist.
//
// The package knows neither the capture nor any metric: the handlers of other paths and the figures of the page
// are passed in. What it returns may be used from any number of goroutines.
package web
