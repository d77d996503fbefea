package lab_test

import (
	"context"
	"testing"
	"time"

	"tcp-stream-exporter/bench/gen"
	"tcp-stream-exporter/bench/internal/netdev"
	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/netns"
)

func TestRouterForwardsEveryPacket(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	need.Tool(t, "ethtool")
	for _, row := range []struct {
		says           string
		super          bool
		payload, burst int
	}{
		{"single segments", false, 0, 1}, {"bursts", false, 1400, 8}, {"bursts as super-packets", true, 1400, 8},
	} {
		t.Run(row.says, func(t *testing.T) {
			r, err := lab.NewRouter(lab.RouterOptions{SuperPackets: row.super})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			before, err := netdev.Received(r.Receiver, lab.Device)
			if err != nil {
				t.Fatal(err)
			}
			const packets = 8000
			var g *gen.Generator
			if err := r.Sender.Do(func() (err error) {
				g, err = gen.New(gen.Config{
					Interface: lab.Device, Connections: 100, Payload: row.payload, Burst: row.burst, MidStream: true, OneWay: true,
					Packets: packets, DestMAC: r.In.MAC, CPU: -1,
				})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			if _, err := g.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			after, err := netdev.Received(r.Receiver, lab.Device)
			if err != nil {
				t.Fatal(err)
			}
			got := after.Sub(before)
			if n := got.Segments(row.payload); n != packets {
				t.Errorf("%d of %d packets were forwarded: %+v", n, packets, got)
			}
			if super := got.Packets < packets; super != row.super {
				t.Errorf("%d packets arrived in %d frames", packets, got.Packets)
			}
			if err := r.Close(); err != nil || netns.Exists(r.In.Namespace) || netns.Exists(r.Sender.Namespace) || netns.Exists(r.Receiver.Namespace) {
				t.Errorf("Close: %v, or a namespace is left", err)
			}
		})
	}
}
