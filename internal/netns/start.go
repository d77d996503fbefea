package netns

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts cmd and returns a channel that is closed when it has ended; cmd.ProcessState has the
// result. The kernel kills the command when the thread that started it ends (prctl(2),
// PR_SET_PDEATHSIG), so one thread is kept for it as long as it runs.
func Start(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the result stays in cmd.ProcessState
			close(done)
		}
	}()
	return done, <-started
}
