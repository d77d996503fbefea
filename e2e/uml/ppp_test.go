//go:build uml

package uml

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// pppOptions are pppd's at both ends. Its scripts are the host's, and are for a host's own lines.
var pppOptions = []string{
	"nodetach", "noauth", "nodefaultroute", "noipv6", "ip-up-script", "/bin/true", "ip-down-script", "/bin/true",
}

// pppTimeout is for the negotiation, which repeats what is lost after 3 s.
const pppTimeout = 30 * time.Second

// connectPPP runs PPP over a pseudo-terminal: A's pppd starts B's, and is its line.
func connectPPP(t *testing.T, l *lab.Lab, k *kind) {
	far := append([]string{"ip", "netns", "exec", l.B.Name, "pppd", "notty", "local", k.address(2) + ":" + k.address(1)}, pppOptions...)
	near := append([]string{"pty", strings.Join(far, " "), "local", k.address(1) + ":" + k.address(2)}, pppOptions...)
	awaitPPP(t, l, k, start(t, l.A.Command("pppd", near...)))
}

// connectPPPoE makes a PPPoE session over the veth pair: A's end in the kernel, B's in the server's process.
func connectPPPoE(t *testing.T, l *lab.Lab, k *kind) {
	options := filepath.Join(t.TempDir(), "options")
	if err := os.WriteFile(options, []byte("noauth\nnoipv6\nip-up-script /bin/true\nip-down-script /bin/true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	server := start(t, l.B.Command("pppoe-server", "-F", "-I", lab.IfName, "-L", k.address(2), "-R", k.address(1), "-N", "1", "-O", options))
	client := start(t, l.A.Command("pppd", append([]string{"plugin", "rp-pppoe.so", "nic-" + lab.IfName}, pppOptions...)...))
	awaitPPP(t, l, k, func() string { return server() + client() })
}

// start starts a command, which ends with the test, and returns what shows its output so far.
func start(t *testing.T, cmd *exec.Cmd) (said func() string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = file, file
	ended, err := lab.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // pppd and pppoe-server end their children on it
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		file.Close()
	})
	return func() string {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			return err.Error()
		}
		return string(bytes.TrimSpace(text))
	}
}

// awaitPPP waits until both ends have their addresses.
func awaitPPP(t *testing.T, l *lab.Lab, k *kind, said func() string) {
	t.Helper()
	deadline := time.Now().Add(pppTimeout)
	for n, end := range []*lab.NS{l.A, l.B} {
		want := fmt.Sprintf("inet %s peer", k.address(n+1))
		for !strings.Contains(end.Run(t, "sh", "-c", "ip -4 addr show dev "+k.device+" 2>&1 || true"), want) {
			if time.Now().After(deadline) {
				t.Fatalf("no %s with the address %s after %v: %s", k.device, k.address(n+1), pppTimeout, said())
			}
			time.Sleep(100 * time.Millisecond)
		}
		// As many packets as a window has may wait; 3 by default.
		end.Run(t, "ip", "link", "set", k.device, "txqueuelen", "1000")
	}
}
