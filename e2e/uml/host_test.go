//go:build uml

package uml

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	kernelProgram = "linux.uml"
	kernelMemory  = "512M"
	kernelTimeout = 19 * time.Minute // boot and all tests; below the timeout that make test-uml gives to go test

	// The kernel's serial lines.
	testsLine  = "ttyS0" // what the tests say
	statusLine = "ttyS1" // their exit status, at the end
)

func kernelIsThere() bool {
	_, err := exec.LookPath(kernelProgram)
	return err == nil
}

// runKernel boots the kernel with this test binary as its init, and returns the exit status of the tests inside. The
// kernel's own messages are written to standard error if the tests did not come to an end.
func runKernel() (status int, err error) {
	folder, err := os.MkdirTemp("", "uml-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(folder)
	build := exec.Command("go", "build", "-C", "../..", "-o", filepath.Join(folder, exporterFile), ".")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("cannot build the exporter: %w\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	if err := os.WriteFile(filepath.Join(folder, argumentsFile), []byte(strings.Join(arguments(), "")), 0o644); err != nil {
		return 1, err
	}
	here, err := os.Getwd()
	if err != nil {
		return 1, err
	}

	ctx, cancel := context.WithTimeout(context.Background(), kernelTimeout)
	defer cancel()
	kernel := exec.CommandContext(ctx, kernelProgram, "mem="+kernelMemory, "umid="+filepath.Base(folder), "uml_dir="+folder,
		"rootfstype=hostfs", "rootflags=/", "ro", "init="+self, "panic=-1", // a panic ends it
		"con=null", "con0=null,fd:1", "ssl=null", "ssl0=null,fd:3", "ssl1=null,fd:4",
		// What the kernel does not know goes into the environment of init.
		folderVariable+"="+folder, "PWD="+here, "CI="+os.Getenv("CI"))
	var messages, said bytes.Buffer
	kernel.Stdout, kernel.Stderr = &messages, &messages
	// Its processes are processes of the host, which go with the first of their namespace. That one goes with the
	// thread that started it (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	kernel.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	kernel.WaitDelay = 10 * time.Second
	var copied []<-chan error
	for _, to := range []io.Writer{os.Stdout, &said} {
		r, w, err := os.Pipe()
		if err != nil {
			return 1, err
		}
		defer r.Close()
		defer w.Close()
		kernel.ExtraFiles = append(kernel.ExtraFiles, w)
		done := make(chan error, 1)
		copied = append(copied, done)
		go func() {
			_, err := io.Copy(to, r)
			done <- err
		}()
	}
	err = kernel.Run()
	for n, w := range kernel.ExtraFiles {
		w.Close() // the reader's end has come, once the kernel has closed it too
		err = errors.Join(err, <-copied[n])
	}
	status, e := strconv.Atoi(strings.TrimSpace(said.String()))
	if e != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("not done within %v: %w", kernelTimeout, err)
		}
		return 1, errors.Join(errors.New("the tests did not come to an end; the kernel said:\n"+messages.String()), err)
	}
	return status, nil
}

// arguments returns this test binary's for the tests inside, where nothing of the host can be written.
func arguments() []string {
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(arg string) bool {
		return strings.HasPrefix(arg, "-test.testlogfile=")
	})
	for i := range args {
		args[i] += "\x00"
	}
	return args
}
