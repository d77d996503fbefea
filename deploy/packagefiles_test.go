//go:build packages

package deploy_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/manual"
	"tcp-stream-exporter/internal/need"
)

// TestPackageRPM lists the .rpm, and takes it through its life on a root of its own, whose other files do not matter.
func TestPackageRPM(t *testing.T) {
	need.Tool(t, "rpm")
	old := rpm(t, *dist)
	want := slices.Clone(installed)
	i := slices.Index(want, "usr/share/zsh/vendor-completions/_tcp-stream-exporter")
	want[i] = "usr/share/zsh/site-functions/_tcp-stream-exporter"
	for _, doc := range []string{"doc/tcp-stream-exporter-static/CHANGELOG.md", "doc/tcp-stream-exporter-static/third-party-licences", "licenses/tcp-stream-exporter-static/LICENSE"} {
		want = append(want, "usr/share/"+doc)
	}
	var got []string
	for line := range strings.Lines(run(t, "rpm", "-qpl", old)) {
		got = append(got, strings.Trim(line, "/\n"))
	}
	folders := []string{"usr/share/doc/tcp-stream-exporter-static", "usr/share/licenses/tcp-stream-exporter-static"}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(slices.Concat(want, folders))); !slices.Equal(got, want) {
		t.Errorf("the .rpm has\n%q, want\n%q", got, want)
	}

	root := debian(t)
	do := func(args ...string) {
		t.Helper()
		run(t, "rpm", append([]string{"--root=" + root, "--nodeps", "--force-debian"}, args...)...)
	}
	before := sortedListing(t, root)
	do("-i", old)
	for _, name := range want {
		checkMode(t, root, name)
	}
	run(t, "chroot", root, "getent", "passwd", user)
	changed := "STREAM_EXPORTER_PARAMETERS=\"-interface lo\"\n"
	if err := os.WriteFile(filepath.Join(root, defaults), []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	do("-U", rpm(t, newerPackages(t)))
	if got := contents(t, root, defaults); got != changed {
		t.Errorf("after the upgrade %s has %q, want what it was changed to", defaults, got)
	}
	if said := run(t, "chroot", root, "tcp-stream-exporter", "-version"); !strings.Contains(said, newer) {
		t.Errorf("after the upgrade: %s", said)
	}
	do("-e", "tcp-stream-exporter-static")
	left := slices.DeleteFunc(added(before, sortedListing(t, root)), func(name string) bool {
		return strings.HasPrefix(name, "usr/lib/sysimage") || strings.HasPrefix(name, "root/.rpmdb") || // rpm's own
			name == "usr/share/licenses" || name == "usr/share/zsh/site-functions" // where rpm is at home, of the packages filesystem and zsh
	})
	if want := []string{defaults + ".rpmsave"}; !slices.Equal(left, want) {
		t.Errorf("after the removal are left %q, want %q", left, want)
	}
}

// What lintian and rpmlint say that stays, and why. A tag that no longer comes has to go from here.
var lintianStays = map[string]string{
	"binary-has-unneeded-section":                            "the C compiler's name, 30 bytes",
	"hardening-no-bindnow":                                   "of C code, which here only compiles filters, before the capture",
	"hardening-no-fortify-functions":                         "the same",
	"hardening-no-pie":                                       "Go checks bounds, and code at fixed addresses is faster",
	"initial-upload-closes-no-bugs":                          "the package is not for Debian's own archive",
	"maintainer-script-needs-depends-on-adduser":             "it is the last of three alternatives, and asked for only where the others are not",
	"package-supports-alternative-init-but-no-init.d-script": "without systemd docs/systemd.md has the command",
	"spelling-error-in-binary":                               "words of linked modules",
}

var rpmlintStays = map[string]string{
	"only-non-binary-in-usr-lib": "units and sysusers.d belong there",
	"no-url-tag":                 "there is no home page to name",
	"no-signature":               "who releases them signs them",
	"no-binary":                  "nfpm writes no file classes, by which rpmlint tells a binary",
	"no-manual-page-for-binary":  "rpmlint 2.4 compares programs with the number of a page's section, not with its name",
	"manpage-not-compressed":     "gzip is what Debian asks for, and man reads both",
	"invalid-license":            "Apache-2.0 is SPDX's name, which Debian's rpmlint does not know yet",
}

// lint runs a checker and wants no other tags in what it says than those that stay, and all of those.
func lint(t *testing.T, stays map[string]string, tag *regexp.Regexp, said string) {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(said) {
		if m := tag.FindStringSubmatch(line); m != nil {
			seen[m[1]] = true
			if stays[m[1]] == "" {
				t.Error(strings.TrimSpace(line))
			}
		}
	}
	for name := range stays {
		if !seen[name] {
			t.Errorf("%s is listed as said and is not", name)
		}
	}
}

