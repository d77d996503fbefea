package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/bench/internal/proc"
	"tcp-stream-exporter/bench/lab"
)

const (
	iperfPort = 5201
	// iperfPatience is the time for iperf3's control messages before and after the data. Each of their
	// packets may be lost, and each loss costs a timeout.
	iperfPatience = 30 * time.Second
	listenTimeout = 5 * time.Second
)

// sendIperf sends from one end of the line to the other.
func (l *line) sendIperf(ctx context.Context, length time.Duration, mbits float64, congestion string) error {
	server, err := proc.Start(proc.Options{Namespace: l.receiver.Namespace, CPU: -1, Argv: []string{"iperf3", "--server", "--one-off", "--port", strconv.Itoa(iperfPort)}})
	if err != nil {
		return err
	}
	defer server.Stop() // it may have ended by itself
	if err := awaitListener(ctx, l.receiver, iperfPort); err != nil {
		return err
	}
	client, err := proc.Start(proc.Options{Namespace: l.sender.Namespace, CPU: -1, Argv: []string{
		"iperf3", "--client", receiverAddr, "--port", strconv.Itoa(iperfPort), "--congestion", congestion,
		"--time", strconv.FormatFloat(length.Seconds(), 'f', -1, 64), "--length", "16K", "--length", "16K", "--bitrate", strconv.FormatFloat(mbits, 'f', -1, 64) + "M"}})
	if err != nil {
		return err
	}
	select {
	case <-client.Ended():
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(length + iperfPatience):
		err = fmt.Errorf("iperf3 has not ended %v after its time", iperfPatience)
	}
	_, failed := client.Stop()
	return errors.Join(err, failed)
}

// awaitListener waits until something listens on a port of the namespace. It reads /proc: a test connection
// would be the one that the server serves.
func awaitListener(ctx context.Context, e lab.End, port int) error {
	state := fmt.Sprintf(":%04X ", port) // then the peer's address, then the state
	for deadline := time.Now().Add(listenTimeout); ; time.Sleep(10 * time.Millisecond) {
		listens := false
		err := e.Do(func() error {
			for _, file := range []string{"tcp", "tcp6"} {
				text, err := os.ReadFile("/proc/thread-self/net/" + file)
				if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
					return err
				}
				for row := range strings.Lines(string(text)) {
					listens = listens || strings.Contains(row, state) && strings.Contains(row, " 0A ") // TCP_LISTEN
				}
			}
			return nil
		})
		switch {
		case err != nil || listens:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("nothing listens on port %d after %v", port, listenTimeout)
		}
	}
}
