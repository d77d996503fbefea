package lab

import (
	"os/exec"

	"tcp-stream-exporter/internal/netns"
)

// Do runs f in e's namespace, as netns.Do does.
func (e End) Do(f func() error) error { return netns.Do(e.Namespace, f) }

// Command is exec.Command for a program in e's namespace.
func (e End) Command(name string, args ...string) *exec.Cmd {
	return netns.Command(e.Namespace, append([]string{name}, args...)...)
}

func (e End) argv(argv ...string) []string { return e.Command(argv[0], argv[1:]...).Args }

// remove deletes a namespace if it exists.
func remove(namespace string) error {
	if !netns.Exists(namespace) {
		return nil
	}
	return run("", []string{"ip", "netns", "del", namespace})
}
