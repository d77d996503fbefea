package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"tcp-stream-exporter/bench/internal/proc"
	"tcp-stream-exporter/bench/internal/scrape"
	"tcp-stream-exporter/bench/lab"
)

const (
	metricsAddress = "127.0.0.1:9777"
	readyTimeout   = 10 * time.Second
	// fresh is how old the exporter's own totals may be, and how long a packet may wait in the ring.
	fresh = 1200 * time.Millisecond
	// slack is how much longer than their age the last streams may take to go.
	slack = 5 * time.Second
)

// scene holds one run of the scene.
type scene struct {
	config
	at       lab.End
	log      io.Writer
	exporter *proc.Proc
	began    time.Time
	acts     []act
	scrapes  int   // so far
	peak     int64 // resident memory without the ring, bytes
	ring     int64 // of the ring, bytes
}

// act is a part of the scene with its figures.
type act struct {
	name    string
	seconds float64
	scrapes int           // of which one is at the end
	cpu     time.Duration // of the exporter
	state
	before state
}

// state holds the exporter's counters at one moment.
type state struct {
	packets, dropped, streams, opened, mallocs float64
	// lost are packets that never came to the ring: of the whole machine, by the kernel's own account.
	lost float64
	rest int64 // resident memory without the ring, bytes
}

// argv returns the exporter's command line.
func (s *scene) argv() []string {
	return []string{
		s.config.exporter, "-interface", "lo", "-packet-filter", "tcp and port 8080",
		"-stream-age", s.age.String(), "-finalized-age", s.age.String(), "-numblocks", "1024",
		"-port", metricsAddress, "-go-metrics",
	}
}

func (s *scene) play(ctx context.Context) error {
	stop, err := serve(s.at, s.answer)
	if err != nil {
		return err
	}
	defer stop()
	s.exporter, err = proc.Start(proc.Options{Namespace: s.at.Namespace, CPU: -1, Argv: s.argv(), Ready: "msg=starting"})
	if err != nil {
		return err
	}
	defer s.exporter.Stop()
	if err := scrape.Await(s.at.Namespace, metricsAddress, readyTimeout); err != nil {
		return err
	}
	s.began = time.Now()

	err = s.act(ctx, "clients, cut off", func() error {
		return s.clients(ctx, s.cut, true)
	})
	if err != nil {
		return err
	}
	err = s.act(ctx, "pause", func() error { return s.wait(ctx, s.pause, nil) })
	if err != nil {
		return err
	}
	err = s.act(ctx, "clients again, while the streams of the first go", func() error {
		return s.clients(ctx, s.duration, false)
	})
	if err != nil {
		return err
	}
	return s.act(ctx, "silence, until all streams have gone", func() error {
		return s.wait(ctx, s.age+slack, func(now state) bool { return now.streams == 0 })
	})
}

// act plays one part.
func (s *scene) act(ctx context.Context, name string, part func() error) error {
	fmt.Fprintf(s.log, "%3.0f s: %s\n", time.Since(s.began).Seconds(), name)
	before, err := s.look()
	if err != nil {
		return err
	}
	cpu, err := s.exporter.CPU()
	if err != nil {
		return err
	}
	scrapes, start := s.scrapes, time.Now()
	if err := part(); err != nil {
		return err
	}
	a := act{name: name, seconds: time.Since(start).Seconds(), before: before}
	if err := s.wait(ctx, fresh, nil); err != nil {
		return err
	}
	end, err := s.exporter.CPU()
	if err != nil {
		return err
	}
	a.cpu = end - cpu
	if a.state, err = s.look(); err != nil {
		return err
	}
	a.scrapes = s.scrapes - scrapes
	s.acts = append(s.acts, a)
	return ctx.Err()
}

