package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/bench/netpath"
	"tcp-stream-exporter/internal/netns"
	"tcp-stream-exporter/internal/promserver"
)

const (
	device        = "tun0" // of the clients, and of the server
	lanDevice     = "lan0" // of the router, towards the clients
	wanDevice     = "wan0" // and towards the server
	clientNet     = "10.1.0.0"
	clientHost    = "10.1.0." // and the number of a client
	firstClient   = 11
	serverAddress = "10.2.0.2"

	exporterInside   = "127.0.0.1:9100" // in the router's namespace
	prometheusInside = "127.0.0.1:9090"

	startTimeout = 30 * time.Second // until the exporter answers, on a busy machine
	folderPrefix = "tcp-stream-exporter-demo-"
)

// scene is all that a demo consists of.
type scene struct {
	ends                   []lab.End
	client, router, server lab.End
	paths                  []*netpath.Path
	folder                 string
	exporter               *exec.Cmd
	exporterEnded          <-chan struct{}
	said                   lines // by the exporter
	prometheus             *promserver.Server
	rulesNote              string
	stopTraffic            func()
}

// newScene makes a scene; nil without an error if ctx has ended meanwhile. Nothing is left behind without a scene, nor
// of a run before that was killed.
func newScene(ctx context.Context, o *options) (*scene, error) {
	sweepFolders()
	s := &scene{}
	if err := s.setUp(ctx, o); err != nil {
		closing := s.close()
		if ctx.Err() != nil {
			return nil, closing
		}
		return nil, errors.Join(err, closing)
	}
	return s, nil
}

func (s *scene) setUp(ctx context.Context, o *options) (err error) {
	if s.folder, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", folderPrefix, os.Getpid())); err != nil {
		return err
	}
	if s.ends, err = lab.NewNamespaces("-c", "-r", "-s"); err != nil {
		return err
	}
	s.client, s.router, s.server = s.ends[0], s.ends[1], s.ends[2]
	for _, leg := range []struct {
		from, to                 lab.End
		device, peer, at, peerAt string
		config                   netpath.Config
	}{
		{s.client, s.router, device, lanDevice, "10.1.0.2/24", "10.1.0.1/24", o.clientLeg()},
		{s.router, s.server, wanDevice, device, "10.2.0.1/24", serverAddress + "/24", o.serverLeg()},
	} {
		a, err := leg.from.Tun(leg.device, leg.at)
		if err != nil {
			return err
		}
		b, err := leg.to.Tun(leg.peer, leg.peerAt)
		if err != nil {
			return errors.Join(err, syscall.Close(a))
		}
		path, err := netpath.Start(a, b, leg.config)
		if err != nil {
			return errors.Join(err, syscall.Close(a), syscall.Close(b))
		}
		s.paths = append(s.paths, path)
	}
	steps := [][]string{
		{"-n", s.client.Namespace, "route", "add", "default", "dev", device},
		{"-n", s.server.Namespace, "route", "add", "default", "dev", device},
	}
	for n := range o.clients {
		steps = append(steps, []string{"-n", s.client.Namespace, "addr", "add", clientHost + strconv.Itoa(firstClient+n) + "/24", "dev", device})
	}
	for _, args := range steps {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
	}
	// /proc/sys/net shows the namespace of the thread that opens it.
	if err := s.router.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }); err != nil {
		return fmt.Errorf("forwarding: %w", err)
	}
	if err := s.startExporter(ctx, o.exporter); err != nil {
		return err
	}
	if s.stopTraffic, err = startTraffic(s.client, s.server, o.clients); err != nil {
		return err
	}
	files, err := ruleFiles(o.rules)
	if err != nil {
		return err
	}
	if len(files) > 0 {
		s.rulesNote = fmt.Sprintf(" (rules and alerts: %d files of %s)", len(files), o.rules)
	}
	s.prometheus, err = promserver.Start(ctx, promserver.Config{
		Namespace: s.router.Namespace, Address: prometheusInside, Dir: s.folder, YAML: configuration(files),
	})
	return err
}

// startExporter starts the exporter on the router and waits until it is ready.
func (s *scene) startExporter(ctx context.Context, program string) error {
	program, err := filepath.Abs(program)
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		return fmt.Errorf("-exporter %w: make build makes it", err)
	}
	s.exporter = s.router.Command(program, "-interface", lanDevice, "-port", exporterInside,
		"-group", "clients="+clientNet+"/24", "-group", "servers=10.2.0.0/24")
	s.exporter.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is for the demo, which stops it
	s.exporter.Stdout, s.exporter.Stderr = &s.said, &s.said
	if s.exporterEnded, err = netns.Start(s.exporter); err != nil {
		s.exporter = nil
		return fmt.Errorf("-exporter %s: %w", program, err)
	}
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DialContext: dialIn(s.router, nil), DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		resp, err := client.Get("http://" + exporterInside + "/-/ready")
		if err == nil {
			_ = resp.Body.Close() // a line
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-s.exporterEnded:
			return fmt.Errorf("-exporter %s: ended at once: %v: %s", program, s.exporter.ProcessState, s.said.last())
		case <-ctx.Done():
			return fmt.Errorf("-exporter %s: is not ready: %w", program, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// close ends and removes everything that there is.
func (s *scene) close() error {
	if s.prometheus != nil {
		s.prometheus.Stop()
	}
	if s.stopTraffic != nil {
		s.stopTraffic()
	}
	if s.exporter != nil {
		_ = s.exporter.Process.Kill() // one that has ended is no matter
		<-s.exporterEnded
	}
	var errs []error
	for _, p := range s.paths {
		_, _, err := p.Stop()
		errs = append(errs, err)
	}
	errs = append(errs, lab.RemoveNamespaces(s.ends))
	if s.folder != "" {
		errs = append(errs, os.RemoveAll(s.folder))
	}
	return errors.Join(errs...)
}

// sweepFolders removes the folders of runs that were killed, as netns.Sweep does their namespaces.
func sweepFolders() {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	for _, folder := range folders {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), folderPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(folder) // another run may be faster
		}
	}
}

// lines keeps the last line that is written to it.
type lines struct {
	mu   sync.Mutex
	line string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	l.line = all[len(all)-1]
	return len(b), nil
}

func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.line
}
