package main

import (
	"fmt"
	"io"
	"strings"
)

func (r *result) tsharkText() string {
	if r.tshark == nil {
		return "-"
	}
	return r.tshark.String()
}

// printLine prints a result as key=value.
func printLine(w io.Writer, r *result) {
	t := &r.truth
	fmt.Fprintf(w, "%q packets=%d lost=%d+%d queue_drops=%d again=%d overtaken=%d unnoticeable=%d again_lost=%d kernel=%d exporter=%v tshark=%v late_99%%=%v late_max=%v\n",
		r.name, t.Packets, t.LostBefore, t.LostBehind, t.QueueDrops, t.Again, t.Overtaken, t.Unnoticeable, t.AgainLost,
		r.kernel, r.exporter, r.tsharkText(), r.late.Share(0.99), r.late.Max)
}

func printHead(w io.Writer) {
	fmt.Fprint(w, "| path | packets | truth: sent again + overtaken | of these unnoticeable | lost before the point | TcpRetransSegs | exporter | tshark |\n"+
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
}

// printRow prints a result for a document. A sum is retransmissions, then out of order.
func printRow(w io.Writer, r *result) {
	t := &r.truth
	sum := func(text string) string { return strings.Replace(text, "+", " + ", 1) }
	fmt.Fprintf(w, "| %s | %d | %d + %d | %d | %d | %d | %s | %s |\n", strings.ReplaceAll(r.name, ",", ", "), t.Packets,
		t.Again, t.Overtaken, t.Unnoticeable, t.AgainLost, r.kernel, sum(r.exporter.String()), sum(r.tsharkText()))
}
