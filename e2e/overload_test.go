package e2e

import (
	"context"
	"crypto/tls"
	"flag"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"tcp-stream-exporter/internal/lab"
)

// TestEverythingAtOnce has as many of them by TLS as without with
//
//	go test -v ./e2e -run EverythingAtOnce -args -hanging 5000
var hangingByTLS = flag.Int("hanging", 1000, "connections by TLS that hang in TestEverythingAtOnce: each takes a handshake's processor time")

const (
	overloadHanging  = 5000 // connections, opened at once and left alone
	overloadScrapers = 64   // read what they ask for, with a pause
	overloadSlow     = 16   // ask with a byte a second
	overloadGarbage  = 4    // send garbage, connection after connection
	overloadStalling = 64   // by TLS: HTTP/2, all streams asked for and none read
	overloadTime     = time.Second

	scraperPause = 250 * time.Millisecond

	// comeAgain is how long a client waits that was turned away. Handshakes of clients that do not wait would measure
	// how much processor time they have got.
	comeAgain = 250 * time.Millisecond

	// healthyWithin bounds the way to a 200 from /-/healthy, a 503 in between included: half of them, as a busy machine may
	// need longer, and worstScrapeTime all.
	healthyWithin = time.Second

	// comeWithin bounds how long the hanging connections take to come, which on a busy machine is mostly a wait for
	// processors: 3 s on an idle one.
	comeWithin = time.Minute

	// spareDescriptors is what the exporter has open beyond those before the overload: 128 connections, 16 that are
	// being refused, and files that it looks at.
	spareDescriptors = 128 + 16 + 8

	// memoryBoundOverload is memoryBound twice over, as thousands of connections leave garbage while the collector of it
	// waits for a processor.
	memoryBoundOverload = 2 * memoryBound

	// memoryBoundTLS is the same with what TLS and HTTP/2 hold for each of 128 connections: records of 16 KiB in and
	// out, frames of as much for each of eight streams, and the handshakes of those that come and go as garbage.
	memoryBoundTLS = memoryBoundOverload + 128*(2+8)*(16<<10)
)

// overload is clients that ask an exporter for more than it can do, until it ends.
type overload struct {
	t     *testing.T
	ns    *lab.NS
	ctx   context.Context
	all   sync.WaitGroup
	count struct{ hanging, shaken, garbage, stalling, scrapes, refused atomic.Int64 }
}

// newOverload returns an overload; end ends it.
func newOverload(t *testing.T, ns *lab.NS) (o *overload, end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	o = &overload{t: t, ns: ns, ctx: ctx}
	end = func() {
		cancel()
		o.all.Wait()
	}
	t.Cleanup(end)
	return o, end
}

// inside runs f in the namespace beside everything else.
func (o *overload) inside(f func()) {
	o.all.Go(func() {
		if err := o.ns.Do(func() error { f(); return nil }); err != nil {
			o.t.Error(err)
		}
	})
}

// dial connects from the thread of the namespace, or returns nil at the end.
func (o *overload) dial() net.Conn {
	for o.ctx.Err() == nil {
		dialer := net.Dialer{Timeout: httpTimeout}
		if c, err := dialer.DialContext(o.ctx, "tcp4", lab.Address); err == nil {
			return c
		}
		time.Sleep(time.Millisecond) // the exporter is slower to accept than these are to come
	}
	return nil
}

// hang opens n connections, sends a text on each, and leaves them until the end. With config it does so by TLS, once the
// handshake is over; some are turned away before that.
func (o *overload) hang(n int, text string, config *tls.Config) {
	o.inside(func() {
		var mine crowd
		defer func() { mine.leave() }()
		for range n {
			c := o.dial()
			if c == nil {
				return
			}
			mine = append(mine, c)
			if config != nil {
				_ = c.SetDeadline(time.Now().Add(httpTimeout)) // it is open
				shaken := tls.Client(c, config)
				if shaken.Handshake() == nil {
					o.count.shaken.Add(1)
				}
				c = shaken
			}
			_, _ = io.WriteString(c, text) // fails if it has been turned away meanwhile
			o.count.hanging.Add(1)
		}
		<-o.ctx.Done()
	})
}

