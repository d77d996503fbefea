package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// stageEnv names the root directory of a machine. With it set, the test binary is process 1 of the
// machine's namespaces: it lays out the file systems and becomes systemd.
const stageEnv = "DEPLOY_TEST_MACHINE_ROOT"

// sharedDirs are folders of several tests, which go with the last.
var sharedDirs []string

// sharedDir makes a folder that stays until all tests have ended.
func sharedDir() (string, error) {
	dir, err := os.MkdirTemp("", "tcp-stream-exporter-test-")
	if err == nil {
		sharedDirs = append(sharedDirs, dir)
	}
	return dir, err
}

func TestMain(m *testing.M) {
	if root := os.Getenv(stageEnv); root != "" {
		fmt.Fprintln(os.Stderr, becomeSystemd(root))
		os.Exit(1)
	}
	if os.Args[0] == "/"+program { // run by the unit in place of the exporter
		probe(os.Stdout)
		return
	}
	code := m.Run()
	for _, dir := range sharedDirs {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// becomeSystemd returns only with an error.
func becomeSystemd(root string) error {
	runtime.LockOSThread() // the cgroup namespace below is the thread's until exec
	at := func(name string) string { return filepath.Join(root, name) }
	for i, step := range []func() error{
		func() error { return mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }, // nothing below reaches the host
		func() error { return mount(root, root, "", unix.MS_BIND, "") },             // pivot_root(2) wants a mount point
		func() error { return programs(root) },
		func() error { return devices(at("dev")) },
		func() error { return bindFile(at(systemdLog), at("dev/console")) }, // where systemd writes its messages
		func() error { return mount("proc", at("proc"), "proc", 0, "") },
		func() error { return readOnly("/proc/sys", at("proc/sys")) }, // systemd raises limits there: not the host's
		func() error { return readOnly("/sys", at("sys")) },
		func() error { return unix.Unshare(unix.CLONE_NEWCGROUP) },
		func() error { return mount("cgroup2", at("sys/fs/cgroup"), "cgroup2", 0, "") },
		func() error { return mount("tmpfs", at("run"), "tmpfs", 0, "mode=755") },
		func() error { return mount("tmpfs", at("tmp"), "tmpfs", 0, "mode=1777") },
		func() error { return mount("tmpfs", at("var/tmp"), "tmpfs", 0, "mode=1777") },
		func() error { return mount("tmpfs", at("srv"), "tmpfs", 0, "mode=1777") }, // all may write, but for the sandbox
		func() error { return os.MkdirAll(at("old"), 0o755) },
		func() error { return unix.PivotRoot(root, at("old")) },
		func() error { return unix.Chdir("/") },
		func() error { return unix.Unmount("/old", unix.MNT_DETACH) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("step %d of laying out the machine: %w", i, err)
		}
	}
	const systemd = "/lib/systemd/systemd"
	args := []string{systemd, "--system", "--unit=test.target", "--log-target=console", "--show-status=no"}
	env := []string{"container=test", "SYSTEMD_UNIT_PATH=/etc/systemd/system"}
	return fmt.Errorf("exec %s: %w", systemd, unix.Exec(systemd, args, env))
}

// programs shows the host's programs and libraries read-only, but for /usr/bin, which is the machine's own.
func programs(root string) error {
	for _, dir := range []string{"/", "/usr"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			from := filepath.Join(dir, e.Name())
			if dir == "/" && !codeFolder(e.Name()) || from == "/usr/bin" {
				continue
			}
			to := filepath.Join(root, from)
			switch {
			case e.Type()&os.ModeSymlink != 0:
				target, err := os.Readlink(from)
				if err != nil {
					return err
				}
				if err := os.Symlink(target, to); err != nil {
					return err
				}
			case e.IsDir():
				if err := readOnly(from, to); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func codeFolder(name string) bool {
	switch name {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32":
		return true
	}
	return false
}

// devices makes a /dev of the harmless nodes.
func devices(dev string) error {
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bindFile("/dev/"+name, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"pts", "shm"} {
		if err := os.MkdirAll(filepath.Join(dev, name), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func bindFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(to, nil, 0o644); err != nil {
		return err
	}
	return mount(from, to, "", unix.MS_BIND, "")
}

func readOnly(from, to string) error {
	if err := mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// mount mounts on a folder, which it makes if need be, or on a file that exists.
func mount(source, target, fstype string, flags uintptr, data string) error {
	if _, err := os.Lstat(target); err != nil {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}
