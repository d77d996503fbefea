package gen

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/bench/walk"
	"tcp-stream-exporter/internal/need"

	"golang.org/x/sys/unix"
)

// BenchmarkSend measures the whole way through a veth pair, the receiving end's kernel included,
// which works on the sender's CPU. "reader=ring" has a ring at the other end that a thread on
// another CPU empties.
func BenchmarkSend(b *testing.B) {
	need.Root(b)
	need.Tool(b, "ip")
	need.Tool(b, "ethtool")
	for _, reader := range []string{"none", "ring"} {
		for _, payload := range []int{60, 1400} {
			for _, way := range []struct {
				name   string
				change func(*Config)
			}{
				{"sendmmsg", nil},
				{"sendmmsg+qdisc", func(c *Config) { c.Qdisc = true }},
				{"txring", func(c *Config) { c.Method = MethodTXRing }},
				{"txring+qdisc", func(c *Config) { c.Method, c.Qdisc = MethodTXRing, true }},
				{"burst4", func(c *Config) { c.Burst = 4 }},
				{"burst16", func(c *Config) { c.Burst = 16 }},
				{"burst16+reverse5%", func(c *Config) { c.Burst, c.ReverseShare = 16, 0.05 }},
			} {
				b.Run(fmt.Sprintf("reader=%s/payload=%d/way=%s", reader, payload, way.name), func(b *testing.B) {
					cfg := Config{Connections: 1000, Payload: payload, Burst: 1, ReverseShare: 1.0 / 3, Packets: uint64(b.N)}
					if way.change != nil {
						way.change(&cfg)
					}
					benchmarkSend(b, cfg, reader == "ring")
				})
			}
		}
	}
}

func benchmarkSend(b *testing.B, cfg Config, read bool) {
	p, err := lab.New(lab.Options{OffloadsOff: true})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	var stop atomic.Bool
	done := make(chan uint64, 1)
	if read {
		err := p.B.Do(func() error {
			ring, err := walk.Open(walk.Config{IfIndex: p.B.Index, BlockSize: 1 << 18, NumBlocks: 128, SnapLen: 192})
			if err == nil {
				go func() { done <- drops(ring, &stop) }()
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	cfg.Interface, cfg.CPU = lab.Device, 0
	var g *Generator
	if err := p.A.Do(func() (err error) { g, err = New(cfg); return err }); err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	b.ResetTimer()
	r, err := g.Run(context.Background())
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(r.PPS, "pps")
	b.ReportMetric((r.UserSeconds+r.SystemSeconds)*1e9/float64(r.Packets), "cpu-ns/packet")
	stop.Store(true)
	if read {
		b.ReportMetric(float64(<-done), "drops")
	}
}

// drops walks the ring on the last CPU until stop is set and returns how many packets it missed.
func drops(ring *walk.Ring, stop *atomic.Bool) uint64 {
	runtime.LockOSThread() // never unlocked: nobody else gets the pinned thread
	defer ring.Close()
	var set unix.CPUSet
	set.Set(runtime.NumCPU() - 1)
	_ = unix.SchedSetaffinity(0, &set) // unpinned it only measures less steadily
	for !stop.Load() {
		block, ok := ring.Next()
		if !ok {
			_ = ring.Wait(20 * time.Millisecond) // an error shows as drops
			continue
		}
		for f := (walk.Frame{}); block.Next(&f); {
			sinkByte += f.Data[ipv4At]
		}
		ring.Release()
	}
	stats, _ := ring.Stats()
	return stats.Drops
}

var sinkByte byte
