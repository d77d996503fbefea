package offline

import (
	"bytes"
	"io"
	"math"
	"testing"
	"time"

	"tcp-stream-exporter/internal/pcapgen"
	"tcp-stream-exporter/pcapfile"
	"tcp-stream-exporter/worker"
)

// BenchmarkFileInMemory measures the same as -repeat.
func BenchmarkFileInMemory(b *testing.B) {
	for _, c := range []struct {
		name               string
		connections, burst int
	}{
		{"connections=1000/burst=8", 1000, 8},
		{"connections=1000/burst=1", 1000, 1},
		{"connections=100000/burst=1", 100_000, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg := pcapgen.Default
			cfg.Connections, cfg.Burst = c.connections, c.burst
			var traffic bytes.Buffer
			if err := pcapgen.Write(&traffic, cfg); err != nil {
				b.Fatal(err)
			}
			held := heldFile{last: math.MinInt64}
			file, err := pcapfile.NewReader(&traffic)
			for err == nil {
				var p pcapfile.Packet
				if err = file.Next(&p); err == nil {
					held.hold(&p)
				}
			}
			if err != io.EOF {
				b.Fatal(err)
			}
			b.ResetTimer()
			for b.Loop() {
				b.StopTimer()
				w, err := worker.New(worker.Config{MaxConnections: 1 << 18, StreamAge: 5 * time.Minute, FinalizedAge: time.Minute})
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				held.account(w)
				b.StopTimer()
				w.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(cfg.Packets), "ns/packet")
		})
	}
}
