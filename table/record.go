package table

import "tcp-stream-exporter/stream"

// Record is what the table stores of a connection: its key and both of its streams.
type Record struct {
	Key Key
	stream.Conn
}

// RecordSize is the size of a Record in bytes: nine cache lines. The key shares the first with
// the connection's common state, the two hot halves follow in one line each, then the details of either in
// three, of which segments in order touch two.
const RecordSize = recordLines * lineSize

const (
	lineSize    = 64 // bytes of a cache line
	recordLines = 9

	// groupSize is the size of a group in bytes: one cache line. The assembly shifts (prefetch_*.s).
	groupSize  = 1 << groupShift
	groupShift = 6
)

// PageRecords is how many records a huge page of memory holds.
const PageRecords = hugePage / RecordSize
