package e2e

import (
	"fmt"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const complete = "tcp_stream_exporter_capture_complete"

// A ring of two small blocks cannot hold a download: the kernel drops packets, and the figures are
// doubtful from then on. With the default ring nothing of it is lost.
func TestARingTooSmallMakesTheFiguresDoubtful(t *testing.T) {
	for _, small := range []bool{true, false} {
		t.Run(fmt.Sprintf("small=%v", small), func(t *testing.T) {
			l := lab.New(t)
			l.Offloads(t, false)
			s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
			args := []string{"-interface", lab.IfName, "-packet-filter", "tcp port 8080"}
			if small {
				args = append(args, "-blocksize", "4096", "-numblocks", "2")
			}
			e := l.A.StartExporter(t, binary(t), args...)
			if got := e.Scrape(t)[complete]; got != 1 {
				t.Fatalf("%s is %v before there was a packet, want 1", complete, got)
			}
			if err := c.exchange(s, uploadBytes, downloadBytes); err != nil {
				t.Fatal(err)
			}
			m := e.Settle(t)
			lost := lab.Key("tcp_stream_exporter_interface_lost_packets_total", "interface", lab.IfName, "counter", "rx_dropped")
			if n, ok := m[lost]; !ok {
				t.Errorf("%s is missing", lost)
			} else if !small && n != 0 {
				t.Errorf("%s is %v", lost, n)
			}
			want := 1.0
			if small {
				want = 0
			}
			e.Await(t, 3*time.Second, func(m lab.Metrics) error {
				if m[complete] != want || (m["capture_dropped_packets_total"] == 0) != !small {
					return fmt.Errorf("%s is %v with %v packets dropped", complete, m[complete], m["capture_dropped_packets_total"])
				}
				for _, name := range []string{"tcp_stream_exporter_max_packet_wait_seconds", "tcp_stream_exporter_max_turn_seconds"} {
					if longest := m[name]; longest <= 0 || longest > 5 {
						return fmt.Errorf("%s is %v", name, longest)
					}
				}
				return nil
			})
		})
	}
}

// Super-packets are counted as such where there are any: with offloads on most packets of a
// download, with offloads off none.
func TestSuperPackets(t *testing.T) {
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprintf("offloads=%v", on), func(t *testing.T) {
			l := lab.New(t)
			l.Offloads(t, on)
			s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
			e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-packet-filter", "tcp port 8080")
			if err := c.exchange(s, uploadBytes, downloadBytes); err != nil {
				t.Fatal(err)
			}
			settled := e.Settle(t)
			e.Await(t, 3*time.Second, func(m lab.Metrics) error {
				const blocks = "tcp_stream_exporter_ring_blocks_total" // as old as the count of super-packets
				super, all := m["tcp_stream_exporter_super_packets_total"], settled["capture_packets_processed_total"]
				// Each holds 64 KiB at most.
				if least := float64(downloadBytes / 65536); m[blocks] == 0 || on && (super < least || super > all) || !on && super != 0 {
					return fmt.Errorf("%v super-packets of %v packets", super, all)
				}
				return nil
			})
		})
	}
}
