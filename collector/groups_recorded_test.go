package collector

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/internal/recorded"
	"tcp-stream-exporter/pcapfile"
	"tcp-stream-exporter/worker"
)

// ofWorker is a worker as a source, for one goroutine.
type ofWorker struct{ *worker.Worker }

func (w ofWorker) Groups(_ context.Context, r *group.Reading) error {
	w.Worker.Groups(r)
	return nil
}

func (w ofWorker) Snapshot(_ context.Context, s *Snapshot) error {
	s.Stats = w.Stats()
	return nil
}

// What a worker has counted of recorded traffic arrives in the answer: the sums over the combinations are the
// worker's own.
func TestGroupsOfRecordedTraffic(t *testing.T) {
	b := group.NewBuilder(new(group.Names), 128)
	services, err := group.ParseServices("22,80,443")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AddText("the test", "private/24=10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"); err != nil {
		t.Fatal(err)
	}
	set, err := b.Build(services, "128")
	if err != nil {
		t.Fatal(err)
	}
	w, err := worker.New(worker.Config{
		MaxConnections: 1 << 12, StreamAge: worker.Never, FinalizedAge: worker.Never, IPv6: true, GroupMax: 128, GroupMaxSubnets: 16, Groups: set,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	in, err := pcapfile.NewReader(bytes.NewReader(recorded.Ethernet))
	if err != nil {
		t.Fatal(err)
	}
	for {
		var p pcapfile.Packet
		if err := in.Next(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		w.Frame(p.Link, p.Data, p.WireLen, p.Time)
	}
	for w.Expire(math.MaxInt) {
	}
	source := ofWorker{w}
	h := New(source, Options{Families: exposition.NoFamilies, Groups: source, GroupFamilies: allGroupFamilies(t), GroupName: set.Label})
	var sums []map[string]float64
	for _, format := range groupFormats {
		_, text := ask(t, h, "/metrics", format, "")
		sum := map[string]float64{}
		values := expositiontest.ParseAs(t, text, format).Values
		for _, series := range slices.Sorted(maps.Keys(values)) { // sums of seconds depend on their order
			x := values[series]
			name, labels, _ := strings.Cut(series, "{")
			sum[name] += x
			if name == "tcp_group_packets_total" && !strings.Contains(labels, `client_group="`) {
				t.Errorf("%s has no client group", series)
			}
		}
		sums = append(sums, sum)
	}
	sum := sums[0]
	s := w.Stats()
	skipped := uint64(0)
	for _, n := range s.Skipped {
		skipped += n
	}
	if want := float64(s.Packets - skipped); sum["tcp_group_packets_total"] != want || want == 0 {
		t.Errorf("%v packets of all combinations, want %v", sum["tcp_group_packets_total"], want)
	}
	if want := float64(s.Connections); sum["tcp_group_connections_opened_total"] < want || want == 0 {
		t.Errorf("%v connections opened, %v are in the table", sum["tcp_group_connections_opened_total"], want)
	}
	if sum["tcp_group_rtt_seconds_count"] == 0 || sum["tcp_group_handshake_seconds_count"] == 0 {
		t.Errorf("no times of round trips: %v", sum)
	}
	for i := range sums {
		expositiontest.SameSeries(t, sums[i], sum)
	}
}
