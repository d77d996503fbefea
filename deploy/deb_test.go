//go:build packages

package deploy_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
			for from, to := range map[string]string{deb(t, *dist, c.build): "tmp/old.deb", deb(t, newerPackages(t), c.build): "tmp/new.deb"} {
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

			// As "systemctl enable" does it.
			wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
			if err := os.Symlink("/"+unitFile, filepath.Join(wants, unit)); err != nil {
				t.Fatal(err)
			}
			dpkg("-r", pkg)
			left := added(before, sortedListing(t, root))
			if want := []string{defaults}; !slices.Equal(left, want) {
				t.Errorf("after the removal are left %q, want %q", left, want)
			}
			dpkg("-P", pkg)
			if left := added(before, sortedListing(t, root)); len(left) > 0 {
				t.Errorf("after the purge are left %q", left)
			}
		})
	}
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

// TestPackageUnderSystemd takes the package through its life beside a running systemd: neither enabled nor started,
// restarted by an upgrade if it runs and not if it does not, replaced by the other build, stopped by its removal.
func TestPackageUnderSystemd(t *testing.T) {
	root := debian(t)
	for from, to := range map[string]string{
		deb(t, *dist, ""): "opt/old.deb", deb(t, newerPackages(t), ""): "opt/new.deb", deb(t, newerPackages(t), "-static"): "opt/static.deb",
	} {
		install(t, from, filepath.Join(root, to))
	}
	// Nothing but the service: no targets pull in what a container cannot do.
	for _, pattern := range []string{"usr/lib/systemd/system/*.wants", "etc/systemd/system/*.wants"} {
		dirs, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"test", "sysinit", "basic", "network", "shutdown", "multi-user", "sockets"} {
		put(t, root, "etc/systemd/system/"+name+".target", "[Unit]\nDescription="+name+"\nDefaultDependencies=no\n")
	}
	put(t, root, serviceLog, "")
	put(t, root, systemdLog, "")
	put(t, root, "etc/systemd/system/"+unit+".d/log.conf",
		"[Service]\nStandardOutput=append:/"+serviceLog+"\nStandardError=append:/"+serviceLog+"\n")
	m := start(t, root, wholeEnv)
	inside := func(args ...string) (string, error) {
		out, err := exec.Command("nsenter", append([]string{"-t", fmt.Sprint(m.pid), "-m", "-p", "--"}, args...)...).CombinedOutput()
		return string(out), err
	}
	do := func(args ...string) string {
		t.Helper()
		said, err := inside(args...)
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, said)
		}
		return said
	}
	m.waitFor(func() error {
		said, err := inside("systemctl", "is-active", "test.target")
		if err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	})
	state := func(what string) string {
		return strings.TrimSpace(do("systemctl", "show", "--value", "-p", what, unit))
	}

	do("dpkg", "-i", "/opt/old.deb")
	if got, want := state("ActiveState")+" "+state("UnitFileState"), "inactive disabled"; got != want {
		t.Errorf("after the installation the service is %s, want %s", got, want)
	}
	do("dpkg", "-i", "/opt/new.deb")
	do("dpkg", "-i", "/opt/old.deb") // downgrades are upgrades to a package
	if got := state("ActiveState"); got != "inactive" {
		t.Errorf("after the upgrade of a service that did not run it is %s", got)
	}

	port := freePort(t)
	put(t, root, defaults, fmt.Sprintf("STREAM_EXPORTER_PARAMETERS=\"-interface lo -port 127.0.0.1:%d -packet-filter 'tcp'\"\n", port))
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	serves := func() {
		t.Helper()
		m.waitFor(func() error {
			n, err := packets(client, port)
			if err == nil && n == 0 {
				err = fmt.Errorf("no packet was captured")
			}
			return err
		})
	}
	do("systemctl", "enable", "--now", unit)
	serves()
	if user, caps := status(t, m.servicePID())["Uid"], status(t, m.servicePID())["CapEff"]; strings.HasPrefix(user, "0") || caps != "0000000000002000" {
		t.Errorf("the service has users %s and capabilities %s, want CAP_NET_RAW alone", user, caps)
	}

	for _, step := range []struct{ name, file string }{
		{"an upgrade", "/opt/new.deb"}, {"the other build", "/opt/static.deb"}, {"the first build again", "/opt/old.deb"},
	} {
		before := state("MainPID")
		do("dpkg", "-i", step.file)
		serves()
		if after := state("MainPID"); after == before || after == "0" {
			t.Errorf("%s: the service's process is %s, it was %s: not restarted", step.name, after, before)
		}
		if got := state("UnitFileState"); got != "enabled" {
			t.Errorf("%s: the service is %s, want enabled as it was", step.name, got)
		}
		if got := contents(t, root, defaults); !strings.Contains(got, fmt.Sprint(port)) {
			t.Errorf("%s: the flags are now %q", step.name, got)
		}
	}

	before := state("MainPID")
	do("systemctl", "kill", "--signal=KILL", unit)
	m.waitFor(func() error {
		if now := state("MainPID"); now == "0" || now == before {
			return fmt.Errorf("after SIGKILL the service has not come back")
		}
		return nil
	})
	serves()

	do("dpkg", "-r", "tcp-stream-exporter")
	if _, err := packets(client, port); err == nil {
		t.Error("after the removal the service still serves")
	}
	if got := state("LoadState") + " " + state("ActiveState"); got != "not-found inactive" && got != "not-found failed" {
		t.Errorf("after the removal the unit is %s", got)
	}
	if exists(root, unitFile) || exists(root, "etc/systemd/system/multi-user.target.wants/"+unit) {
		t.Error("after the removal a unit is left behind")
	}
	do("dpkg", "-P", "tcp-stream-exporter", "tcp-stream-exporter-static")
	if exists(root, defaults) {
		t.Errorf("after the purge %s is left", defaults)
	}
}
