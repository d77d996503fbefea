// Package scrapetest holds what the exporter writes against the current Prometheus: its parsers of both
// formats, and the code with which it scrapes.
//
// It has nothing but tests, and is a module of its own: the server's code brings some eighty modules with
// it, of which none shall come into the exporter's.
package scrapetest
