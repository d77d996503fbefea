//go:build packages

package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	defaults = "etc/default/tcp-stream-exporter"
	unitFile = "usr/lib/systemd/system/tcp-stream-exporter.service"
)

// installed are the files of a package for Debian, without the folder of its documents.
var installed = []string{
	"usr/bin/tcp-stream-exporter",
	unitFile,
	"usr/lib/systemd/system/tcp-stream-exporter@.service",
	"usr/lib/systemd/system/tcp-stream-exporter.socket",
	"usr/lib/sysusers.d/tcp-stream-exporter.conf",
	defaults,
	"usr/share/man/man1/tcp-stream-exporter.1.gz",
	"usr/share/bash-completion/completions/tcp-stream-exporter",
	"usr/share/zsh/vendor-completions/_tcp-stream-exporter",
}

var documents = []string{"copyright", "changelog.gz", "changelog.Debian.gz", "third-party-licences"}

// TestPackageDebian takes each build through its life on a Debian without a running systemd: installed, upgraded,
// removed, purged.
func TestPackageDebian(t *testing.T) {
	for _, c := range []struct {
		name, build string
		sysusers    bool // or else adduser makes the user
	}{{"libpcap", "", true}, {"static", "-static", true}, {"static, adduser", "-static", false}} {
		t.Run(c.name, func(t *testing.T) {
			root := debian(t)
			dpkg := func(args ...string) string { return run(t, "chroot", append([]string{root, "dpkg"}, args...)...) }
			if !c.sysusers {
				if err := os.Remove(filepath.Join(root, "usr/bin/systemd-sysusers")); err != nil {
					t.Fatal(err)
				}
			}
			newDeb := deb(t, newerPackages(t), c.build)
			for from, to := range map[string]string{
				deb(t, *dist, c.build): "tmp/old.deb", newDeb: "tmp/new.deb", withDefaults(t, newDeb, newerDefaults): "tmp/defaults.deb",
			} {
				install(t, from, filepath.Join(root, to))
			}
			before := sortedListing(t, root)

			dpkg("-i", "/tmp/old.deb")
			pkg := "tcp-stream-exporter" + c.build
			for _, name := range slices.Concat(installed, []string{"usr/share/doc/" + pkg + "/third-party-licences"}) {
				checkMode(t, root, name)
			}
			for _, name := range documents {
				checkMode(t, root, "usr/share/doc/"+pkg+"/"+name)
			}
			if got := strings.TrimSpace(run(t, "chroot", root, "dpkg-query", "-W", "-f=${Conffiles}", pkg)); !strings.HasPrefix(got, "/"+defaults+" ") || strings.Contains(got, "\n") {
				t.Errorf("conffiles %q, want %s alone", got, defaults)
			}
			entry := run(t, "chroot", root, "getent", "passwd", user)
			if f := strings.Split(strings.TrimSpace(entry), ":"); len(f) != 7 || f[6] != "/usr/sbin/nologin" {
				t.Errorf("the user's entry %q, want one that cannot log in", entry)
			}
			if strings.Contains(contents(t, root, "etc/shadow"), user+":$") {
				t.Error("the user has a password")
			}
			if wants, _ := filepath.Glob(filepath.Join(root, "etc/systemd/system/*.wants/tcp-stream-exporter*")); len(wants) > 0 {
				t.Errorf("enabled by the installation: %q", wants)
			}
			for _, name := range append([]string{socket}, units...) {
				own, err := os.ReadFile(name)
				if err != nil || contents(t, root, "usr/lib/systemd/system/"+name) != string(own) {
					t.Errorf("the unit %s is another than the package's: %v", name, err)
				}
			}
			if said := run(t, "chroot", root, "systemd-analyze", "verify", "--man=no", unit, instance("eth0"), socket); said != "" {
				t.Errorf("systemd-analyze verify:\n%s", said)
			}
			captures(t, root)

			// Flags that nobody has changed are the package's.
			dpkg("-i", "/tmp/defaults.deb")
			if got := contents(t, root, defaults); got != newerDefaults {
				t.Errorf("after the upgrade %s has %q, want the newer package's", defaults, got)
			}
			dpkg("-i", "/tmp/old.deb")
			changed := "# mine\nSTREAM_EXPORTER_PARAMETERS=\"-interface lo\"\n"
			if err := os.WriteFile(filepath.Join(root, defaults), []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
			dpkg("-i", "/tmp/new.deb")
			if got := contents(t, root, defaults); got != changed {
				t.Errorf("after the upgrade %s has %q, want what it was changed to", defaults, got)
			}
			if said := run(t, "chroot", root, "tcp-stream-exporter", "-version"); !strings.Contains(said, newer) {
				t.Errorf("after the upgrade: %s", said)
			}
			// Where both have changed dpkg asks. This is the answer that it proposes.
			dpkg("--force-confold", "-i", "/tmp/defaults.deb")
			if got := contents(t, root, defaults); got != changed {
				t.Errorf("after an upgrade with other defaults %s has %q, want what it was changed to", defaults, got)
			}
			if got := contents(t, root, defaults+".dpkg-dist"); got != newerDefaults {
				t.Errorf("beside the changed flags is %q, want the newer package's", got)
			}

			// As "systemctl enable" does it.
			wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
			if err := os.Symlink("/"+unitFile, filepath.Join(wants, unit)); err != nil {
				t.Fatal(err)
			}
			dpkg("-r", pkg)
			left := added(before, sortedListing(t, root))
			if want := []string{defaults, defaults + ".dpkg-dist"}; !slices.Equal(left, want) {
				t.Errorf("after the removal are left %q, want %q", left, want)
			}
			dpkg("-P", pkg)
			if left := added(before, sortedListing(t, root)); len(left) > 0 {
				t.Errorf("after the purge are left %q", left)
			}
		})
	}
}

// newerDefaults are the flags of a newer package that brings other ones.
const newerDefaults = "# newer\nSTREAM_EXPORTER_PARAMETERS=\"-wait\"\n"

// withDefaults returns a copy of a package with other flags in it.
func withDefaults(t *testing.T, deb, flags string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "package")
	run(t, "dpkg-deb", "--raw-extract", deb, dir)
	put(t, dir, defaults, flags)
	copied := dir + ".deb"
	run(t, "dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", dir, copied)
	return copied
}

