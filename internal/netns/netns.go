// Package netns gives tests and tools network namespaces by the names of ip-netns(8): it draws names, enters
// namespaces, and removes those that killed processes have left.
package netns

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	folder = "/run/netns" // where ip-netns(8) keeps them
	prefix = "lab-"       // starts every name; the process id and random digits follow
)

// NewName draws the beginning of this process's names for some namespaces that belong together, after Sweep.
func NewName() string {
	Sweep()
	var r [4]byte
	rand.Read(r[:])
	return fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), hex.EncodeToString(r[:]))
}

// Sweep removes the namespaces of processes that were killed before they could do so.
func Sweep() {
	names, _ := filepath.Glob(filepath.Join(folder, prefix+"*"))
	for _, path := range names {
		name := filepath.Base(path)
		pid, err := strconv.Atoi(strings.SplitN(strings.TrimPrefix(name, prefix), "-", 2)[0])
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = exec.Command("ip", "netns", "del", name).Run() // another process may be faster: no matter
		}
	}
}

// Exists reports whether there is a namespace of this name.
func Exists(name string) bool {
	_, err := os.Stat(filepath.Join(folder, name))
	return !errors.Is(err, fs.ErrNotExist)
}

// Do runs f on a thread of its own that is in the namespace, and returns what f returns. The thread
// ends with f, so that nothing else ever runs in the namespace by mistake. Sockets that f opens stay in
// the namespace and may be used from anywhere; goroutines that f starts are not in it. f must not
// end the test (t.Fatal).
func Do(name string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the runtime ends the thread with the goroutine
		err := errors.New("netns: the function ended its goroutine")
		defer func() { done <- err }()
		if e := enter(name); e != nil {
			err = e
			return
		}
		err = f()
	}()
	return <-done
}

// enter moves the calling thread into the namespace.
func enter(name string) error {
	fd, err := unix.Open(filepath.Join(folder, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", name, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w (needs root)", name, err)
	}
	return nil
}

// Command returns a command in the namespace, /sys included.
func Command(name string, argv ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", name}, argv...)...)
}
