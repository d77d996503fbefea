package deploy_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSocket has systemd listen: the first client starts the exporter, which serves on both sockets without having bound
// any; and while it is started again clients wait instead of being refused.
func TestSocket(t *testing.T) {
	port := freePort(t)
	m := boot(t, exporter(t), map[string]string{socket: fmt.Sprintf("-interface lo -web.systemd-socket -packet-filter 'tcp and port %d'", port)},
		[2]string{"etc/systemd/system/" + socket + ".d/port.conf",
			fmt.Sprintf("[Socket]\nListenStream=\nListenStream=127.0.0.1:%d\nListenStream=/run/exporter.sock\n", port)})
	m.waitFor(func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
		}
		return err
	})
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	m.waitFor(func() error {
		n, err := packets(client, port)
		if err == nil && n == 0 {
			err = fmt.Errorf("no packet was captured")
		}
		return err
	})

	// The machine has a /run of its own, which its process 1 leads to.
	path := filepath.Join("/proc", fmt.Sprint(m.pid), "root/run/exporter.sock")
	local := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	if n, err := packets(local, port); err != nil || n == 0 {
		t.Errorf("by the Unix socket: %d packets, %v", n, err)
	}

	before := m.servicePID()
	if err := unix.Kill(before, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.waitFor(func() error { // what it has accepted it closes as it ends
		if unix.Kill(before, 0) == nil {
			return fmt.Errorf("process %d is still there", before)
		}
		return nil
	})
	if _, err := packets(client, port); err != nil {
		t.Errorf("a scrape while the exporter is started again: %v", err)
	}
	m.waitFor(func() error {
		if _, err := packets(client, port); err != nil {
			return err
		}
		if m.servicePID() == before {
			return fmt.Errorf("process %d still serves", before)
		}
		return nil
	})
	m.systemctl("stop", socket, unit)
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		t.Error("the socket is still there")
	}
}
