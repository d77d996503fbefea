// Package tsharkcmp holds the exporter's figures against tshark's, direction by direction, over a
// capture file. Tests use it on files whose tshark figures are stored beside them; "make compare"
// uses it by hand on any file. Command compare in its subfolder is the front end.
//
// tshark counts a frame by the fields named in tshark.go. Retransmissions and out of order are one column:
// tshark tells one from the other by the time since the highest byte, and calls most repairs of a lossy path
// reordering; the exporter goes by the time since the hole was opened. Each class for itself is held against a model that remembers everything, internal/tcpmodel.
//
// RTT samples are taken here from tshark's fields, with an unlimited list of unacknowledged segments where
// the exporter keeps a few stretches, and with Karn's rule, strictly, which tshark's own tcp.analysis.ack_rtt
// lacks: see unacked.
package tsharkcmp
