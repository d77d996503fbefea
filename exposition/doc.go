// Package exposition writes the metrics of streams in the text formats of Prometheus: 0.0.4 and
// OpenMetrics 1.0.
//
// A text is written in this order, each family once, with all of its lines together:
//
//	Totals and Encoded families    by name: figures without the labels of a stream
//	Families of groups             by name: series or histograms for each combination of groups
//	Families of Streams            by name: one line for each stream that has the figure
//	# EOF                          OpenMetrics only
//
// What is written is chosen in three steps. ChooseFamilies picks the families that a program exports,
// Families.Select narrows them to those that one reader asks for, and a Limiter drops streams. A Writer
// then turns one snapshot's Streams and Totals into text, at about 400,000 lines for 20,000 streams,
// without allocating once its memory is as large as the snapshot needs.
//
// WriteJSON writes the streams alone, as JSON Lines (docs/api.md).
//
// Combinations turns a reading of groups into series by their labels, and Series goes through those of a family, for
// this package's text as for other formats.
//
// families.go, groupfamilies.go and totals.go are the only places that know a family's name, type and help text.
// docs/metrics.md lists the same tables; a test of package collector holds the two together.
//
// The package knows neither HTTP nor client_golang, which brings net/http with it: a program that reads
// a capture file and prints the metrics links nothing else. A Limiter may be used from any number of
// goroutines, a Writer from one at a time.
package exposition
