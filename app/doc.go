// Package app is the program: it turns flags into the options of a live capture or of a run over a capture file, sets
// everything up, serves scrapes until a signal comes, and returns the exit status.
package app
