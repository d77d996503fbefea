package offline

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/worker"
)

// fileReport holds the figures of the closing line of -read.
type fileReport struct {
	name        string
	packets     uint64 // in the files, each up to its end or its damage
	filteredOut uint64
	unsampled   uint64 // segments of connections that are not in the sample
	stats       worker.Stats
	took        time.Duration // of one run over the files
	runs        int           // 0: read once, as it came
	best        time.Duration // the fastest run
}

func (r *fileReport) String() string {
	var b strings.Builder
	skipped := uint64(0)
	for _, n := range r.stats.Skipped {
		skipped += n
	}
	fmt.Fprintf(&b, "%s: %d packets, %d accounted", r.name, r.packets, r.stats.Packets-skipped-r.stats.NoRoom)
	if r.filteredOut > 0 {
		fmt.Fprintf(&b, ", %d filtered out", r.filteredOut)
	}
	if r.unsampled > 0 {
		fmt.Fprintf(&b, ", %d not in the sample", r.unsampled)
	}
	if skipped > 0 {
		fmt.Fprintf(&b, ", %d skipped (", skipped)
		separator := ""
		for why, n := range r.stats.Skipped {
			if n > 0 {
				fmt.Fprintf(&b, "%s%v %d", separator, parse.Reason(why), n)
				separator = ", "
			}
		}
		b.WriteString(")")
	}
	if r.stats.NoRoom > 0 {
		fmt.Fprintf(&b, ", %d found no room (raise -max-connections)", r.stats.NoRoom)
	}
	fmt.Fprintf(&b, "; %d streams", r.stats.Streams)
	if r.stats.Expired > 0 {
		fmt.Fprintf(&b, ", %d more aged out", r.stats.Expired)
	}
	if r.stats.Recycled > 0 {
		fmt.Fprintf(&b, ", %d more made room (raise -max-connections)", r.stats.Recycled)
	}
	if r.runs == 0 {
		fmt.Fprintf(&b, "; %v, %.2f million packets/s", r.took.Round(time.Microsecond), millions(r.packets, r.took))
		return b.String()
	}
	// The packets that the filter keeps out never reach the worker: a live capture's filter runs
	// in the kernel.
	n := r.stats.Packets
	fmt.Fprintf(&b, "; %d runs over %d packets in memory: %.1f ns per packet, %.2f million packets/s (fastest run: %.1f ns, %.2f)",
		r.runs, n, perPacket(n, r.took), millions(n, r.took), perPacket(n, r.best), millions(n, r.best))
	return b.String()
}

func perPacket(n uint64, took time.Duration) float64 {
	return float64(took.Nanoseconds()) / float64(max(n, 1))
}

func millions(n uint64, took time.Duration) float64 {
	return float64(n) / max(took.Seconds(), 1e-9) / 1e6
}

// progress shows a person at a terminal how far a large file has been read.
type progress struct {
	to    io.Writer // nil: tell nobody
	size  int64     // of the files in bytes, 0: unknown
	count uint32
	shown time.Time
	drawn bool
}

const (
	largeFile     = 16 << 20 // bytes
	progressEvery = 500 * time.Millisecond
)

func newProgress(stderr io.Writer, size int64) *progress {
	p := &progress{size: size, shown: time.Now()}
	if f, ok := stderr.(*os.File); ok && isTerminal(f) && (size == 0 || size >= largeFile) {
		p.to = stderr
	}
	return p
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// at shows how far the reader has come, twice a second.
func (p *progress) at(in *input) {
	if p.count++; p.to == nil || p.count%4096 != 0 || time.Since(p.shown) < progressEvery {
		return
	}
	p.shown, p.drawn = time.Now(), true
	how := fmt.Sprintf("%d MiB", in.Offset()>>20)
	if p.size > 0 {
		how = fmt.Sprintf("%d%%", in.Offset()*100/p.size)
	}
	fmt.Fprintf(p.to, "\r%s, %.1f million packets ", how, float64(in.Packets())/1e6)
}

// clear wipes the line of progress.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
