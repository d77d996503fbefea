package deploy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestService runs the exporter itself under the unit and a real systemd: it captures on lo as an
// unprivileged user with CAP_NET_RAW alone and behind the system call filter, serves /metrics, is started
// again after an end by a signal, and stops within two seconds with status 0.
func TestService(t *testing.T) {
	port := freePort(t)
	filter := fmt.Sprintf("tcp and port %d", port)
	m := boot(t, exporter(t), map[string]string{unit: fmt.Sprintf("-interface lo -port 127.0.0.1:%d -packet-filter '%s'", port, filter)})

	// Each scrape is itself traffic that the filter lets pass, so the count must rise.
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	m.waitFor(func() error {
		n, err := packets(client, port)
		if err == nil && n == 0 {
			err = fmt.Errorf("no packet was captured")
		}
		return err
	})

	pid := m.servicePID()
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	if args := strings.Split(string(cmdline), "\x00"); len(args) != 8 || args[6] != filter {
		t.Errorf("arguments %q: the quoted filter must stay in one piece", args)
	}
	netRaw := fmt.Sprintf("%016x", uint64(1)<<unix.CAP_NET_RAW)
	id := strings.TrimSpace(strings.Repeat(strconv.Itoa(userID)+" ", 4)) // real, effective, saved, file system
	got := status(t, pid)
	for key, want := range map[string]string{
		"Uid": id, "Gid": id, "NoNewPrivs": "1", "Seccomp": "2", // 2: a filter
		"CapInh": netRaw, "CapPrm": netRaw, "CapEff": netRaw, "CapBnd": netRaw, "CapAmb": netRaw,
	} {
		if got[key] != want {
			t.Errorf("/proc/PID/status: %s is %q, want %q", key, got[key], want)
		}
	}

	// A log reader that has died and a hang-up end nothing; after any other end it is back, though systemd takes
	// SIGTERM, as SIGHUP and SIGPIPE, for a clean one.
	main := func() string { return m.systemctl("show", unit, "--property=MainPID") }
	before := main()
	for _, signal := range []unix.Signal{unix.SIGHUP, unix.SIGPIPE} {
		if err := unix.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		if _, err := packets(client, port); err != nil || main() != before {
			t.Errorf("after %v: %v, %sbefore %s", signal, err, main(), before)
		}
	}
	m.systemctl("reload", unit)
	if _, err := packets(client, port); err != nil || main() != before {
		t.Errorf("after systemctl reload: %v, %sbefore %s", err, main(), before)
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.waitFor(func() error {
		if now := main(); now == before || now == "MainPID=0\n" {
			return fmt.Errorf("the service has not come back: %s", now)
		}
		_, err := packets(client, port)
		return err
	})

	begin := time.Now()
	m.systemctl("stop", unit)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the stop took %v, want at most 2s", took)
	}
	ended := m.systemctl("show", unit, "--property=Result,ExecMainCode,ExecMainStatus,NRestarts")
	for _, want := range []string{
		"Result=success\n",
		"ExecMainCode=1\n", // CLD_EXITED: by itself, not by the signal
		"ExecMainStatus=0\n",
		"NRestarts=1\n",
	} {
		if !strings.Contains(ended, want) {
			t.Errorf("the end of the service:\n%swant %s", ended, want)
		}
	}
}

// TestInstances runs the exporter twice under the unit for one interface: an instance captures on the interface that it
// is called after, and one of an interface that does not exist yet serves and waits instead of being started again.
func TestInstances(t *testing.T) {
	const later = "tse-later.10" // "-" and "." stay as they are
	here, waits := freePort(t), freePort(t)
	flags := func(port int) string {
		return fmt.Sprintf("-port 127.0.0.1:%d -packet-filter 'tcp and port %d'", port, port)
	}
	m := boot(t, exporter(t), map[string]string{instance("lo"): flags(here), instance(later): flags(waits)})

	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	m.waitFor(func() error {
		n, err := packets(client, here)
		if err == nil && n == 0 {
			err = fmt.Errorf("no packet was captured")
		}
		return err
	})
	m.waitFor(func() error {
		exists, err := value(client, waits, `tcp_stream_exporter_interface_exists{interface="`+later+`"}`)
		if err == nil && exists != 0 {
			err = fmt.Errorf("%s exists", later)
		}
		return err
	})
	for _, iface := range []string{"lo", later} {
		if got := m.systemctl("show", instance(iface), "--property=NRestarts,ActiveState"); got != "NRestarts=0\nActiveState=active\n" {
			t.Errorf("%s: %q", iface, got)
		}
		m.systemctl("stop", instance(iface))
	}
}

// exporter returns the program's file; it is built for the first test that asks.
func exporter(t *testing.T) string {
	t.Helper()
	exe, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

var built = sync.OnceValues(func() (string, error) {
	dir, err := sharedDir()
	if err != nil {
		return "", err
	}
	exe := filepath.Join(dir, "tcp-stream-exporter")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", exe, "..").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return exe, nil
})

// packets returns capture_packets_processed_total of one scrape.
func packets(client *http.Client, port int) (uint64, error) {
	return value(client, port, "capture_packets_processed_total")
}

// value returns the value of a series without fraction, of one scrape.
func value(client *http.Client, port int, series string) (uint64, error) {
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return strconv.ParseUint(strings.TrimSpace(v), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s and no %s in %d bytes", resp.Status, series, len(body))
}

// status returns the fields of /proc/PID/status with single spaces.
func status(t *testing.T, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[key] = strings.Join(strings.Fields(value), " ")
		}
	}
	return fields
}

// freePort returns a TCP port of loopback that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
