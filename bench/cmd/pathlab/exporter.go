package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/bench/internal/proc"
	"tcp-stream-exporter/bench/internal/scrape"
	"tcp-stream-exporter/bench/lab"
)

// verdict holds the counts of the sender's segments by an observer at the capture point.
type verdict struct {
	again     uint64 // retransmissions
	overtaken uint64 // out of order
}

func (v verdict) String() string { return fmt.Sprintf("%d+%d", v.again, v.overtaken) }

const (
	familyAgain     = "tcp_retransmits_total"
	familyOvertaken = "tcp_out_of_order_packets_total"
	familyDropped   = "capture_dropped_packets_total"
)

// forever is an age that no stream of a scenario reaches, nor one of a recording that is read later.
const forever = "55000h"

// readCapture has the exporter read a recording.
func readCapture(ctx context.Context, exporter, file string) (verdict, error) {
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, exporter, "-read", file, "-packet-filter", "", "-stream-age", forever, "-finalized-age", forever)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return verdict{}, fmt.Errorf("%s -read %s: %w: %s", exporter, file, err, lastLine(complaint.String()))
	}
	sums, err := sumFrom(bytes.NewReader(out), senderAddr)
	return sums.verdict(), err
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// sums holds figures by family, of all streams of one sender, and of families without streams.
type sums map[string]float64

func (s sums) verdict() verdict {
	return verdict{again: uint64(s[familyAgain]), overtaken: uint64(s[familyOvertaken])}
}

// sumFrom reads the text format of Prometheus.
func sumFrom(r io.Reader, src string) (sums, error) {
	s := sums{}
	lines := bufio.NewScanner(r)
	label := fmt.Sprintf("src_ip=%q", src)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' || strings.Contains(line, "src_ip=") && !strings.Contains(line, label) {
			continue
		}
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("the exporter's line %q: %w", line, err)
		}
		s[line[:strings.IndexAny(line, "{ ")]] += value
	}
	return s, lines.Err()
}

// liveExporter is one that captures on a device of the line.
type liveExporter struct {
	end  lab.End
	proc *proc.Proc
}

const (
	exporterAddr  = "127.0.0.1:9100"
	exporterStart = 10 * time.Second
	// settleTime is longer than a block stays in the ring (-retire-timeout) and a worker sleeps.
	settleTime    = 400 * time.Millisecond
	settleTimeout = 10 * time.Second
)

func startExporter(exporter string, at lab.End, args ...string) (*liveExporter, error) {
	// A relative name is one of this program's folder, not of the PATH.
	exporter, err := filepath.Abs(exporter)
	if err != nil {
		return nil, err
	}
	p, err := proc.Start(proc.Options{Namespace: at.Namespace, CPU: -1, Argv: append([]string{exporter,
		"-interface", device, "-packet-filter", "", "-port", exporterAddr, "-stream-age", forever, "-finalized-age", forever}, args...)})
	if err != nil {
		return nil, err
	}
	e := &liveExporter{end: at, proc: p}
	if err := scrape.Await(at.Namespace, exporterAddr, exporterStart); err != nil {
		_, stopped := p.Stop() // returns why it ended, if it did
		return nil, fmt.Errorf("exporter: %w (%v)", err, stopped)
	}
	return e, nil
}

func (e *liveExporter) scrape() (sums, error) {
	body, err := scrape.Get(e.end.Namespace, exporterAddr, "/metrics")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return sumFrom(body, senderAddr)
}

// settle scrapes until the figures stand still, and returns them. The traffic must have ended. A
// packet that the exporter lost is an error.
func (e *liveExporter) settle() (sums, error) {
	const processed = "capture_packets_processed_total"
	last, since := -1.0, time.Now()
	for deadline := time.Now().Add(settleTimeout); ; time.Sleep(50 * time.Millisecond) {
		s, err := e.scrape()
		if err != nil {
			return nil, err
		}
		switch now := time.Now(); {
		case s[processed] != last:
			last, since = s[processed], now
		case now.Sub(since) >= settleTime && s[familyDropped] != 0:
			return nil, fmt.Errorf("%s: %v, want 0", familyDropped, s[familyDropped])
		case now.Sub(since) >= settleTime:
			return s, nil
		case now.After(deadline):
			return nil, fmt.Errorf("%s still grows after %v of silence", processed, settleTimeout)
		}
	}
}

func (e *liveExporter) stop() error {
	_, err := e.proc.Stop()
	return err
}
