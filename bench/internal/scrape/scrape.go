// Package scrape reads figures from the /metrics of a program in another network namespace.
package scrape

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/internal/netns"
)

const timeout = time.Minute

// Get asks for a page at an address inside of a namespace. The caller closes the body.
func Get(namespace, address, path string) (io.ReadCloser, error) {
	client := http.Client{Timeout: timeout, Transport: &http.Transport{
		DisableKeepAlives: true, DisableCompression: true,
		// A socket stays in the namespace of the thread that made it. The address is a number, so
		// that the dialer makes it on the calling thread.
		DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
			err = netns.Do(namespace, func() (err error) {
				c, err = (&net.Dialer{}).DialContext(ctx, network, address)
				return err
			})
			return c, err
		},
	}}
	answer, err := client.Get("http://" + address + path)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("scrape: http://%s%s: %s", address, path, answer.Status)
	}
	return answer.Body, nil
}

// Values holds the figures of a scrape by family; of a family with several series, the sum.
type Values map[string]float64

// Metrics reads the families whose names begin with one of the prefixes. The rest is read and dropped.
func Metrics(namespace, address string, prefixes ...string) (Values, error) {
	body, err := Get(namespace, address, "/metrics")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return parse(body, prefixes)
}

func parse(r io.Reader, prefixes []string) (Values, error) {
	values := Values{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		// Bytes first: of millions of lines only a few are wanted.
		if line := lines.Bytes(); len(line) == 0 || line[0] == '#' {
			continue
		}
		line := lines.Text()
		if !wanted(line, prefixes) {
			continue
		}
		name, _, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "{")
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("scrape: line %q: %w", line, err)
		}
		values[name] += value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	return values, nil
}

func wanted(line string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// Await scrapes until the program answers.
func Await(namespace, address string, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		_, err := Metrics(namespace, address)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
