package check

import (
	"fmt"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"tcp-stream-exporter/ring"
)

const (
	// lookRate is the most packets per second of a look, and lookTime × lookRate the most of all: what a busy router
	// has beyond is left out by the kernel, before it is copied.
	lookRate = 10_000
	// lookSnapLen is how many bytes of a packet a look takes: its headers, with one encapsulation around them.
	lookSnapLen = 192
	// firstShift: until the rate is known a look takes one packet of 2^firstShift.
	firstShift = 8
	// gaugeTime is how long that is.
	gaugeTime = 300 * time.Millisecond
	// lookTov is how long the kernel keeps a block of a look that does not fill.
	lookTov = 20 * time.Millisecond
)

// look is a sample of the packets that a filter passes, or of those that it does not.
type look struct {
	ring    *ring.Ring
	filter  []bpf.RawInstruction // of the capture
	passing bool

	chance float64 // of a packet to be in the sample
	from   int64   // when the sample begins, ns since the epoch
	until  int64   // when it ends
	last   int64   // time of its last packet
	taken  int
	full   bool
}

// openLook opens the ring of a look. c is the capture's configuration.
func openLook(c ring.Config, passing bool) (*look, error) {
	l := &look{filter: c.Filter, passing: passing}
	c.BlockSize = max(1<<16, ring.PageSize())
	c.NumBlocks = 16 // 1 MiB: some 4,000 packets
	c.FrameSize = 2048
	c.RetireTov = lookTov
	c.Promiscuous = false
	c.Filter = sampling(l.filter, passing, 1<<(32-firstShift), lookSnapLen)
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the sample's filter: %w", err)
	}
	var err error
	l.ring, err = ring.Open(c)
	return l, err
}

// gauge sets the chance of the sample by what came so far, in elapsed, and begins it at now, for at most d.
func (l *look) gauge(elapsed time.Duration, now time.Time, d time.Duration) error {
	s, err := l.ring.Stats()
	if err != nil {
		return err
	}
	rate := float64(s.Packets<<firstShift) / elapsed.Seconds()
	l.chance = min(1, lookRate/max(rate, 1))
	threshold := uint64(l.chance * (1 << 32))
	if err := l.ring.SetFilter(sampling(l.filter, l.passing, threshold, lookSnapLen)); err != nil {
		return err
	}
	l.from, l.until = now.UnixNano(), now.Add(d).UnixNano()
	l.last = l.from
	return nil
}

// collect calls each for the packets of the sample that have come. It ends the sample when it has enough.
func (l *look) collect(most int, each func(ring.Frame)) {
	for {
		b, ok := l.ring.Next()
		if !ok {
			return
		}
		for f, ok := b.Next(); ok; f, ok = b.Next() {
			if f.Time() < l.from || f.Time() > l.until || l.taken >= most {
				continue
			}
			l.taken++
			l.last = f.Time()
			each(f)
		}
		l.ring.Release()
		if l.taken >= most && !l.full {
			l.full = true
			_ = l.ring.SetFilter(ring.RejectAll) // without it more come, and are not looked at
		}
	}
}

// seconds returns how long the sample was taken.
func (l *look) seconds() float64 {
	end := l.until
	if l.full {
		end = l.last
	}
	return max(float64(end-l.from)/1e9, 1e-3)
}

// weight returns how many packets per second one of the sample stands for.
func (l *look) weight() float64 { return 1 / l.chance / l.seconds() }

// sampling returns a program that takes the first snapLen bytes of those packets that prog passes, or else of those that
// it does not, each with a chance of threshold in 2^32. An empty prog passes all. Random numbers need Linux 3.16
// (SKF_AD_RANDOM, linux/filter.h). What prog returns besides a constant is a length, and not 0.
func sampling(prog []bpf.RawInstruction, passing bool, threshold uint64, snapLen uint32) []bpf.RawInstruction {
	var out []bpf.RawInstruction
	if threshold < 1<<32 {
		random, _ := bpf.LoadExtension{Num: bpf.ExtRand}.Assemble() // which fails for numbers that do not exist
		out = append(out, random,
			bpf.RawInstruction{Op: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jf: 1, K: uint32(threshold)},
			bpf.RawInstruction{Op: unix.BPF_RET | unix.BPF_K})
	}
	if len(prog) == 0 {
		prog = []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K, K: snapLen}}
	}
	for _, in := range prog {
		if in.Op&classMask == unix.BPF_RET {
			passed := in.Op != unix.BPF_RET|unix.BPF_K || in.K != 0
			in = bpf.RawInstruction{Op: unix.BPF_RET | unix.BPF_K}
			if passed == passing {
				in.K = snapLen
			}
		}
		out = append(out, in)
	}
	return out
}

// classMask has the bits of an instruction that say of which class it is (BPF_CLASS, linux/bpf_common.h).
const classMask = 0x07
