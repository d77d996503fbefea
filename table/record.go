package table

import "tcp-stream-exporter/stream"

// Record holds a connection: its key and both of its streams.
type Record struct {
	Key Key
	stream.Conn
}

// RecordSize is the size of a Record in bytes: nine cache lines. The package comment has their layout.
const RecordSize = recordLines * lineSize

const (
	lineSize    = 64 // bytes of a cache line
	recordLines = 9

	// groupSize is the size of a group in bytes: one cache line. The assembly shifts (prefetch_*.s).
	groupSize  = 1 << groupShift
	groupShift = 6
)

// PageRecords is the number of records in a huge page of memory.
const PageRecords = hugePage / RecordSize
