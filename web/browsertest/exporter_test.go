package browsertest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/need"
)

// binary is the exporter, built once.
var binary string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(folder, "exporter")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, ".")
	build.Dir = "../.."
	status := 1
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the exporter: %v\n%s", err, out)
	} else {
		status = m.Run()
	}
	os.RemoveAll(folder)
	os.Exit(status)
}

// exporter is a running exporter on the loopback interface.
type exporter struct {
	t       *testing.T
	address string
	args    []string
	cmd     *exec.Cmd
	output  bytes.Buffer
}

// startExporter starts an exporter that captures what goes to a server's port.
func startExporter(t *testing.T, server net.Addr, args ...string) *exporter {
	t.Helper()
	need.Root(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free; nobody else draws it in this moment
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	port := server.(*net.TCPAddr).Port
	e := &exporter{t: t, address: address, args: append([]string{
		"-interface", "lo", "-packet-filter", fmt.Sprintf("tcp port %d", port), "-port", address,
		"-group", "servers=127.0.0.1/32", "-group", "clients=127.1.0.0/16", "-service-ports", fmt.Sprint(port),
	}, args...)}
	e.start()
	t.Cleanup(func() {
		e.stop()
		if t.Failed() {
			t.Logf("the exporter said:\n%s", e.output.String())
		}
	})
	return e
}

func (e *exporter) start() {
	e.t.Helper()
	e.cmd = exec.Command(binary, e.args...)
	e.cmd.Stdout, e.cmd.Stderr = &e.output, &e.output
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + e.address + "/-/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 || resp.StatusCode == 401 {
				return
			}
		}
		if time.Now().After(end) {
			e.t.Fatalf("the exporter does not get ready: %v\n%s", err, e.output.String())
		}
	}
}

func (e *exporter) stop() {
	if e.cmd.ProcessState == nil {
		_ = e.cmd.Process.Signal(syscall.SIGTERM)
		_ = e.cmd.Wait()
	}
}

// server answers each byte with as many as are asked for, until the test ends.
type server struct{ net.Listener }

func startServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	return &server{l}
}

// client is a connection from an address of its own.
type client struct {
	t *testing.T
	net.Conn
}

// connect opens a connection from an address, and exchanges bytes on it.
func (s *server) connect(t *testing.T, from string, bytes int) *client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t, conn}
	c.exchange(bytes)
	return c
}

// exchange sends so many bytes and receives them.
func (c *client) exchange(n int) {
	c.t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, n))
		sent <- err
	}()
	if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
		c.t.Fatal(err)
	}
	if err := <-sent; err != nil {
		c.t.Fatal(err)
	}
}
