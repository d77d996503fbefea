// Package status tells how the capture is: what /api/v1/status answers, and the last ten minutes of it, which a browser
// draws.
//
//	history.go     marks: the figures every five seconds, in a fixed memory
//	answer.go      the answer, and its fields
//	losses.go      what was lost in the last minute, and where
//	interfaces.go  what an interface is: kind, state, offloads
//	series.go      rates between two marks, as JSON
//
// It reads what the exporter's own families read: the totals that each worker publishes once a second, and the figures
// of package loss. It asks for no snapshot of streams and waits for no worker. One goroutine, Run, takes the marks;
// Answer may be called from any number of goroutines.
//
// Rates are not of the five seconds between two marks: each figure has the time at which its owner read it, and a rate
// is the difference of two figures over the difference of their times.
package status