// slow sends a request by a byte a second, and connects again when it is turned away.
func (o *overload) slow() {
	o.inside(func() {
		for {
			c := o.dial()
			if c == nil {
				return
			}
			for i := range len(scrapeRequest) {
				if _, err := io.WriteString(c, scrapeRequest[i:i+1]); err != nil {
					break
				}
				o.pause(time.Second)
			}
			_ = c.Close()
			o.pause(comeAgain)
		}
	})
}

// pause waits, at most until the end.
func (o *overload) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-o.ctx.Done():
	}
}

// garbage sends what is no request, waits for what comes of it, and connects again.
func (o *overload) garbage() {
	o.inside(func() {
		for n := 0; ; n++ {
			c := o.dial()
			if c == nil {
				return
			}
			text := []string{"\x16\x03\x01\x02\x00\x01\x00", strings.Repeat("\xff\x00", 5000), "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\xff"}[n%4]
			_, _ = io.WriteString(c, text)
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // it is open
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
			o.count.garbage.Add(1)
			o.pause(10 * time.Millisecond)
		}
	})
}

// stall asks for the metrics on as many streams of a connection of HTTP/2 as the exporter takes, reads nothing, and
// connects again when it is turned away. The first time it speaks HTTP/1 where HTTP/2 was agreed on.
func (o *overload) stall(config *tls.Config) {
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	o.inside(func() {
		for first := true; ; first = false {
			inner := o.dial()
			if inner == nil {
				return
			}
			_ = inner.SetDeadline(time.Now().Add(httpTimeout)) // it is open
			c := tls.Client(inner, config)
			if first {
				_, _ = io.WriteString(c, scrapeRequest)
				_, _ = io.Copy(io.Discard, c) // until the exporter ends it
			} else if err := ask2(c, 8); err == nil {
				o.count.stalling.Add(1)
				for o.ctx.Err() == nil { // nothing is read: that it is over shows when a ping cannot be sent
					time.Sleep(50 * time.Millisecond)
					if http2.NewFramer(c, nil).WritePing(false, [8]byte{}) != nil {
						break
					}
				}
			}
			_ = inner.Close()
			o.pause(comeAgain)
		}
	})
}

// ask2 sends the preface and requests on so many streams.
func ask2(c *tls.Conn, streams int) error {
	framer := http2.NewFramer(c, nil)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return err
	}
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	var block strings.Builder
	header := hpack.NewEncoder(&block)
	for n := range streams {
		block.Reset()
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "exporter"}, {":path", "/metrics"}} {
			if err := header.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
				return err
			}
		}
		if err := framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: uint32(2*n + 1), BlockFragment: []byte(block.String()), EndStream: true, EndHeaders: true,
		}); err != nil {
			return err
		}
	}
	return nil
}

// scrape reads the metrics again and again on a connection that it keeps.
func (o *overload) scrape(client *http.Client, url string) {
	o.all.Go(func() {
		defer client.CloseIdleConnections()
		for o.ctx.Err() == nil {
			if resp, err := client.Get(url); err == nil {
				if _, err := io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode == http.StatusOK {
					o.count.scrapes.Add(1)
				} else {
					o.count.refused.Add(1)
				}
				_ = resp.Body.Close()
			} else {
				o.count.refused.Add(1)
			}
			o.pause(scraperPause)
		}
	})
}

// All that clients can do wrong at once, with TLS and without: 5,000 connections that hang (1,000 by TLS, or -hanging), 64 scrapers, requests by a
// byte a second, garbage, and streams of HTTP/2 that nobody reads. Whoever asks whether the exporter is healthy hears it
// in time. Each packet is accounted, memory and descriptors stay bounded.
func TestEverythingAtOnce(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		p := newPressure(t, fewConnections, binary(t))
		p.overload(t, nil, overloadHanging, memoryBoundOverload)
	})
	t.Run("TLS", func(t *testing.T) {
		s := newSecured(t, "")
		config := &tls.Config{RootCAs: s.authority.Pool(), ServerName: "127.0.0.1"}
		p := newPressureTLS(t, config, fewConnections, binary(t), "-web.config.file", s.file())
		p.overload(t, config, int64(*hangingByTLS), memoryBoundTLS)
	})
}

