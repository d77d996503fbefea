package group

// Histogram counts times in ns. Each count stands in a cell: the cells are bounded by all bounds of the exponential
// buckets of native-histogram schema 3 (8 to a factor of two, powers of 2^(1/8) seconds) and all decimal bounds
// (ClassicBounds), so that both kinds of buckets are exact sums of cells, and a sample costs one increment.
//
// (To be filled: cells, Note(ns int64), Add(*Histogram), Classic() cumulative counts, Native() spans and deltas, Count, Sum.)
type Histogram struct {
	Sum uint64 // ns
}
