package deploy_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/need"
)

// machine is a real systemd as process 1 of its own mount, process, IPC, UTS and cgroup namespaces,
// with services of the units and no others: systemd itself applies the unit's sandbox, so no copy of its
// rules has to be kept. The network is the host's, used on loopback only. Nothing of it outlives
// the test: it ends with its process 1.
type machine struct {
	t      *testing.T
	root   string // its root directory
	cgroup string // its cgroup, seen from here
	pid    int    // its process 1, seen from here
	ended  <-chan struct{}
}

// In the machine's root: standard output and error of the service, and systemd's own messages.
const (
	serviceLog = "var/log/service"
	systemdLog = "var/log/systemd"
)

// boot starts the machine with services, each with the flags that become STREAM_EXPORTER_PARAMETERS of its options, and
// with files, which are a name and a text each.
func boot(t *testing.T, exe string, services map[string]string, files ...[2]string) *machine {
	t.Helper()
	need.Root(t)
	need.Tool(t, "nsenter")
	systemctl, err := exec.LookPath("systemctl")
	if err != nil {
		need.Tool(t, "systemctl")
	}

	root := newTree(t, exe, services)
	install(t, systemctl, filepath.Join(root, "usr/bin/systemctl"))
	put(t, root, serviceLog, "")
	put(t, root, systemdLog, "")
	for _, name := range units {
		put(t, root, "etc/systemd/system/"+name+".d/log.conf",
			"[Service]\nStandardOutput=append:/"+serviceLog+"\nStandardError=append:/"+serviceLog+"\n")
	}
	put(t, root, "etc/systemd/system/test.target",
		"[Unit]\nDescription=the services alone\nDefaultDependencies=no\nWants="+strings.Join(slices.Sorted(maps.Keys(services)), " ")+"\n")
	put(t, root, "home/readable", "by all\n")
	for _, file := range files {
		put(t, root, file[0], file[1])
	}
	return start(t, root)
}

// start starts the machine of a folder, with test.target as what systemd brings up.
func start(t *testing.T, root string) *machine {
	t.Helper()
	cgroup, fd := newCgroup(t)

	log, err := os.OpenFile(filepath.Join(root, systemdLog), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{stageEnv + "=" + root}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		UseCgroupFD: true,
		CgroupFD:    fd,
		Pdeathsig:   unix.SIGKILL, // when the test binary is killed, by its timeout say
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("namespaces of its own (needs CAP_SYS_ADMIN): %v", err)
	}
	ended := make(chan struct{})
	m := &machine{t: t, root: root, cgroup: cgroup, pid: cmd.Process.Pid, ended: ended}
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() // process 1 of the namespace: the kernel ends all others with it
		<-m.ended
		if t.Failed() {
			t.Logf("service:\n%s\nsystemd:\n%s", m.read(serviceLog), m.read(systemdLog))
		}
	})
	return m
}

// waitFor fails the test unless f returns nil within a minute, or as soon as the machine is gone.
func (m *machine) waitFor(f func() error) {
	m.t.Helper()
	err := eventually(time.Minute, func() error {
		select {
		case <-m.ended:
			m.t.Fatal("the machine did not come up")
		default:
		}
		return f()
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// read returns a file of the machine.
func (m *machine) read(name string) string {
	text, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text)
}

// systemctl runs systemctl inside the machine.
func (m *machine) systemctl(args ...string) string {
	m.t.Helper()
	args = append([]string{"-t", strconv.Itoa(m.pid), "-m", "-p", "/usr/bin/systemctl"}, args...)
	out, err := exec.Command("nsenter", args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("nsenter %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// servicePID returns the process of the service without an instance, seen from here.
func (m *machine) servicePID() int {
	m.t.Helper()
	procs, err := os.ReadFile(filepath.Join(m.cgroup, "system.slice", unit, "cgroup.procs"))
	if err != nil {
		m.t.Fatalf("the service does not run: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(procs)))
	if err != nil {
		m.t.Fatalf("the service's processes %q, want one", procs)
	}
	return pid
}

// newCgroup makes a cgroup2 below this process's, and opens its folder for clone3(2). Both go with the test.
func newCgroup(t *testing.T) (dir string, fd int) {
	t.Helper()
	dir, err := os.MkdirTemp(ownCgroup(t), "tcp-stream-exporter-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeCgroup(t, dir) })
	fd, err = unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return dir, fd
}

// ownCgroup returns the folder of this process in the cgroup2 hierarchy.
func ownCgroup(t *testing.T) string {
	t.Helper()
	mount := firstLine(t, "/proc/self/mountinfo", func(f []string) (string, bool) {
		for i, s := range f { // optional fields end with "-", the type follows: proc_pid_mountinfo(5)
			if s == "-" && f[i+1] == "cgroup2" {
				return f[4], true
			}
		}
		return "", false
	})
	own := firstLine(t, "/proc/self/cgroup", func(f []string) (string, bool) {
		return strings.CutPrefix(f[0], "0::")
	})
	return filepath.Join(mount, own)
}

func firstLine(t *testing.T, file string, pick func(fields []string) (string, bool)) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if got, ok := pick(strings.Fields(s.Text())); ok {
			return got
		}
	}
	t.Fatalf("%s names no cgroup2: mount one at /sys/fs/cgroup", file)
	return ""
}

// removeCgroup removes a cgroup and those below it, once the kernel has let go of their processes.
func removeCgroup(t *testing.T, dir string) {
	err := eventually(5*time.Second, func() error {
		var below []string
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				below = append(below, path)
			}
			return nil
		})
		for i := len(below) - 1; i >= 0; i-- {
			if err := unix.Rmdir(below[i]); err != nil {
				return fmt.Errorf("rmdir %s: %w", below[i], err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// eventually tries until f returns nil or the time is up, then returns its last error.
func eventually(limit time.Duration, f func() error) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
