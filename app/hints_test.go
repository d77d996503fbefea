package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/worker"
)

// What is told of is told once, and only above its share.
func TestHints(t *testing.T) {
	const ipv6, grouped, oneSided = "-ipv6 tracks it", "in the metrics by group alone: -ipv6 has it", "nothing of the other direction arrives"
	grow := func(s *worker.Stats, packets, ipv6, expired, oneSided uint64) {
		s.Packets += packets
		s.Skipped[parse.IPv6] += ipv6
		s.Expired += expired
		s.OneSided += oneSided
	}
	for _, row := range []struct {
		name  string
		h     hints
		grows [][4]uint64
		want  []string
	}{
		{"nothing passes", hints{arriving: true}, [][4]uint64{{}, {}}, nil},
		{"1 % is IPv6", hints{}, [][4]uint64{{10000, 100}}, nil},
		{"more than 1 %", hints{}, [][4]uint64{{10000, 101}, {10000, 10000}}, []string{ipv6}},
		{"more than 1 %, later", hints{}, [][4]uint64{{10000, 0}, {10000, 50}, {10000, 200}}, []string{ipv6}},
		{"more than 1 %, which groups have", hints{ipv6Grouped: true}, [][4]uint64{{10000, 101}, {10000, 10000}}, []string{grouped}},
		{"few packets", hints{}, [][4]uint64{{999, 999}}, nil},
		{"it is tracked", hints{ipv6: true}, [][4]uint64{{10000, 9000}}, nil},
		{"one direction of many", hints{arriving: true}, [][4]uint64{{0, 0, 400, 101}, {0, 0, 400, 400}}, []string{oneSided}},
		{"one direction of a quarter", hints{arriving: true}, [][4]uint64{{0, 0, 400, 100}}, nil},
		{"one direction of few", hints{arriving: true}, [][4]uint64{{0, 0, 99, 99}}, nil},
		{"both directions are captured", hints{}, [][4]uint64{{0, 0, 400, 400}}, nil},
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		var s worker.Stats
		for _, g := range row.grows {
			grow(&s, g[0], g[1], g[2], g[3])
			row.h.note(s, log)
		}
		lines := strings.Count(out.String(), "\n")
		for _, want := range row.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no line with %q: %s", row.name, want, out.String())
			}
		}
		if lines != len(row.want) {
			t.Errorf("%s: %d lines, want %d: %s", row.name, lines, len(row.want), out.String())
		}
	}
}
