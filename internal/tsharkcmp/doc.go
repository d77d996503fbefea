// Package tsharkcmp holds the exporter's figures against tshark's, direction by direction, over a
// capture file. Tests use it on files whose tshark figures are stored beside them; "make compare"
// uses it by hand on any file. Command compare in its subfolder is the front end.
//
// What the columns mean: tshark counts a frame by the fields named in tshark.go; RTT samples are
// taken here from tshark's fields, with an unlimited list of unacknowledged segments where the
// exporter keeps a few, and with Karn's rule, which tshark's own tcp.analysis.ack_rtt lacks.
package tsharkcmp
