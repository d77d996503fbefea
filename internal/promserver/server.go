// Package promserver runs Prometheus servers in network namespaces, for tests and tools, and asks their query API.
package promserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"tcp-stream-exporter/internal/netns"
)

const (
	readyTimeout = 30 * time.Second // until a started server answers, on a busy machine
	queryTimeout = 10 * time.Second
	outputKept   = 64 << 10 // bytes of what a server has said, the latest
)

// Config says how a server runs.
type Config struct {
	Namespace string   // where it runs and listens
	Address   string   // numeric host:port
	Dir       string   // an existing folder, for its configuration and its data
	YAML      string   // its configuration file
	Args      []string // further flags
}

// Server is a running Prometheus. Its methods may be called from any goroutine.
type Server struct {
	config Config
	cmd    *exec.Cmd
	ended  <-chan struct{}
	said   tail
	client *http.Client
}

// Start starts the program prometheus and waits until it is ready. The error of one that ends at once has what it said
// last. It does not outlive this process.
func Start(ctx context.Context, c Config) (*Server, error) {
	file := filepath.Join(c.Dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(c.YAML), 0o600); err != nil {
		return nil, err
	}
	s := &Server{config: c, client: &http.Client{Timeout: queryTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = netns.Do(c.Namespace, func() error {
				conn, err = new(net.Dialer).DialContext(ctx, network, address)
				return err
			})
			return conn, err
		},
	}}}
	s.cmd = netns.Command(c.Namespace, append([]string{
		"prometheus", "--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(c.Dir, "data"),
		"--web.listen-address=" + c.Address, "--log.level=warn",
	}, c.Args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is for the program that calls Stop
	var err error
	if s.ended, err = netns.Start(s.cmd); err != nil {
		return nil, fmt.Errorf("start prometheus: %w", err)
	}
	if err := s.awaitReady(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		resp, err := s.get(ctx, "/-/ready")
		if err == nil {
			_ = resp.Body.Close() // a line
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-s.ended:
			return fmt.Errorf("prometheus ended at once: %v: %s", s.cmd.ProcessState, s.LastLine())
		case <-ctx.Done():
			return fmt.Errorf("prometheus is not ready: %w (%w)", err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop kills the server and waits for its end. Its folder stays.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill() // one that has ended is no matter
	<-s.ended
	s.client.CloseIdleConnections()
}

// Ended returns a channel that is closed when the process has ended.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// PID returns the process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Output returns the end of what the server has written to standard output and standard error.
func (s *Server) Output() string { return s.said.String() }

// LastLine returns the last line of Output.
func (s *Server) LastLine() string {
	lines := strings.Split(strings.TrimSpace(s.Output()), "\n")
	return lines[len(lines)-1]
}

// Text returns the body of an answer to path, which has to be 200.
func (s *Server) Text(ctx context.Context, path string) (string, error) {
	resp, err := s.get(ctx, path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("prometheus: %s: %s: %.200s", path, resp.Status, body)
	}
	return string(body), err
}

// Sample is one series of a query's result.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query evaluates a PromQL expression whose result is a vector, now.
func (s *Server) Query(ctx context.Context, expr string) ([]Sample, error) {
	text, err := s.Text(ctx, "/api/v1/query?"+url.Values{"query": {expr}}.Encode())
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			ResultType string
			Result     []struct {
				Metric map[string]string
				Value  [2]any // seconds since 1970, and the value as text
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, fmt.Errorf("prometheus: %s: %w", expr, err)
	}
	if kind := answer.Data.ResultType; kind != "vector" {
		return nil, fmt.Errorf("prometheus: %s: is a %s, want a vector", expr, kind)
	}
	samples := make([]Sample, 0, len(answer.Data.Result))
	for _, r := range answer.Data.Result {
		value, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("prometheus: %s: %w", expr, err)
		}
		samples = append(samples, Sample{r.Metric, v})
	}
	return samples, nil
}

func (s *Server) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.config.Address+path, nil)
	if err != nil {
		return nil, err
	}
	return s.client.Do(req)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *tail) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	o.text.Next(max(0, o.text.Len()-outputKept))
	return len(b), nil
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