func TestPackageLintian(t *testing.T) {
	need.Tool(t, "lintian")
	// Its exit status says whether there are tags.
	said, _ := exec.Command("lintian", "--allow-root", "--fail-on=none", "--display-level=>=pedantic", "--no-tag-display-limit",
		deb(t, *dist, ""), deb(t, *dist, "-static")).CombinedOutput()
	lint(t, lintianStays, regexp.MustCompile(`^[EWIP]: \S+: (\S+)`), string(said))
}

func TestPackageRPMLint(t *testing.T) {
	need.Root(t)
	need.Tool(t, "rpmlint")
	// On a throw-away copy of the root: nfpm names files from the root on, and rpmlint, which unpacks them with cpio,
	// would write them there.
	const script = `set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
mkdir /mnt/root/rpm
cp "$1" /mnt/root/rpm/
exec chroot /mnt/root sh -c 'rpmlint /rpm/*.rpm'`
	said, _ := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", rpm(t, *dist)).CombinedOutput()
	if !strings.Contains(string(said), "1 packages") {
		t.Fatalf("rpmlint did not come to its end:\n%s", said)
	}
	lint(t, rpmlintStays, regexp.MustCompile(`: [EW]: (\S+)`), string(said))
}

// TestPackageReproducible builds all packages again from a copy of the sources in another folder, made at another time, by a
// user whose files nobody else may read: the same bytes.
func TestPackageReproducible(t *testing.T) {
	env := []string{"VERSION=v1.2.3-rc1", "SOURCE_DATE_EPOCH=1000000000", "ARCHES=amd64 arm64"}
	first, second := t.TempDir(), t.TempDir()
	if err := build("..", first, append(env, "TMPDIR="+t.TempDir())...); err != nil {
		t.Fatal(err)
	}
	sources := filepath.Join(t.TempDir(), "elsewhere")
	run(t, "sh", "-c", `set -e
umask 077
mkdir "$1"
git -C .. ls-files -z --cached --others --exclude-standard | tar -C .. --null --files-from=- --mode=go= -cf - | tar -C "$1" --touch -xf -`, "sh", sources)
	if err := build(sources, second, append(env, "TMPDIR="+t.TempDir())...); err != nil {
		t.Fatal(err)
	}
	sums := contents(t, first, "SHA256SUMS")
	if again := contents(t, second, "SHA256SUMS"); again != sums {
		t.Errorf("built twice:\n%sand\n%s", sums, again)
	}
	if !strings.Contains(sums, "tcp-stream-exporter_1.2.3~rc1-1_"+runtime.GOARCH+".deb\n") {
		t.Errorf("a release candidate has to sort before its release:\n%s", sums)
	}
}

// TestPackageForeign takes the packages for arm64: the same files as the others have, of their architecture, and a program
// that qemu runs.
func TestPackageForeign(t *testing.T) {
	need.Tool(t, "qemu-aarch64")
	need.Tool(t, "rpm")
	file := one(t, *dist, "tcp-stream-exporter-static_*_arm64.deb")
	dir := t.TempDir()
	run(t, "dpkg-deb", "--extract", file, dir)
	want := slices.Clone(installed)
	for _, name := range documents {
		want = append(want, "usr/share/doc/tcp-stream-exporter-static/"+name)
	}
	var got []string
	for _, name := range sortedListing(t, dir) {
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			got = append(got, name)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the package for arm64 has\n%q, want\n%q", got, want)
	}
	version := strings.TrimSpace(run(t, "dpkg-deb", "--field", file, "Version"))
	if arch := run(t, "dpkg-deb", "--field", file, "Architecture"); arch != "arm64\n" {
		t.Errorf("its architecture is %q", arch)
	}
	if arch := run(t, "rpm", "-qp", "--qf=%{ARCH}", one(t, *dist, "*.aarch64.rpm")); arch != "aarch64" {
		t.Errorf("the .rpm's architecture is %q", arch)
	}
	said := run(t, "qemu-aarch64", filepath.Join(dir, program), "-version")
	own := t.TempDir()
	run(t, "dpkg-deb", "--extract", deb(t, *dist, "-static"), own)
	if native := run(t, filepath.Join(own, program), "-version"); strings.ReplaceAll(said, "arm64", runtime.GOARCH) != native {
		t.Errorf("version %s: the program for arm64 says\n%swant what that of %s says\n%s", version, said, runtime.GOARCH, native)
	}
}

