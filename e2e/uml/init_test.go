//go:build uml

package uml

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// modules are what the tests need beside what is built in.
var modules = []string{
	"veth", "8021q", "bonding", "macvlan", "ipvlan", "vrf", "vxlan", "bridge",
	"ipip", "sit", "ip_gre", "ip6_gre", "ip6_tunnel",
	"ppp_async", "pppoe", "sch_netem", "tun",
}

// runInit is process 1 of the kernel. It ends with the kernel.
func runInit(folder string) {
	status := 1
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	} else if status, err = runTests(folder); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	} else if err := os.WriteFile("/dev/"+statusLine, fmt.Appendln(nil, status), 0); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintln(os.Stderr, "init: power off:", err)
	}
	time.Sleep(time.Hour) // init must not end before the kernel
}

// prepare mounts what is not the host's, and loads the modules.
func prepare() error {
	for _, m := range []struct{ fs, on, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""}, // /dev is mounted already (CONFIG_DEVTMPFS_MOUNT)
		{"devpts", "/dev/pts", "ptmxmode=0666"},
		{"tmpfs", "/run", ""},
	} {
		if err := os.MkdirAll(m.on, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fs, m.on, m.fs, 0, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.on, err)
		}
	}
	if err := os.Mkdir("/run/tmp", 0o1777); err != nil {
		return err
	}
	os.Setenv("TMPDIR", "/run/tmp")
	os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	os.Setenv("HOME", "/root")
	// The package keeps its modules where modprobe does not look.
	const root = "/run/kernel"
	if err := os.MkdirAll(root+"/lib", 0o755); err != nil {
		return err
	}
	if err := os.Symlink("/usr/lib/uml/modules", root+"/lib/modules"); err != nil {
		return err
	}
	if out, err := exec.Command("modprobe", append([]string{"-d", root, "-a"}, modules...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("modprobe: %w: %s", err, out)
	}
	return nil
}

// runTests runs the tests, reaps what they leave, and returns their exit status.
func runTests(folder string) (status int, err error) {
	args, err := os.ReadFile(filepath.Join(folder, argumentsFile))
	if err != nil {
		return 1, err
	}
	line, err := openLine(testsLine)
	if err != nil {
		return 1, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 1, err
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return 1, err
	}
	tests, err := os.StartProcess(self, append([]string{self}, strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")...),
		&os.ProcAttr{Dir: os.Getenv("PWD"), Files: []*os.File{null, line, line}})
	if err != nil {
		return 1, err
	}
	for {
		var ws unix.WaitStatus
		switch pid, err := unix.Wait4(-1, &ws, 0, nil); {
		case err == unix.EINTR || err == nil && pid != tests.Pid:
		case err != nil:
			return 1, fmt.Errorf("wait4: %w", err)
		case ws.Exited():
			return ws.ExitStatus(), nil
		default:
			return 1, fmt.Errorf("the tests were ended by %v", ws.Signal())
		}
	}
}

// openLine opens a serial line, which is to change nothing of what is written.
func openLine(name string) (*os.File, error) {
	line, err := os.OpenFile("/dev/"+name, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	settings, err := unix.IoctlGetTermios(int(line.Fd()), unix.TCGETS)
	if err == nil {
		settings.Oflag &^= unix.OPOST
		err = unix.IoctlSetTermios(int(line.Fd()), unix.TCSETS, settings)
	}
	return line, err
}
