// Package offline accounts capture files (-read): it reads packets, applies the filter in user space, brings them to
// a worker with packet time as its clock, and writes what a scrape would get, or the streams as JSON or as a table for
// people. It knows neither sockets nor HTTP.
package offline
