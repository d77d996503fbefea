package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

const namespaces = "/run/netns" // where ip-netns(8) keeps them

// Do runs f on a thread in e's namespace. Sockets that f opens stay in it. What f starts in other
// goroutines is not in it.
func (e End) Do(f func() error) error { return In(e.Namespace, f) }

// In runs f on a thread in the namespace that ip netns knows by the given name.
func In(namespace string, f func() error) error {
	done := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, so that nobody else gets it.
		runtime.LockOSThread()
		done <- func() error {
			fd, err := unix.Open(filepath.Join(namespaces, namespace), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("lab: namespace %s: %w", namespace, err)
			}
			defer unix.Close(fd)
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("lab: setns to %s: %w (needs root)", namespace, err)
			}
			return f()
		}()
	}()
	return <-done
}

// Command is exec.Command for a program in e's namespace.
func (e End) Command(name string, args ...string) *exec.Cmd {
	argv := e.argv(append([]string{name}, args...)...)
	return exec.Command(argv[0], argv[1:]...)
}

func (e End) argv(argv ...string) []string {
	return append([]string{"ip", "netns", "exec", e.Namespace}, argv...)
}

// remove deletes a namespace if it exists.
func remove(namespace string) error {
	if _, err := os.Stat(filepath.Join(namespaces, namespace)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return run("", []string{"ip", "netns", "del", namespace})
}

// lockDir holds one file per living pair, named after it and locked by its process.
func lockDir() string { return filepath.Join(os.TempDir(), "tcp-stream-exporter-lab") }

// takeLock makes and locks the file of a pair.
func takeLock(name string) (*os.File, error) {
	if err := os.MkdirAll(lockDir(), 0o755); err != nil {
		return nil, fmt.Errorf("lab: folder for locks: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(lockDir(), name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lab: lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: lock %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// sweep removes the pairs whose process has gone without Close: the kernel has given up their locks.
func sweep() error {
	entries, err := os.ReadDir(lockDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lab: folder of locks: %w", err)
	}
	for _, entry := range entries {
		if err := sweepOne(entry.Name()); err != nil {
			return err
		}
	}
	return nil
}

func sweepOne(name string) error {
	path := filepath.Join(lockDir(), name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // closed meanwhile
	}
	if err != nil {
		return fmt.Errorf("lab: lock: %w", err)
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil // in use
	}
	if err := errors.Join(remove(name+"-a"), remove(name+"-b")); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("lab: lock: %w", err)
	}
	return nil
}
