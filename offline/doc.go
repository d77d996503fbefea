// Package offline accounts capture files (-read): it reads packets, applies the filter in user space, brings them to
// a worker with packet time as its clock, and writes what a scrape would get. It knows neither sockets nor HTTP.
package offline
