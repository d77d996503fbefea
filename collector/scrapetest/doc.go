// Package scrapetest holds the exporter's answers against the code with which the current Prometheus
// scrapes. It has nothing but a test, and is a module of its own: that code brings some eighty
// modules with it, of which none shall come into the exporter's.
package scrapetest
