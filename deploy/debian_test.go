//go:build packages

package deploy_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"tcp-stream-exporter/internal/need"
)

var (
	dist = flag.String("dist", "../dist", "folder with the packages of make packages")
	tree = flag.String("debian", "", "folder with what debootstrap has made, instead of making one")
)

// run runs a program and returns what it says; it fails the test if the program does.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// one returns the only file that a pattern has in a folder.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s/%s: %q, %v, want one file: make packages builds it", dir, pattern, found, err)
	}
	return found[0]
}

// newer is the version of the packages that upgrades are tried with.
const newer = "99.0.0"

var newerDist = sync.OnceValues(func() (string, error) {
	dir, err := sharedDir()
	if err != nil {
		return "", err
	}
	return dir, build("..", dir, "VERSION=v"+newer, "ARCHES="+runtime.GOARCH)
})

// build builds the packages of sources into a folder.
func build(sources, dir string, env ...string) error {
	cmd := exec.Command(filepath.Join(sources, "deploy/packages/build.sh"))
	cmd.Env = append(os.Environ(), append(env, "DIST="+dir)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build.sh: %w\n%s", err, out)
	}
	return nil
}

// newerPackages returns a folder with the packages of the newer version.
func newerPackages(t *testing.T) string {
	t.Helper()
	dir, err := newerDist()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// deb and rpm return a package of this machine's processor. The build is "" with libpcap, or "-static".
func deb(t *testing.T, dir, build string) string {
	return one(t, dir, "tcp-stream-exporter"+build+"_*_"+runtime.GOARCH+".deb")
}

func rpm(t *testing.T, dir string) string {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	return one(t, dir, "tcp-stream-exporter-static-*."+arch+".rpm")
}

var bootstrapped = sync.OnceValues(func() (string, error) {
	if *tree != "" {
		return *tree, nil
	}
	suite, err := exec.Command("sh", "-c", `. /etc/os-release && echo "$VERSION_CODENAME"`).Output()
	if err != nil {
		return "", err
	}
	dir, err := sharedDir()
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the root of a system, which its users pass through
		return "", err
	}
	out, err := exec.Command("debootstrap", "--variant=minbase", "--include=systemd,adduser,libpcap0.8",
		strings.TrimSpace(string(suite)), dir).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("debootstrap: %w\n%s", err, out)
	}
	return dir, nil
})

// debian returns a folder with a small Debian of the machine's release, of this test alone.
func debian(t *testing.T) string {
	t.Helper()
	need.Root(t)
	need.Tool(t, "debootstrap")
	base, err := bootstrapped()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "debian")
	run(t, "cp", "-a", base, root)
	return root
}

// listing returns the files below a root, but for dpkg's own and those that adding a user writes.
func listing(t *testing.T, root string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		switch {
		case strings.HasPrefix(name, "run/"), // gone with the next boot
			strings.HasPrefix(name, "var/lib/dpkg/"), strings.HasPrefix(name, "var/log/"), strings.HasPrefix(name, "var/lib/rpm"):
		case slices.Contains([]string{"etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/.pwd.lock"}, name):
		default:
			all = append(all, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// added returns what is in after and not in before.
func added(before, after []string) (more []string) {
	for _, name := range after {
		if _, found := slices.BinarySearch(before, name); !found {
			more = append(more, name)
		}
	}
	return more
}

// sortedListing is listing in the order of strings, as added wants it.
func sortedListing(t *testing.T, root string) []string {
	all := listing(t, root)
	slices.Sort(all)
	return all
}

// exists reports whether root has the file, or a link that leads nowhere.
func exists(root, name string) bool {
	_, err := os.Lstat(filepath.Join(root, name))
	return err == nil
}

// contents returns the text of a file below root.
func contents(t *testing.T, root, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
