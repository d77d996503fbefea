package deploy_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/need"
)

// attempts are things the service may or may not do. Each leaves the process and the machine as they
// were, so that TestAttempts can make them with all rights as well.
var attempts = []struct {
	name string
	try  func() error
	want error // under the unit's sandbox; nil: allowed
}{
	{"open a packet socket with a TPACKET_V3 ring", openRing, nil},
	{"list the network interfaces", listInterfaces, nil},
	{"listen for HTTP", listen, nil},
	{"ask for huge pages", hugePages, nil},
	{"wake a poll by an eventfd", eventfd, nil},
	{"read the boot time, for process_start_time_seconds", read("/proc/stat"), nil},
	{"read the table of routes", read("/proc/net/route"), nil},
	{"read the drops before the packet socket", read("/proc/net/softnet_stat"), nil},
	{"read an interface's own drops", read("/sys/class/net/lo/statistics/rx_dropped"), nil},

	{"map memory writable and executable", writableCode, unix.EPERM},
	{"choose its processor (@resources)", setAffinity, unix.EPERM},
	{"set its priority (@resources)", setPriority, unix.EPERM},
	{"give a file away (@privileged)", chown, unix.EPERM},
	{"enter a namespace of its own", newNamespace, unix.EPERM},
	{"make a set-user-id file", setUserID, unix.EPERM},
}

// hidden are paths that exist in the machine and are out of the service's sight or reach.
var hidden = []struct {
	name string
	try  func() error
	want error
}{
	{"see process 1", read("/proc/1/status"), unix.ENOENT},
	{"read a home", read("/home/readable"), unix.EACCES},
	{"write where the mode of the folder lets everybody", func() error { return os.WriteFile("/srv/new", nil, 0o644) }, unix.EROFS},
}

// probe stands in for the exporter in the unit: it makes all attempts and prints one line each.
func probe(w io.Writer) {
	for _, a := range append(attempts, hidden...) {
		fmt.Fprintf(w, "%s: %v\n", a.name, a.try())
	}
	fmt.Fprintln(w, "done")
}

// TestSandbox runs the probe under the unit.
func TestSandbox(t *testing.T) {
	m := boot(t, os.Args[0], map[string]string{unit: ""})
	m.waitFor(func() error {
		if !strings.HasSuffix(m.read(serviceLog), "done\n") {
			return fmt.Errorf("the probe did not get to its end")
		}
		return nil
	})
	said := strings.Split(m.read(serviceLog), "\n")
	for i, a := range append(attempts, hidden...) {
		got := strings.TrimPrefix(said[i], a.name+": ")
		switch {
		case a.want == nil && got != "<nil>":
			t.Errorf("the service must %s: %s", a.name, got)
		case a.want != nil && !strings.HasSuffix(got, a.want.Error()):
			t.Errorf("the service must not %s: %s, want %v", a.name, got, a.want)
		}
	}
}

// TestAttempts makes the attempts as root without a sandbox: all succeed, so that a refusal in
// TestSandbox is the unit's doing.
func TestAttempts(t *testing.T) {
	need.Root(t)
	for _, a := range attempts {
		if err := a.try(); err != nil {
			t.Errorf("%s: %v", a.name, err)
		}
	}
}

func openRing() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return err
	}
	req := unix.TpacketReq3{Block_size: 1 << 18, Block_nr: 4, Frame_size: 2048, Frame_nr: 4 << 18 / 2048}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return err
	}
	ring, err := unix.Mmap(fd, 0, 4<<18, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	return unix.Munmap(ring)
}

func listInterfaces() error {
	_, err := net.InterfaceByName("lo")
	return err
}

func listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return l.Close()
}

func hugePages() error {
	m, err := unix.Mmap(-1, 0, 4<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	defer unix.Munmap(m)
	if err := unix.Madvise(m, unix.MADV_HUGEPAGE); err != unix.EINVAL { // EINVAL: a kernel without huge pages
		return err
	}
	return nil
}

func eventfd() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func read(path string) func() error {
	return func() error {
		_, err := os.ReadFile(path)
		return err
	}
}

func writableCode() error {
	m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	return unix.Munmap(m)
}

func setAffinity() error {
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		return err
	}
	return unix.SchedSetaffinity(0, &cpus)
}

func setPriority() error {
	kernelNice, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // 20 - nice: getpriority(2), C library/kernel differences
	if err != nil {
		return err
	}
	return unix.Setpriority(unix.PRIO_PROCESS, 0, 20-kernelNice)
}

func chown() error {
	f, err := os.CreateTemp("", "")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	return f.Chown(os.Getuid(), os.Getgid()) // to whom it belongs already: no right is lacking, only the call
}

func newNamespace() error {
	got := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and the namespace with it
		got <- unix.Unshare(unix.CLONE_NEWUTS)
	}()
	return <-got
}

func setUserID() error {
	f, err := os.CreateTemp("", "")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	return f.Chmod(0o700 | os.ModeSetuid)
}
