package browsertest

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"tcp-stream-exporter/internal/lab"
)

var (
	loadTime    = flag.Duration("load", 4*time.Second, "length of the load that TestLoad puts on")
	loadRate    = flag.Int("loadrate", 50_000, "packets a second of it")
	loadStreams = flag.Int("loadstreams", 10_000, "streams of it, two to a connection")
)

// A page that is looked at, and read anew, costs the capture no packet. The exporter captures in a namespace and serves on a
// socket of the browser's.
func TestLoad(t *testing.T) {
	l := lab.New(t)
	folder := t.TempDir()
	tcpgen := filepath.Join(folder, "tcpgen")
	if out, err := exec.Command("go", "build", "-C", "../../bench", "-buildvcs=false", "-o", tcpgen, "./cmd/tcpgen").CombinedOutput(); err != nil {
		t.Fatalf("build the generator: %v\n%s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // the exporter's copy of it goes on

	var output strings.Builder
	e := l.A.Command("sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"`, binary, "-interface", lab.IfName, "-web.systemd-socket")
	e.ExtraFiles = append(e.ExtraFiles, socket)
	e.Stdout, e.Stderr = &output, &output
	ended, err := lab.Start(e)
	socket.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("the exporter said:\n%s", output.String())
		}
	})

	ctx := openTab(t)
	do(t, ctx, chromedp.Navigate("http://"+address+"/"))
	await(t, ctx, `performance.getEntriesByName("shown").length === 1`)
	gen := l.B.Command(tcpgen, "-i", lab.IfName, "-connections", strconv.Itoa(*loadStreams/2), "-payload", "100",
		"-rate", strconv.Itoa(*loadRate), "-duration", loadTime.String())
	var said strings.Builder
	gen.Stdout, gen.Stderr = &said, &said
	done, err := lab.Start(gen)
	if err != nil {
		t.Fatal(err)
	}
	views := 0
	for running := true; running; views++ {
		select {
		case <-done:
			running = false
		case <-time.After(time.Second):
		}
		await(t, ctx, rows+".length > 0")
		do(t, ctx, chromedp.Navigate(fmt.Sprintf("http://%s/?sort=%s", address, []string{"packets", "bytes", "delay"}[views%3])))
	}
	sent := regexp.MustCompile(`\bpackets=(\d+)`).FindStringSubmatch(said.String())
	if sent == nil || !gen.ProcessState.Success() {
		t.Fatalf("generator: %v\n%s", gen.ProcessState, said.String())
	}
	want, _ := strconv.ParseUint(sent[1], 10, 64)

	var status struct {
		Totals struct {
			Streams int64
			Packets uint64 `json:"packets_total"`
			Dropped uint64 `json:"dropped_packets_total"`
		}
	}
	for end := time.Now().Add(patience); status.Totals.Packets < want; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			break
		}
		answer, err := http.Get("http://" + address + "/api/v1/status")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil {
			err = json.Unmarshal(body, &status)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got := &status.Totals
	t.Logf("%d views beside %d packets of %d streams in %v: %d captured, %d dropped", views, want, got.Streams, *loadTime, got.Packets, got.Dropped)
	if got.Packets != want || got.Dropped != 0 || got.Streams != int64(*loadStreams) {
		t.Errorf("%d packets of %d streams are counted and %d dropped, want the %d of %d that were sent", got.Packets, got.Streams, got.Dropped, want, *loadStreams)
	}
}
