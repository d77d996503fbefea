package app

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/need"
)

// TestSignalsWhileServing sends SIGHUP, then lets the reader of the log die: the exporter serves on and
// ends with status 0.
func TestSignalsWhileServing(t *testing.T) {
	need.Root(t)
	log, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(buildExporter(t), "-interface", "lo", "-port", "127.0.0.1:0", "-debug", "-numblocks", "4", "-max-connections", "1000")
	cmd.Stderr = theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	defer cmd.Process.Kill()
	watchdog := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer watchdog.Stop()

	lines := bufio.NewScanner(log)
	address := ""
	for address == "" && lines.Scan() {
		_, rest, _ := strings.Cut(lines.Text(), " address=")
		address, _, _ = strings.Cut(rest, " ")
	}
	scrape := func() error {
		resp, err := http.Get(fmt.Sprintf("http://%s/metrics", address))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := scrape(); err != nil {
		t.Fatal(err)
	}
	hangUp := func() {
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangUp()
	if !lines.Scan() || !strings.Contains(lines.Text(), "level=DEBUG") || !strings.Contains(lines.Text(), "SIGHUP") {
		t.Errorf("after SIGHUP the log says %q, want a debug line", lines.Text())
	}
	log.Close()
	hangUp() // another line, which nobody reads
	time.Sleep(200 * time.Millisecond)
	if err := scrape(); err != nil {
		t.Errorf("without a reader of the log: %v", err)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended: its status says so
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("ended with %v, want exit status 0", cmd.ProcessState)
	}
}

// TestReadIntoAClosedPipe is -read FILE | head: the end is quiet.
func TestReadIntoAClosedPipe(t *testing.T) {
	out, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out.Close()
	cmd := exec.Command(buildExporter(t), "-read", captureFile(t, talk(client, server, 0)...))
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = theirs, &said
	_ = cmd.Run() // the status says all
	theirs.Close()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGPIPE {
		t.Errorf("ended with %v, want SIGPIPE", cmd.ProcessState)
	}
	if said.Len() != 0 {
		t.Errorf("it says %q, want nothing", said.String())
	}
}

// TestOutputErrors writes where there is no space: an exit status above zero and one line.
func TestOutputErrors(t *testing.T) {
	exe := buildExporter(t)
	for _, args := range [][]string{
		{"-version"}, {"-help"},
		{"-read", captureFile(t, talk(client, server, 0)...)},
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, args...)
		var said strings.Builder
		cmd.Stdout, cmd.Stderr = full, &said
		_ = cmd.Run() // the status says all
		full.Close()
		if status := cmd.ProcessState.ExitCode(); status != exitFailure || strings.Count(said.String(), "\n") != 1 ||
			!strings.Contains(said.String(), "no space left on device") {
			t.Errorf("%s: exit status %d, %q, want %d and one line", args[0], status, said.String(), exitFailure)
		}
	}
}

// TestASecondSignalEndsAtOnce sends two signals right behind one another to an exporter that takes half a
// second for the first: a scraper has sent half a request.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	need.Root(t)
	exe := buildExporter(t)
	for _, signals := range [][2]syscall.Signal{
		{syscall.SIGTERM, syscall.SIGTERM}, {syscall.SIGINT, syscall.SIGINT}, {syscall.SIGTERM, syscall.SIGINT},
	} {
		log, theirs, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		cmd := exec.Command(exe, "-interface", "lo", "-port", "127.0.0.1:0", "-numblocks", "4", "-max-connections", "1000")
		cmd.Stderr = theirs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		theirs.Close()
		watchdog := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer watchdog.Stop()
		line, err := bufio.NewReader(log).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(line, " address=")
		address, _, _ := strings.Cut(rest, " ")
		half, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer half.Close()
		if _, err := io.WriteString(half, "GET /metrics HTTP/1.1\r\nHost: "); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // the server has begun to read it

		_ = cmd.Process.Signal(signals[0])
		time.Sleep(20 * time.Millisecond) // equal signals that come at once are one to the kernel
		begin := time.Now()
		_ = cmd.Process.Signal(signals[1])
		_ = cmd.Wait() // the status says all
		t.Logf("ended %v after the second signal", time.Since(begin))
		if status := cmd.ProcessState.ExitCode(); status != signalled+int(signals[1]) {
			t.Errorf("%v and %v: ended with %v, want exit status %d", signals[0], signals[1], cmd.ProcessState, signalled+int(signals[1]))
		}
	}
}

// TestSignalsWhileReading ends -read while it waits for more of its input.
func TestSignalsWhileReading(t *testing.T) {
	exe := buildExporter(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		in, theirs, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		cmd := exec.Command(exe, "-read", "-")
		cmd.Stdin = in
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in.Close()
		watchdog := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer watchdog.Stop()
		header, err := os.ReadFile(captureFile(t, talk(client, server, 0)...))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Write(header[:len(header)-1]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond) // it reads
		begin := time.Now()
		_ = cmd.Process.Signal(sig)
		_ = cmd.Wait() // the status says all
		t.Logf("ended %v after %v", time.Since(begin), sig)
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != sig {
			t.Errorf("ended with %v, want %v", cmd.ProcessState, sig)
		}
	}
}