// overload has so many connections hang, and all else besides, and wants the memory to stay within the bound.
func (p *pressure) overload(t *testing.T, config *tls.Config, hanging int64, bound int64) {
	t.Helper()
	before := descriptors(t, p.PID())
	o, end := newOverload(t, p.l.A)
	texts := []string{scrapeRequest, "GET /metrics HTTP/1.1\r\nHost: ", "POST /metrics HTTP/1.1\r\nHost: exporter\r\nContent-Length: 1000\r\n\r\n", "", "\x16\x03\x01"}
	if config != nil { // half of them end with the handshake, or in its midst: nothing, plain HTTP, half a record
		for _, text := range texts {
			o.hang(int(hanging)/2/len(texts), text, nil)
			o.hang(int(hanging)/2/len(texts), text, config)
		}
	} else {
		for _, text := range texts {
			o.hang(int(hanging)/len(texts), text, nil)
		}
	}
	for range overloadScrapers {
		client := p.l.A.HTTPClient(httpTimeout)
		if config != nil {
			client.Transport.(*http.Transport).TLSClientConfig = config.Clone() // the transport changes it
			client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
		}
		o.scrape(client, p.URL()+"/metrics")
	}
	for range overloadSlow {
		o.slow()
	}
	for range overloadGarbage {
		o.garbage()
	}
	if config != nil {
		for range overloadStalling {
			o.stall(config)
		}
	}
	most, slowest, refusals, asked, late := 0, time.Duration(0), 0, 0, 0
	begin, there := time.Now(), time.Duration(0) // how long until all hanging connections had come
	for since := begin; time.Since(since) < overloadTime || o.count.hanging.Load() < hanging; time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > comeWithin {
			t.Fatalf("only %d of %d connections have come", o.count.hanging.Load(), hanging)
		}
		if o.count.hanging.Load() < hanging {
			since, there = time.Now(), time.Since(begin)
		}
		took, refused := p.healthy(t)
		slowest, refusals, asked = max(slowest, took), refusals+refused, asked+1
		if took > healthyWithin {
			late++
		}
		most = max(most, descriptors(t, p.PID())-before)
	}
	end()
	t.Logf("%d hanging connections within %v, %d of them past a handshake, %d scrapes and %d refused, garbage %d times, HTTP/2 stalled %d times, in %v: healthy %d times within %v, %d of them later than %v, %d refusals; at most %d descriptors more",
		o.count.hanging.Load(), there, o.count.shaken.Load(), o.count.scrapes.Load(), o.count.refused.Load(), o.count.garbage.Load(), o.count.stalling.Load(),
		time.Since(begin), asked, slowest, late, healthyWithin, refusals, most)
	if 2*late > asked {
		t.Errorf("/-/healthy took longer than %v for %d of %d", healthyWithin, late, asked)
	}
	if warnings := strings.Count(p.Output(), "level=WARN"); warnings > 0 {
		t.Errorf("clients have caused %d warnings in the log, want none", warnings)
	}
	if most > spareDescriptors {
		t.Errorf("%d descriptors more than the %d before, want at most %d", most, before, spareDescriptors)
	}
	if o.count.scrapes.Load() == 0 || config != nil && (o.count.stalling.Load() == 0 || o.count.shaken.Load() == 0) {
		t.Errorf("%d scrapes, %d stalled connections, %d that hang past a handshake: the overload is none",
			o.count.scrapes.Load(), o.count.stalling.Load(), o.count.shaken.Load())
	}
	p.calmWithin(t, bound)
}

// healthy asks until /-/healthy answers 200, and returns how long that took and how often it was refused.
func (p *pressure) healthy(t *testing.T) (took time.Duration, refused int) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		resp, body, err := p.Do(http.MethodGet, "/-/healthy")
		took = time.Since(begin)
		if took > worstScrapeTime {
			t.Errorf("/-/healthy: %q, %v after %v and %d refusals, want 200 within %v", body, err, took, refused, worstScrapeTime)
			return took, refused
		}
		if err == nil && resp.StatusCode == http.StatusOK {
			return took, refused
		}
		refused++
	}
}