// TestPackageProgram wants each tarball's program for its processor, static or with libpcap, and the other files.
func TestPackageProgram(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(*dist, "*.tar.gz"))
	if err != nil || len(found) < 3 {
		t.Fatalf("tarballs %q, %v, want at least two static ones and one with libpcap", found, err)
	}
	for _, file := range found {
		dir := t.TempDir()
		run(t, "tar", "-C", dir, "--strip-components=1", "-xzf", file)
		exe, err := elf.Open(filepath.Join(dir, "tcp-stream-exporter"))
		if err != nil {
			t.Fatal(err)
		}
		defer exe.Close()
		if machine := map[bool]elf.Machine{true: elf.EM_AARCH64, false: elf.EM_X86_64}[strings.Contains(file, "-arm64-")]; exe.Machine != machine {
			t.Errorf("%s is for %v, want %v", file, exe.Machine, machine)
		}
		libs, err := exe.ImportedLibraries()
		if strings.Contains(file, "-static.") {
			if exe.Section(".interp") != nil || len(libs) > 0 {
				t.Errorf("%s needs a loader and %q, want nothing", file, libs)
			}
		} else if err != nil || !slices.Equal(libs, []string{"libpcap.so.0.8", "libc.so.6"}) {
			t.Errorf("%s needs %q, %v, want libpcap and libc", file, libs, err)
		}
		for _, name := range []string{"LICENSE", "third-party-licences", "tcp-stream-exporter.1", "tcp-stream-exporter.bash", "_tcp-stream-exporter", unit, template, socket} {
			if !exists(dir, name) {
				t.Errorf("%s lacks %s", file, name)
			}
		}
		// Those of the standard library, of a module, of a package below its module's root.
		texts := contents(t, dir, "third-party-licences")
		for _, want := range []string{"Go standard library", "github.com/prometheus/client_golang v", "zstd/internal/xxhash/LICENSE.txt"} {
			if !strings.Contains(texts, want) {
				t.Errorf("%s: the licences lack %s", file, want)
			}
		}
	}
}

// TestPackageManual renders the man page without a warning, and has zsh parse its completion.
func TestPackageManual(t *testing.T) {
	need.Tool(t, "man")
	need.Tool(t, "zsh")
	dir := t.TempDir()
	run(t, "tar", "-C", dir, "--strip-components=1", "-xzf", one(t, *dist, "*-"+runtime.GOARCH+"-static.tar.gz"))
	cmd := exec.Command("man", "--warnings", "-l", filepath.Join(dir, manual.Name+".1"))
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=100", "PAGER=cat")
	var warnings strings.Builder
	cmd.Stderr = &warnings
	page, err := cmd.Output()
	said := slices.DeleteFunc(slices.Collect(strings.Lines(warnings.String())), func(line string) bool {
		return strings.Contains(line, "can't break line") // a default of 100 bytes without a space
	})
	if err != nil || len(said) > 0 {
		t.Errorf("man: %v %q", err, said)
	}
	for _, name := range helpFlags(run(t, filepath.Join(dir, manual.Name), "-help")) {
		if !regexp.MustCompile(`(?m)^\s+-` + regexp.QuoteMeta(name) + `\b`).Match(page) {
			t.Errorf("the page as it is shown lacks -%s", name)
		}
	}
	run(t, "zsh", "-n", filepath.Join(dir, "_"+manual.Name))
}

// TestPackageImage has an engine build the image and show the program's version, where there is one that works.
func TestPackageImage(t *testing.T) {
	var engine string
	for _, name := range []string{"podman", "docker"} {
		if exec.Command(name, "info").Run() == nil {
			engine = name
			break
		}
	}
	if engine == "" {
		t.Log("no podman or docker that works: TestDockerfile reads the Dockerfile")
		return
	}
	dir := t.TempDir()
	run(t, "tar", "-C", dir, "--strip-components=1", "-xzf", one(t, *dist, "*-"+runtime.GOARCH+"-static.tar.gz"))
	run(t, engine, "build", "-t", "tcp-stream-exporter:test", "-f", "Dockerfile", dir)
	t.Cleanup(func() { run(t, engine, "rmi", "tcp-stream-exporter:test") })
	if said := run(t, engine, "run", "--rm", "--cap-drop", "ALL", "--cap-add", "NET_RAW", "--read-only", "--security-opt", "no-new-privileges",
		"tcp-stream-exporter:test", "-version"); !strings.HasPrefix(said, manual.Name+" ") || !strings.Contains(said, "libpcap: none") {
		t.Errorf("the image's program says %q", said)
	}
}
