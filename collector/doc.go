// Package collector answers Prometheus' scrapes over HTTP.
//
//	admission.go    who may scrape: a bounded queue for places, and a semaphore for work
//	lane.go         one of each for scrapes with streams, and for those without
//	handler.go      one scrape from its request to its last byte
//	source.go       what is asked of the capture: a snapshot of all streams
//	registry.go     families of client_golang: the Go runtime's, the process' and the exporter's own
//	families.go     the tables of the exporter's own families, tcp_stream_exporter_…
//	self.go         where their figures come from
//	groups.go       families of groups as client_golang's metrics
//	protobuf.go     answers without streams as client_model's messages
//	encoding.go     gzip and zstd
//	output.go       what is sent to the client, piece by piece
//
// The streams are written by package exposition straight from the snapshot, because one scrape of 20,000
// streams is some 400,000 lines and client_golang builds an object for each. The rest, at most a
// few hundred lines, is encoded by client_golang. The families of groups, some hundred lines for each combination, are
// written one series after the other too.
//
// A Handler may be called from any number of goroutines. It reads the capture only through Source, and
// has copied what it exports before it talks to the client: a slow client holds memory, but neither the
// capture nor the processor.
package collector
