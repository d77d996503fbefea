package capture

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// TestLiveGroups reads groups of real traffic, with readers of streams beside.
func TestLiveGroups(t *testing.T) {
	l := echoServer(t)
	c := loCapture(t, l.Addr().(*net.TCPAddr).Port)
	for range 3 {
		talk(t, l, 1000)
	}
	var r group.Reading
	var s worker.Snapshot
	defer s.Close()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if err := c.Groups(context.Background(), &r); err != nil {
			t.Fatal(err)
		}
		if err := c.Snapshot(context.Background(), &s); err != nil {
			t.Fatal(err)
		}
		if len(r.Rows) == 1 && r.Rows[0].Closed[group.ClosedFIN] == 3 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", r.Rows)
		}
	}
	row := &r.Rows[0]
	if row.Data[group.FromClient].Bytes != 3000 || row.Data[group.FromServer].Bytes != 3000 || row.Opened != 3 || row.Established != 3 || row.EstablishedNow != 0 {
		t.Errorf("%+v", row.Totals)
	}
	if n := row.Handshake[group.ClientLeg].Count(); n != 3 || row.Handshake[group.ServerLeg].Count() != 3 || row.RTT[group.ServerLeg].Count() == 0 {
		t.Errorf("%d handshakes, %d RTT samples", n, row.RTT[group.ServerLeg].Count())
	}
}

// TestGroupsOfSeveralWorkers reads workers without a ring, each with connections of its own, while their groups change.
func TestGroupsOfSeveralWorkers(t *testing.T) {
	var workers []*worker.Worker
	for i := range 3 {
		w := newWorker(t, worker.Config{StreamAge: time.Minute, FinalizedAge: time.Minute, GroupMax: 30})
		for k := range i + 1 {
			b := packet.TCP{Src: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(1000+k)), Dst: netip.MustParseAddrPort("192.0.2.1:443"), Flags: packet.SYN}.Ethernet()
			mono, _ := testClock()
			w.Frame(parse.LinkEthernet, b, uint32(len(b)), mono)
		}
		workers = append(workers, w)
	}
	ws := NewWorkers(workers, nil, func(ctx context.Context) ([]*ring.Ring, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, testClock, func(Change) {})
	ended := make(chan error, 1)
	go func() { ended <- ws.Run() }()
	var r group.Reading
	read := func() {
		if err := ws.Groups(context.Background(), &r); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		read()
		if len(r.Rows) != 1 || r.Rows[0].Opened != 6 || r.Rows[0].HalfOpen != 6 || r.Capacity != [2]int{30, 0} || r.Used != [2]int{1, 0} {
			t.Errorf("%d rows, %+v of %+v, the first: %d opened, %d half-open", len(r.Rows), r.Used, r.Capacity, r.Rows[0].Opened, r.Rows[0].HalfOpen)
		}
	}
	set := clientGroups(t, 4)
	ws.SetGroups(set)
	client := group.Key{Client: set.Find(parse.AddrFrom(netip.MustParseAddr("10.0.0.1"))), Service: 443}
	eventually(t, "connections have moved", func() bool {
		read()
		return len(r.Rows) == 2 && r.Rows[0].HalfOpen == 0
	})
	if moved := &r.Rows[1]; moved.Key != client || moved.HalfOpen != 6 || moved.Opened != 0 || r.Rows[0].Data[group.FromClient].Packets != 6 {
		t.Errorf("%+v: %d half-open, %d opened; before: %+v", moved.Key, moved.HalfOpen, moved.Opened, r.Rows[0].Data)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 { // a reader who gives up leaves nothing behind
		_ = ws.Groups(gone, &r)
	}
	if read(); len(r.Rows) != 2 || r.Rows[0].Opened != 6 {
		t.Errorf("%d rows", len(r.Rows))
	}
	ws.Stop()
	<-ended
	if err := ws.Groups(context.Background(), &r); !errors.Is(err, ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}
