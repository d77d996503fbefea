package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/bench/netpath"
)

const (
	device       = "tun0" // in both namespaces
	senderAddr   = "10.99.0.1"
	receiverAddr = "10.99.0.2"
	prefix       = "/24"
)

// line is two namespaces with a path between them.
type line struct {
	sender, receiver lab.End
	path             *netpath.Path
	pair             *lab.Pair
	config           netpath.Config
}

func newLine(c netpath.Config) (*line, error) {
	pair, err := lab.NewApart()
	if err != nil {
		return nil, err
	}
	l := &line{sender: pair.A, receiver: pair.B, pair: pair, config: c}
	a, err := l.sender.Tun(device, senderAddr+prefix)
	if err != nil {
		return nil, errors.Join(err, pair.Close())
	}
	b, err := l.receiver.Tun(device, receiverAddr+prefix)
	if err == nil {
		l.path, err = netpath.Start(a, b, c)
	}
	if err != nil {
		return nil, errors.Join(err, pair.Close())
	}
	return l, nil
}

// close removes the namespaces; stop may have come before.
func (l *line) close() error {
	var err error
	if l.path != nil {
		_, _, err = l.stop()
	}
	return errors.Join(err, l.pair.Close())
}

func (l *line) stop() (netpath.Truth, netpath.Lateness, error) {
	path := l.path
	l.path = nil
	return path.Stop()
}

const (
	// quietTime is longer than the first timeout of a segment that still waits for its ACK: 200 ms on
	// top of the round trip.
	quietTime    = 500 * time.Millisecond
	quietTimeout = 10 * time.Second
)

// quiet waits until nothing is on its way and nothing is sent.
func (l *line) quiet() error {
	want := quietTime + l.config.RoundTrip() + l.config.Queue
	for deadline := time.Now().Add(quietTimeout); l.path.Idle() < want; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("there are still packets %v after the end", quietTimeout)
		}
	}
	return nil
}

// retransSegs returns the sender's count of retransmitted segments, those of all its connections
// (TcpRetransSegs, RFC 4022 tcpRetransSegs).
func (l *line) retransSegs() (uint64, error) {
	return counter(l.sender, "Tcp:", "RetransSegs")
}

// deviceDrops returns the number of packets that the sender's device dropped: they never entered the path.
func (l *line) deviceDrops() (uint64, error) {
	var text []byte
	err := l.sender.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/dev")
		return err
	})
	if err != nil {
		return 0, err
	}
	for row := range strings.Lines(string(text)) {
		// Eight figures of what is received, then bytes, packets, errors and drops of what is sent.
		if f := strings.Fields(row); len(f) > 12 && f[0] == device+":" {
			return strconv.ParseUint(f[12], 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/net/dev has no %s", device)
}

// counter reads /proc/net/snmp of a namespace: a row of names, a row of values.
func counter(e lab.End, protocol, name string) (uint64, error) {
	var text []byte
	err := e.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	if err != nil {
		return 0, err
	}
	var names []string
	for row := range strings.Lines(string(text)) {
		f := strings.Fields(row)
		if len(f) == 0 || f[0] != protocol {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i := range min(len(names), len(f)) {
			if names[i] == name {
				return strconv.ParseUint(f[i], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("/proc/net/snmp has no %s %s", protocol, name)
}