// clients runs wrk for so long; with cut it is stopped amid its requests.
func (s *scene) clients(ctx context.Context, length time.Duration, cut bool) error {
	seconds := int(length / time.Second)
	if cut {
		seconds += 3600
	}
	var all []*proc.Proc
	end := func() (err error) {
		for _, c := range all {
			if _, e := c.Stop(); e != nil && err == nil {
				err = e
			}
		}
		return err
	}
	for range s.config.clients {
		c, err := proc.Start(proc.Options{Namespace: s.at.Namespace, CPU: -1, Argv: []string{
			"wrk", "-t", "1", "-c", strconv.Itoa(s.connections), "-d", strconv.Itoa(seconds) + "s", "http://" + serverAddress + "/",
		}})
		if err != nil {
			_ = end()
			return err
		}
		all = append(all, c)
	}
	err := s.wait(ctx, length, nil)
	if err == nil && !cut {
		for _, c := range all {
			select {
			case <-c.Ended():
			case <-time.After(slack):
				err = fmt.Errorf("wrk has not ended %v after its time", slack)
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
	}
	if e := end(); err == nil {
		err = e
	}
	return err
}

// wait lets time pass, with scrapes as a Prometheus would make them and the memory looked at every
// second, until over says so; that is asked at scrapes, and once a second if it is given.
func (s *scene) wait(ctx context.Context, length time.Duration, over func(state) bool) error {
	start, lastScrape := time.Now(), time.Now()
	for {
		left := length - time.Since(start)
		if left <= 0 {
			return nil
		}
		select {
		case <-time.After(min(left, time.Second)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if over != nil || time.Since(lastScrape) >= s.scrapeEvery {
			lastScrape = time.Now()
			now, err := s.look()
			if err != nil {
				return err
			}
			if over != nil && over(now) {
				return nil
			}
		} else if _, err := s.memory(); err != nil {
			return err
		}
	}
}

func (s *scene) memory() (rest int64, err error) {
	m, err := s.exporter.Memory()
	if err != nil {
		return 0, err
	}
	s.peak, s.ring = max(s.peak, m.Rest()), max(s.ring, m.Ring)
	return m.Rest(), nil
}

// look scrapes the exporter.
func (s *scene) look() (now state, err error) {
	const (
		packets, dropped = "capture_packets_processed_total", "capture_dropped_packets_total"
		streams, opened  = "tcp_stream_exporter_streams", "tcp_stream_exporter_streams_opened_total"
		queue            = "tcp_stream_exporter_softnet_dropped_packets_total"
		device           = "tcp_stream_exporter_interface_lost_packets_total"
		mallocs          = "go_memstats_mallocs_total"
	)
	s.scrapes++
	v, err := scrape.Metrics(s.at.Namespace, metricsAddress, packets, dropped, streams, queue, device, mallocs)
	if err != nil {
		return now, err
	}
	for _, name := range []string{packets, dropped, streams, opened, queue, device, mallocs} {
		if _, there := v[name]; !there {
			return now, fmt.Errorf("the scrape has no %s", name)
		}
	}
	now = state{packets: v[packets], dropped: v[dropped], streams: v[streams], opened: v[opened], mallocs: v[mallocs], lost: v[queue] + v[device]}
	now.rest, err = s.memory()
	return now, err
}

// print writes a table in Markdown.
func (s *scene) print(w io.Writer) error {
	fmt.Fprintf(w, "%d wrk with %d connections each, answers of 1 to %d bytes, scraped every %v:\n\n", s.config.clients, s.connections, s.answer, s.scrapeEvery)
	fmt.Fprintln(w, "| | seconds | packets | dropped | lost before the ring | streams opened | streams at the end | CPU | of a core | ns per packet | resident without the ring | scrapes | allocations |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	var packets, dropped, cpu float64
	for _, a := range s.acts {
		n, d := a.packets-a.before.packets, a.dropped-a.before.dropped
		perPacket := "–"
		if n > 0 {
			perPacket = fmt.Sprintf("%.0f", float64(a.cpu)/n)
		}
		fmt.Fprintf(w, "| %s | %.1f | %.0f | %.0f | %.0f | %.0f | %.0f | %.2f s | %.1f %% | %s | %.1f MiB | %d | %.0f |\n", a.name, a.seconds, n, d, a.lost-a.before.lost,
			a.opened-a.before.opened, a.streams, a.cpu.Seconds(), 100*a.cpu.Seconds()/a.seconds, perPacket, float64(a.rest)/(1<<20), a.scrapes, a.mallocs-a.before.mallocs)
		packets, dropped, cpu = packets+n, dropped+d, cpu+a.cpu.Seconds()
	}
	_, err := fmt.Fprintf(w, "\n%.0f packets, %.0f dropped (%.2f %%), %.2f s of CPU time.\nResident memory without the ring of %d MiB: at most %.1f MiB.\n",
		packets, dropped, 100*dropped/max(packets+dropped, 1), cpu, s.ring>>20, float64(s.peak)/(1<<20))
	return err
}
