//go:build packages

package deploy_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/netns"
)

// bootDebian boots the Debian of a folder, with all of its own units, in a container of systemd-nspawn. Its network is a
// namespace of the test's. It waits until multi-user.target is reached.
func bootDebian(t *testing.T, root string, ns *lab.NS) *machine {
	t.Helper()
	need.Tool(t, "systemd-nspawn")
	cgroup, fd := newCgroup(t)
	console, err := os.Create(filepath.Join(filepath.Dir(root), "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	// Without a systemd on the host nobody gives nspawn a unit or registers it. The mount hides cgroups of version 1: the
	// container is to have version 2 alone, as Debian boots by itself. What nspawn leaves when it is killed ends with
	// process 1 of this namespace, which is the shell: nspawn would log elsewhere as process 1. Its folders in /run are the
	// container's alone. CAP_NET_ADMIN is there, as on a host, so that the unit is what keeps it from the service.
	const script = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
systemd-nspawn --quiet --boot --register=no --keep-unit --link-journal=no --console=pipe \
	--capability=CAP_NET_ADMIN --machine="$2" --network-namespace-path="/run/netns/$2" --directory="$1"
exit 0`
	cmd := exec.Command("sh", "-c", script, "sh", root, ns.Name)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, UseCgroupFD: true, CgroupFD: fd}
	ended, err := netns.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, root: root, cgroup: filepath.Join(cgroup, "payload"), ended: ended}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := m.try("journalctl", "--no-pager", "-n", "100", "-o", "short-monotonic", "-u", unit)
			said, _ := os.ReadFile(console.Name())
			t.Logf("journal:\n%s\nconsole:\n%s", log, said)
		}
		cmd.Process.Kill()
		<-ended
	})
	m.waitFor(func() error {
		text, err := os.ReadFile(filepath.Join(m.cgroup, "init.scope/cgroup.procs"))
		if err != nil {
			return err
		}
		m.pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return fmt.Errorf("processes of init.scope %q, want one", text)
		}
		if said, err := m.try("systemctl", "is-active", "multi-user.target"); err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	})
	return m
}

// try runs a program inside the machine and returns what it says.
func (m *machine) try(args ...string) (string, error) {
	out, err := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(m.pid), "-m", "-p", "--"}, args...)...).CombinedOutput()
	return string(out), err
}

// do is try, for what must not fail.
func (m *machine) do(args ...string) string {
	m.t.Helper()
	said, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("%q: %v\n%s", args, err, said)
	}
	return said
}

// show returns a property of the service.
func (m *machine) show(property string) string {
	m.t.Helper()
	return strings.TrimSpace(m.do("systemctl", "show", "--value", "-p", property, unit))
}

// visitor asks the exporter of a booted machine from the other end of a veth pair.
type visitor struct {
	m    *machine
	lab  *lab.Lab
	http *http.Client
}

func (v visitor) get(path string) (*http.Response, string, error) {
	resp, err := v.http.Get("http://" + v.lab.B.Addr.String() + ":9100" + path)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp, string(body), err
}

// serves waits until the exporter serves and has captured.
func (v visitor) serves() {
	v.m.t.Helper()
	v.m.waitFor(func() error {
		_, body, err := v.get("/metrics")
		if err != nil {
			return err
		}
		metrics, err := lab.ParseMetrics(strings.NewReader(body))
		if err == nil && metrics["capture_packets_processed_total"] == 0 {
			err = fmt.Errorf("no packet was captured")
		}
		return err
	})
}

// captures sends bytes over the veth pair and wants them among the streams.
func (v visitor) captures() {
	v.m.t.Helper()
	const sent = 1 << 20
	lab.Transfer{From: v.lab.A, To: v.lab.B, Forth: sent}.Run(v.m.t)
	v.m.waitFor(func() error {
		_, body, err := v.get("/metrics")
		if err != nil {
			return err
		}
		metrics, err := lab.ParseMetrics(strings.NewReader(body))
		if err != nil {
			return err
		}
		for series, value := range metrics {
			if strings.HasPrefix(series, "tcp_bytes_transferred_total{") && value >= sent {
				return nil
			}
		}
		return fmt.Errorf("no stream has the %d bytes that were sent", sent)
	})
}

// TestPackageBooted takes the package through its life on a Debian that has booted: neither enabled nor started by its
// installation, serving and capturing with CAP_NET_RAW alone once enabled, reloaded, back after SIGKILL and after a boot,
// restarted by an upgrade if it runs and not if it does not, replaced by the other build, stopped by its removal.
func TestPackageBooted(t *testing.T) {
	root := debian(t)
	for from, to := range map[string]string{
		deb(t, *dist, ""): "opt/old.deb", deb(t, newerPackages(t), ""): "opt/new.deb", deb(t, newerPackages(t), "-static"): "opt/static.deb",
	} {
		install(t, from, filepath.Join(root, to))
	}
	l := lab.New(t)
	m := bootDebian(t, root, l.B)
	v := visitor{m, l, l.A.HTTPClient(5 * time.Second)}

	m.do("dpkg", "-i", "/opt/old.deb")
	if got, want := m.show("ActiveState")+" "+m.show("UnitFileState"), "inactive disabled"; got != want {
		t.Errorf("after the installation the service is %s, want %s", got, want)
	}
	m.do("dpkg", "-i", "/opt/new.deb")
	m.do("dpkg", "-i", "/opt/old.deb") // downgrades are upgrades to a package
	if got := m.show("ActiveState"); got != "inactive" {
		t.Errorf("after the upgrade of a service that did not run it is %s", got)
	}

	const groups = "etc/tcp-stream-exporter.groups"
	flags := fmt.Sprintf("STREAM_EXPORTER_PARAMETERS=\"-interface %s -packet-filter 'tcp' -groups /%s\"\n", lab.IfName, groups)
	put(t, root, groups, "lab 10.99.0.0/16\n")
	put(t, root, defaults, flags)
	m.do("systemctl", "enable", "--now", unit)
	v.serves()
	v.captures()
	if resp, page, err := v.get("/"); err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || !strings.Contains(page, "</html>") {
		t.Errorf("the page: %v, %d bytes, %q", err, len(page), page[:min(len(page), 200)])
	}
	id := strings.TrimSpace(m.do("id", "-u", user))
	if id == "0" {
		t.Error("the user is root")
	}
	netRaw := fmt.Sprintf("%016x", uint64(1)<<unix.CAP_NET_RAW)
	got := status(t, m.servicePID())
	for key, want := range map[string]string{
		"Uid": strings.TrimSpace(strings.Repeat(id+" ", 4)), "NoNewPrivs": "1", "Seccomp": "2", // 2: a filter
		"CapInh": netRaw, "CapPrm": netRaw, "CapEff": netRaw, "CapBnd": netRaw, "CapAmb": netRaw,
	} {
		if got[key] != want {
			t.Errorf("/proc/PID/status: %s is %q, want %q", key, got[key], want)
		}
	}

	before := m.show("MainPID")
	m.do("systemctl", "reload", unit)
	m.waitFor(func() error {
		if log := m.do("journalctl", "--no-pager", "-o", "cat", "-u", unit); !strings.Contains(log, "groups read again") {
			return fmt.Errorf("after systemctl reload the groups are not read again:\n%s", log)
		}
		return nil
	})
	if after := m.show("MainPID"); after != before {
		t.Errorf("systemctl reload: the process is %s, it was %s", after, before)
	}

	for _, step := range []struct{ name, file string }{
		{"an upgrade", "/opt/new.deb"}, {"the other build", "/opt/static.deb"}, {"the first build again", "/opt/old.deb"},
	} {
		before := m.show("MainPID")
		m.do("dpkg", "-i", step.file)
		v.serves()
		if after := m.show("MainPID"); after == before || after == "0" {
			t.Errorf("%s: the service's process is %s, it was %s: not restarted", step.name, after, before)
		}
		if got := m.show("UnitFileState"); got != "enabled" {
			t.Errorf("%s: the service is %s, want enabled as it was", step.name, got)
		}
		if got := contents(t, root, defaults); got != flags {
			t.Errorf("%s: the flags are now %q", step.name, got)
		}
	}

	before = m.show("MainPID")
	m.do("systemctl", "kill", "--signal=KILL", unit)
	m.waitFor(func() error {
		if now := m.show("MainPID"); now == "0" || now == before {
			return fmt.Errorf("after SIGKILL the service has not come back")
		}
		return nil
	})
	v.serves()
	v.captures()

	m.do("systemctl", "--no-block", "poweroff")
	select {
	case <-m.ended:
	case <-time.After(time.Minute):
		t.Fatal("the machine has not powered off within a minute")
	}
	m = bootDebian(t, root, l.B)
	v.m = m
	v.serves()

	m.do("dpkg", "-r", "tcp-stream-exporter")
	if _, _, err := v.get("/metrics"); err == nil {
		t.Error("after the removal the service still serves")
	}
	if got := m.show("LoadState") + " " + m.show("ActiveState"); got != "not-found inactive" && got != "not-found failed" {
		t.Errorf("after the removal the unit is %s", got)
	}
	if exists(root, unitFile) || exists(root, "etc/systemd/system/multi-user.target.wants/"+unit) {
		t.Error("after the removal a unit is left behind")
	}
	m.do("dpkg", "-P", "tcp-stream-exporter", "tcp-stream-exporter-static")
	if exists(root, defaults) {
		t.Errorf("after the purge %s is left", defaults)
	}
}
