package perfdata

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Dirty ends the build of a tree with changes that are not committed.
const Dirty = "-dirty"

// OriginOf says what is measured, where and when: the commit in the folder root, this machine, today.
func OriginOf(ctx context.Context, root string) (o Origin, err error) {
	commit, err := git(ctx, root, "rev-parse", "--short", "HEAD")
	if err != nil {
		return o, err
	}
	// What this program and command plots write does not make another build.
	changes, err := git(ctx, root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!PERF.md", ":!docs/perf")
	if err != nil {
		return o, err
	}
	if changes != "" {
		commit += Dirty
	}
	o.Build = commit + ", " + time.Now().UTC().Format(time.DateOnly)
	o.Machine, err = machine(ctx)
	return o, err
}

// git runs git in a folder and returns what it printed.
func git(ctx context.Context, root string, args ...string) (string, error) {
	// The folder may belong to another user than root, which git refuses by default.
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*", "-C", root}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build of -root %s: git %s: %w: %s", root, args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// machine describes this machine: properties separated by "; ".
func machine(ctx context.Context) (string, error) {
	processor, err := labelled("/proc/cpuinfo", "model name")
	if err != nil {
		processor = runtime.GOARCH // of other processors the kernel tells no name
	}
	memory, err := labelled("/proc/meminfo", "MemTotal")
	if err != nil {
		return "", err
	}
	kib, err := strconv.ParseUint(strings.TrimSuffix(memory, " kB"), 10, 64)
	if err != nil {
		return "", fmt.Errorf("/proc/meminfo: MemTotal %q: %w", memory, err)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	goVersion, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOVERSION: %w", err)
	}
	return strings.Join([]string{
		processor, fmt.Sprintf("%d CPUs", runtime.NumCPU()), fmt.Sprintf("%d GiB", (kib+1<<19)>>20),
		"Linux " + unix.ByteSliceToString(name.Release[:]),
		"Go " + strings.TrimPrefix(strings.TrimSpace(string(goVersion)), "go"), "transparent huge pages " + hugePages(),
	}, "; "), nil
}

// hugePages is the setting of transparent huge pages, the one in brackets of "always [madvise] never".
func hugePages() string {
	text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil {
		return "not in this kernel"
	}
	_, from, _ := strings.Cut(string(text), "[")
	setting, _, _ := strings.Cut(from, "]")
	return setting
}

// labelled returns the value of the first line "label : value" of a file in /proc.
func labelled(path, label string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == label {
			return strings.TrimSpace(value), nil
		}
	}
	return "", errors.New(path + " has no " + label)
}
