// Package collector answers a Prometheus scrape.
//
// The families without stream labels (stream count, capture totals, and what main registers: Go
// runtime, process, build information) are gathered and encoded by client_golang. The per-stream
// families are written straight from a snapshot by a writer of our own, because one scrape of
// 20,000 streams is some 400,000 lines and client_golang builds an object for each.
//
// families.go is the only place that knows a family's name. Handler may be called from any number
// of goroutines; it reads the capture only through Source, copies what it exports before it talks
// to the client, and never holds anything of the capture while it writes.
package collector
