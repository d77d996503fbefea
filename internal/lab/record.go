package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/need"
)

// Recording is a dumpcap process that writes what passes an interface to a file.
type Recording struct {
	path   string
	cmd    *exec.Cmd
	ended  <-chan struct{}
	output output
}

// Record records the frames' first 128 bytes on the namespace's veth end, with room for
// bursts. It returns when the recording runs.
func (n *NS) Record(t testing.TB) *Recording {
	t.Helper()
	need.Tool(t, "dumpcap")
	r := &Recording{path: filepath.Join(t.TempDir(), "recording.pcapng")}
	r.cmd = n.Command("dumpcap", "-q", "-i", IfName, "-s", "128", "-B", "64", "-w", r.path)
	r.cmd.Stdout, r.cmd.Stderr = &r.output, &r.output
	ended, err := Start(r.cmd)
	if err != nil {
		t.Fatalf("lab: start dumpcap: %v", err)
	}
	r.ended = ended
	t.Cleanup(func() { r.end(syscall.SIGKILL) })
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(10 * time.Millisecond) {
		// The file begins with a header that is written when the interface is open.
		if info, err := os.Stat(r.path); err == nil && info.Size() > 0 {
			return r
		}
		if time.Now().After(deadline) || r.hasEnded() {
			t.Fatalf("dumpcap does not record (ended: %v):\n%s", r.hasEnded(), r.output.String())
		}
	}
}

// recorded is dumpcap's closing line: received/dropped packets and what dropped them.
var recorded = regexp.MustCompile(`received/dropped on interface '[^']*': (\d+)/(\d+) `)

// Stop ends the recording and returns the file, which the test's end removes. Frames that the
// recording missed end the test.
func (r *Recording) Stop(t testing.TB) (path string) {
	t.Helper()
	r.end(syscall.SIGINT)
	m := recorded.FindStringSubmatch(r.output.String())
	if m == nil || m[1] == "0" || m[2] != "0" {
		t.Fatalf("the recording is empty or not complete:\n%s", r.output.String())
	}
	return r.path
}

func (r *Recording) end(sig syscall.Signal) {
	if r.hasEnded() {
		return
	}
	r.cmd.Process.Signal(sig)
	select {
	case <-r.ended:
	case <-time.After(stopTimeout):
		r.cmd.Process.Kill()
		<-r.ended
	}
}

func (r *Recording) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}
