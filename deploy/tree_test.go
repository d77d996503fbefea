package deploy_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	unit     = "tcp-stream-exporter.service"
	template = "tcp-stream-exporter@.service"
	socket   = "tcp-stream-exporter.socket"
	user     = "tcp-stream-exporter"
	userID   = 60123 // of the user made for the tests; any number but root's
	program  = "usr/bin/tcp-stream-exporter"
)

// units are the files that are installed.
var units = []string{unit, template}

// instance returns the service of the template for an interface.
func instance(iface string) string { return "tcp-stream-exporter@" + iface + ".service" }

// options returns the file with the flags of a service, or of the one behind a socket.
func options(service string) string {
	return "etc/default/" + strings.ReplaceAll(strings.TrimSuffix(service, filepath.Ext(service)), "@", "-")
}

// newTree fills a folder with what the units refer to, as after an installation: the program, its
// user, the units themselves, and empty targets in place of the system's. params are the flags by service.
func newTree(t *testing.T, exe string, params map[string]string) string {
	t.Helper()
	root := t.TempDir()
	put(t, root, "etc/passwd", fmt.Sprintf("root:x:0:0::/:/bin/false\n%s:x:%d:%d::/:/bin/false\n", user, userID, userID))
	put(t, root, "etc/group", fmt.Sprintf("root:x:0:\n%s:x:%d:\n", user, userID))
	for service, flags := range params {
		put(t, root, options(service), "STREAM_EXPORTER_PARAMETERS=\""+flags+"\"\n")
	}
	for _, name := range []string{"sysinit", "basic", "network", "shutdown", "multi-user", "sockets"} {
		put(t, root, "etc/systemd/system/"+name+".target", "[Unit]\nDescription="+name+"\nDefaultDependencies=no\n")
	}
	for _, name := range append([]string{socket}, units...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		put(t, root, "etc/systemd/system/"+name, string(text))
	}
	install(t, exe, filepath.Join(root, program))
	install(t, "/bin/sh", filepath.Join(root, "usr/bin/sh")) // of ExecReload
	return root
}

// put writes root/name, readable by all.
func put(t *testing.T, root, name, text string) {
	t.Helper()
	file := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// install copies a program.
func install(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
