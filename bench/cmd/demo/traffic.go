package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"tcp-stream-exporter/bench/lab"
)

const (
	longestBody    = 400_000 // bytes of a download or an upload
	longestPause   = time.Second
	requestTimeout = 30 * time.Second
)

// startTraffic starts a web server and clients that fetch from it, or send to it, each request on a connection of its
// own. stop ends all of it.
func startTraffic(client, server lab.End, clients int) (stop func(), err error) {
	var l net.Listener
	err = server.Do(func() (err error) {
		l, err = net.Listen("tcp4", serverAddress+":80")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("web server: %w", err)
	}
	web := &http.Server{Handler: http.HandlerFunc(answer), ReadHeaderTimeout: requestTimeout}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = web.Serve(l) }) // ends with ErrServerClosed
	for n := range clients {
		from := &net.TCPAddr{IP: net.ParseIP(clientHost + strconv.Itoa(firstClient+n))}
		running.Go(func() { visit(ctx, client, from) })
	}
	return func() {
		cancel()
		_ = web.Close()
		running.Wait()
	}, nil
}

// answer sends as many bytes as the path says, or takes what comes.
func answer(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/"), 10, 64) // 0 if it is no number
	_, _ = io.Copy(io.Discard, r.Body)                                    // a client that is gone is no matter
	_, _ = io.CopyN(w, zeros{}, min(n, longestBody))
}

// visit requests again and again from an address, until ctx ends.
func visit(ctx context.Context, at lab.End, from *net.TCPAddr) {
	client := &http.Client{Timeout: requestTimeout, Transport: &http.Transport{DialContext: dialIn(at, from), DisableKeepAlives: true}}
	for ctx.Err() == nil {
		method, down, up := http.MethodGet, rand.Int64N(longestBody), int64(0)
		if rand.IntN(3) == 0 {
			method, down, up = http.MethodPost, 0, down+1
		}
		body := io.Reader(http.NoBody)
		if up > 0 {
			body = io.LimitReader(zeros{}, up)
		}
		req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://%s/%d", serverAddress, down), body)
		if err != nil {
			return // a fault of this program; nothing of it comes from outside
		}
		req.ContentLength = up
		if resp, err := client.Do(req); err == nil { // losses may end a connection: the next one comes
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(longestPause)):
		}
	}
}

// dialIn returns a dialer for numeric addresses in a namespace, from an address there if it is not nil.
func dialIn(at lab.End, from *net.TCPAddr) func(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	if from != nil {
		dialer.LocalAddr = from
	}
	return func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = at.Do(func() error {
			c, err = dialer.DialContext(ctx, network, address)
			return err
		})
		return c, err
	}
}

// forward carries connections from l to an address in a namespace until l is closed.
func forward(l net.Listener, at lab.End, address string) {
	dial := dialIn(at, nil)
	for {
		outside, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // no descriptors are left; some will be
			continue
		}
		go func() {
			defer outside.Close()
			inside, err := dial(context.Background(), "tcp4", address)
			if err != nil {
				return
			}
			defer inside.Close()
			go func() {
				_, _ = io.Copy(inside, outside)
				_ = inside.(*net.TCPConn).CloseWrite() // the other way may go on
			}()
			_, _ = io.Copy(outside, inside)
		}()
	}
}

// zeros is a reader of nothing but zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