// checkMode wants a file of root's, executable if it is the program, that nobody else may write.
func checkMode(t *testing.T, root, name string) {
	t.Helper()
	want := "644 0 0 regular file\n"
	if name == program {
		want = "755 0 0 regular file\n"
	}
	if got := run(t, "stat", "-c", "%a %u %g %F", filepath.Join(root, name)); got != want {
		t.Errorf("%s: %swant %s", name, got, want)
	}
}

// captures wants the installed program to capture on lo of a network namespace, as its user with CAP_NET_RAW alone, and
// not to do so without it.
func captures(t *testing.T, root string) {
	t.Helper()
	const script = `set -e
ip link set lo up
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
exec chroot "$1" setpriv --reuid=tcp-stream-exporter --regid=tcp-stream-exporter --clear-groups --no-new-privs \
	--bounding-set=-all,+net_raw --inh-caps=-all,+$2 --ambient-caps=-all,+$2 tcp-stream-exporter -check -interface lo`
	try := func(capability string) ([]byte, error) {
		return exec.Command("unshare", "--net", "--mount", "sh", "-c", strings.ReplaceAll(script, ",+$2", capability), "sh", root).CombinedOutput()
	}
	if out, err := try(",+net_raw"); err != nil {
		t.Errorf("capture with CAP_NET_RAW: %v\n%s", err, out)
	}
	if out, err := try(""); err == nil {
		t.Errorf("capture without a capability, want an error\n%s", out)
	}
}
