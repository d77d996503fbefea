package group

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// largeFile returns a file as a full table by origin AS makes it: 1,200,000 prefixes onto 1,000 names, one in five of
// IPv6, many within others.
var largeFile = sync.OnceValue(func() []byte { return fileOf(1_200_000, 1000) })

func fileOf(prefixes, groups int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	lines := make([]bytes.Buffer, groups)
	for _, p := range nested(r, prefixes) {
		line := &lines[r.IntN(groups)]
		line.WriteByte(' ')
		b, _ := p.MarshalText()
		line.Write(b)
	}
	var file bytes.Buffer
	for g := range lines {
		fmt.Fprintf(&file, "AS%d", 64512+g)
		file.Write(lines[g].Bytes())
		file.WriteByte('\n')
	}
	return file.Bytes()
}

// BenchmarkLarge reads the large file: the time to load it, and the memory that the Set takes.
func BenchmarkLarge(b *testing.B) {
	file := largeFile()
	var s *Set
	b.ResetTimer()
	for b.Loop() {
		before := heap()
		s = build(b, new(Names), string(file))
		b.ReportMetric(float64(heap()-before)/float64(s.Prefixes()), "B/prefix")
	}
	b.ReportMetric(float64(s.Prefixes()), "prefixes")
	b.ReportMetric(float64(len(file))/1e6, "MB/file")
}

// BenchmarkFind looks up addresses within the prefixes of the large file.
func BenchmarkFind(b *testing.B) {
	s := build(b, new(Names), string(largeFile()))
	r := rand.New(rand.NewPCG(5, 6))
	addrs := make([]uint64, 1<<16)
	for i := range addrs {
		addrs[i] = r.Uint64()
	}
	a := addr("10.0.0.1")
	i := 0
	for b.Loop() {
		a.Lo = a.Lo>>32<<32 | addrs[i&(1<<16-1)]>>32
		i++
		sinkMember = s.Find(a)
	}
}

// heap returns the bytes that live objects take.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemoryOfLargeLists bounds what docs/operations.md states, by a tenth of a full table, and what reading it leaves to
// the garbage collector.
func TestMemoryOfLargeLists(t *testing.T) {
	const prefixes = 120_000
	file := fileOf(prefixes, 1000)
	var before, after runtime.MemStats
	live := heap()
	runtime.ReadMemStats(&before)
	b := NewBuilder(new(Names), MaxGroups)
	if err := b.AddFile("file", bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	s := done(t, b)
	runtime.ReadMemStats(&after)
	b = nil
	kept, allocated := float64(heap()-live)/prefixes, float64(after.TotalAlloc-before.TotalAlloc)/prefixes
	t.Logf("%.0f bytes for each prefix, %.0f allocated", kept, allocated)
	if kept > 120 || allocated > 400 {
		t.Errorf("%.0f bytes for each prefix, %.0f allocated, want at most 120 and 400", kept, allocated)
	}
	if s.Prefixes() != prefixes || s.Groups() != 1000 {
		t.Errorf("%d prefixes of %d groups", s.Prefixes(), s.Groups())
	}
}
