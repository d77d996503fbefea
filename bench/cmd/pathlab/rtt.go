package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"tcp-stream-exporter/bench/netpath"

	"golang.org/x/sys/unix"
)

// rttResult holds round trips by the exporter at the sender and by the sender's kernel, over the same
// seconds of an upload.
type rttResult struct {
	exporter time.Duration // mean of all samples
	samples  uint64
	kernel   time.Duration // mean of tcpi_rtt, read every rttPoll
	polls    int
	longest  time.Duration // the largest tcpi_rtt: with the longest queue
	late     netpath.Lateness
}

func (r *rttResult) String() string {
	return fmt.Sprintf("exporter=%.3fms samples=%d kernel=%.3fms polls=%d longest=%.3fms late_99%%=%v late_max=%v",
		ms64(r.exporter), r.samples, ms64(r.kernel), r.polls, ms64(r.longest), r.late.Share(0.99), r.late.Max)
}

func ms64(d time.Duration) float64 { return float64(d) / 1e6 }

func (r *rttResult) complaints() (all []string) {
	const share = 0.05
	if d := r.exporter - r.kernel; d.Abs() > time.Duration(share*float64(r.kernel)) {
		all = append(all, fmt.Sprintf("mean round trip %v of %d samples, want %v ± %g%%", r.exporter, r.samples, r.kernel, 100*share))
	}
	// Without a queue this would show little: the round trip would always be the same.
	if r.longest < 100*time.Millisecond {
		all = append(all, fmt.Sprintf("tcpi_rtt was %v at most: the bottleneck's queue did not fill", r.longest))
	}
	return all
}

const (
	rttPoll    = 10 * time.Millisecond
	rttPort    = "5001"
	uploadSize = 128 << 10 // bytes a write
)

// measureRTT uploads through a bottleneck whose queue makes the round trip many times as long as
// the empty path's.
func measureRTT(ctx context.Context, exporter string, seconds float64) (r *rttResult, err error) {
	s := besideSender(26*ms, losses{}).with(bottleneckName, bottleneck)
	l, err := newLine(s.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	e, err := startExporter(exporter, l.sender, "-metrics", ".*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()

	r = &rttResult{}
	if err := l.upload(ctx, time.Duration(seconds*float64(time.Second)), r); err != nil {
		return nil, err
	}
	if err := l.quiet(); err != nil {
		return nil, err
	}
	figures, err := e.settle()
	if err != nil {
		return nil, err
	}
	r.samples = uint64(figures["tcp_rtt_samples_total"])
	if r.samples == 0 {
		return nil, errors.New("the exporter has no sample of the round trip")
	}
	r.exporter = time.Duration(figures["tcp_rtt_seconds_total"] / float64(r.samples) * 1e9)
	_, r.late, err = l.stop()
	return r, err
}

// upload sends for a while, as fast as the path takes it, and reads tcp_info until everything is
// acknowledged.
func (l *line) upload(ctx context.Context, length time.Duration, r *rttResult) error {
	var listener net.Listener
	err := l.receiver.Do(func() (err error) {
		listener, err = net.Listen("tcp4", net.JoinHostPort(receiverAddr, rttPort))
		return err
	})
	if err != nil {
		return err
	}
	defer listener.Close()
	received := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			_, err = io.Copy(io.Discard, c)
			c.Close()
		}
		received <- err
	}()
	var c net.Conn
	err = l.sender.Do(func() (err error) {
		c, err = (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp4", net.JoinHostPort(receiverAddr, rttPort))
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	tcp := c.(*net.TCPConn)
	const congestion = "cubic" // it fills queues; bbr, a default of some systems, does not
	if err := setCongestion(tcp, congestion); err != nil {
		return fmt.Errorf("congestion control %s: %w", congestion, err)
	}

	sent := make(chan error, 1)
	go func() {
		buf := make([]byte, uploadSize)
		c.SetWriteDeadline(time.Now().Add(length))
		for {
			if _, err := c.Write(buf); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					err = tcp.CloseWrite()
				}
				sent <- err
				return
			}
		}
	}()
	sum := time.Duration(0)
	tick := time.NewTicker(rttPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-received:
			if err := errors.Join(err, <-sent); err != nil {
				return err
			}
			r.kernel = sum / time.Duration(max(r.polls, 1))
			return nil
		case <-tick.C:
			info, err := tcpInfo(tcp)
			if err != nil {
				return err
			}
			rtt := time.Duration(info.Rtt) * time.Microsecond
			sum += rtt
			r.polls++
			r.longest = max(r.longest, rtt)
		}
	}
}

func setCongestion(c *net.TCPConn, name string) error {
	return control(c, func(fd int) error {
		return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
	})
}

func tcpInfo(c *net.TCPConn) (info *unix.TCPInfo, err error) {
	err = control(c, func(fd int) (err error) {
		info, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err
	})
	return info, err
}

func control(c *net.TCPConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}
