package lab

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// Address is where an exporter with its default port listens inside a namespace.
	Address = "127.0.0.1:9100"

	startTimeout  = 30 * time.Second // until /metrics answers
	stopTimeout   = 5 * time.Second  // until a signalled exporter is killed
	scrapeTimeout = 5 * time.Second
	settleTimeout = 10 * time.Second
	settleTime    = 400 * time.Millisecond // longer than a ring keeps a block and a worker waits
)

// Exporter is a running exporter process. Every complete answer in text from its /metrics, and from the paths below, goes
// through a Checker, whose complaints are errors of the test.
type Exporter struct {
	t       testing.TB
	ns      *NS
	address string
	checks  Checker
	cmd     *exec.Cmd
	ended   <-chan struct{}
	output  output
	client  *http.Client
	tls     *tls.Config // nil: it is asked in plain text
}

// StartExporter is LaunchExporter, and waits until /metrics answers on its default port, or on that of -port :N.
func (n *NS) StartExporter(t testing.TB, bin string, args ...string) *Exporter {
	t.Helper()
	return n.StartExporterTLS(t, nil, bin, args...)
}

// StartExporterTLS is StartExporter of an exporter that is asked by TLS, by a client with the configuration.
func (n *NS) StartExporterTLS(t testing.TB, config *tls.Config, bin string, args ...string) *Exporter {
	t.Helper()
	e := n.LaunchExporter(t, bin, args...)
	e.tls = config
	e.client = e.newScraper(scrapeTimeout)
	for deadline := time.Now().Add(startTimeout); ; {
		_, err := e.scrape("/metrics")
		if err == nil {
			return e
		}
		if e.Ended() {
			t.Fatalf("exporter %q ended at once: %v", args, e.cmd.ProcessState)
		}
		if time.Now().After(deadline) {
			t.Fatalf("exporter %q: no answer from /metrics after %v: %v", args, startTimeout, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// LaunchExporter starts the binary bin in the namespace with args. When the test ends the exporter is
// stopped with SIGTERM, if it still runs, and must then exit with status 0; if the test failed its output
// is logged.
func (n *NS) LaunchExporter(t testing.TB, bin string, args ...string) *Exporter {
	t.Helper()
	e := &Exporter{t: t, ns: n, address: addressOf(args), cmd: n.Command(bin, args...)}
	e.client = e.newScraper(scrapeTimeout)
	e.cmd.Stdout, e.cmd.Stderr = &e.output, &e.output
	ended, err := Start(e.cmd)
	if err != nil {
		t.Fatalf("lab: start %s: %v", bin, err)
	}
	e.ended = ended
	t.Cleanup(func() {
		if !e.Ended() {
			if status, after := e.Stop(t, syscall.SIGTERM); status != 0 {
				t.Errorf("exporter: exit status %d, %v after SIGTERM at the end of the test, want 0", status, after)
			}
		}
		if t.Failed() {
			t.Logf("exporter %q said:\n%s", args, e.Output())
		}
	})
	return e
}

// addressOf returns where an exporter listens: on the port of an argument -port :N, for several in one namespace.
func addressOf(args []string) string {
	if at := slices.Index(args, "-port"); at >= 0 && at+1 < len(args) && strings.HasPrefix(args[at+1], ":") {
		return "127.0.0.1" + args[at+1]
	}
	return Address
}

// Ended reports whether the process has ended.
func (e *Exporter) Ended() bool {
	select {
	case <-e.ended:
		return true
	default:
		return false
	}
}

// Signal sends a signal. A process that has ended already is no error.
func (e *Exporter) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := e.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("exporter: cannot send %v: %v", sig, err)
	}
}

// Stop sends a signal and returns the exit status and how long the exporter took to end. One that
// does not end is killed: the status is then -1.
func (e *Exporter) Stop(t testing.TB, sig os.Signal) (status int, after time.Duration) {
	t.Helper()
	start := time.Now()
	e.Signal(t, sig)
	select {
	case <-e.ended:
	case <-time.After(stopTimeout):
		e.cmd.Process.Kill()
		<-e.ended
	}
	return e.cmd.ProcessState.ExitCode(), time.Since(start)
}

// PID returns the process id.
func (e *Exporter) PID() int { return e.cmd.Process.Pid }

// Output returns everything that the exporter has written to standard output and standard error.
func (e *Exporter) Output() string { return e.output.String() }

// Do sends a request for a path of the exporter's web server and returns the answer and its body.
func (e *Exporter) Do(method, path string) (*http.Response, string, error) {
	req, err := http.NewRequest(method, e.URL()+path, nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := e.Get(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// Open asks for /metrics, for an answer that is too long to be parsed or to be there within the time of a scrape. The
// caller reads the body within timeout, and closes it.
func (e *Exporter) Open(timeout time.Duration) (*http.Response, error) {
	req, err := http.NewRequest("GET", e.URL()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	return e.Send(e.newScraper(timeout), req)
}

// Get sends a request by the exporter's own client, as Send does.
func (e *Exporter) Get(req *http.Request) (*http.Response, error) { return e.Send(e.client, req) }

// URL returns that of the exporter in its namespace, without a path.
func (e *Exporter) URL() string {
	if e.tls != nil {
		return "https://" + e.address
	}
	return "http://" + e.address
}

// newScraper returns a client with a connection for each of its scrapes.
func (e *Exporter) newScraper(timeout time.Duration) *http.Client {
	client := e.ns.HTTPClient(timeout)
	transport := client.Transport.(*http.Transport)
	transport.DisableKeepAlives, transport.TLSClientConfig = true, e.tls
	return client
}

// Send sends a request of any kind. A body of metrics in text is checked as it is read, and has passed or failed when
// its end is read; the checks see it unpacked if it is compressed.
func (e *Exporter) Send(client *http.Client, req *http.Request) (*http.Response, error) {
	begin := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	metrics := req.URL.Path == "/metrics" || strings.HasPrefix(req.URL.Path, "/metrics/")
	if req.Method == http.MethodGet && metrics && resp.StatusCode == http.StatusOK && isText(resp) {
		body, err := newCheckedBody(resp, e.checks.Answer(begin, time.Now()), func(err error) { e.t.Errorf("an answer from %s: %v", req.URL, err) })
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		resp.Body = body
	}
	return resp, nil
}

// isText reports whether the answer is not in protobuf.
func isText(resp *http.Response) bool {
	return !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/vnd.google.protobuf")
}

// KeepScraping scrapes again and again, with a pause in between, until the test ends: for streams that live less long
// than a test waits between two scrapes of its own. An exporter that has ended is not scraped any more.
func (e *Exporter) KeepScraping(pause time.Duration) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-e.ended:
				return
			case <-time.After(pause):
			}
			_, _, _ = e.Do("GET", "/metrics") // an exporter that does not answer fails the test's own scrapes
		}
	}()
	e.t.Cleanup(func() {
		close(stop)
		<-ended
	})
}

// Scrape gets and parses /metrics; the test ends if either fails.
func (e *Exporter) Scrape(t testing.TB) Metrics {
	t.Helper()
	return e.ScrapePath(t, "/metrics")
}

// ScrapePath is Scrape of another path with metrics.
func (e *Exporter) ScrapePath(t testing.TB, path string) Metrics {
	t.Helper()
	m, err := e.scrape(path)
	if err != nil {
		t.Fatalf("scrape: %v", err)
	}
	return m
}

func (e *Exporter) scrape(path string) (Metrics, error) {
	resp, body, err := e.Do("GET", path)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %.200s", path, resp.Status, body)
	}
	return parse(strings.NewReader(body)) // Do has checked it
}

// Settle scrapes until the streams' bytes and the packet counter have stood still for a while, and
// returns the last scrape. The traffic must have stopped, and scrapes must not be captured
// themselves. The exporter may give its packet counter with a delay, so Await a value of it.
func (e *Exporter) Settle(t testing.TB) Metrics {
	t.Helper()
	last, since := [2]float64{-1}, time.Now()
	for deadline := time.Now().Add(settleTimeout); ; time.Sleep(50 * time.Millisecond) {
		m := e.Scrape(t)
		now := time.Now()
		sum := [2]float64{m["capture_packets_processed_total"], m.sum("tcp_bytes_transferred_total")}
		if sum != last {
			last, since = sum, now
		} else if now.Sub(since) >= settleTime {
			return m
		}
		if now.After(deadline) {
			t.Fatalf("after %v of silence the exporter still counts: %v packets, %v bytes", settleTimeout, sum[0], sum[1])
		}
	}
}

// Await scrapes until ok returns nil, and returns that scrape; when it has not by the timeout, the
// test ends with ok's last error. families are all that it asks for, if there are any: where there are
// many streams the others take long.
func (e *Exporter) Await(t testing.TB, timeout time.Duration, ok func(Metrics) error, families ...string) Metrics {
	t.Helper()
	path := "/metrics"
	if len(families) > 0 {
		path += "?" + url.Values{"name[]": families}.Encode()
	}
	return e.AwaitPath(t, timeout, path, ok)
}

// AwaitPath is Await of a path with metrics.
func (e *Exporter) AwaitPath(t testing.TB, timeout time.Duration, path string, ok func(Metrics) error) Metrics {
	t.Helper()
	for deadline := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		m, err := e.scrape(path)
		if err != nil {
			t.Fatalf("scrape: %v", err)
		}
		err = ok(m)
		if err == nil {
			return m
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", timeout, err)
		}
	}
}

// output collects what a process writes while another goroutine reads it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
