package deploy_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

const (
	unit    = "tcp-stream-exporter.service"
	user    = "tcp-stream-exporter"
	userID  = 60123 // of the user made for the tests; any number but root's
	program = "usr/bin/tcp-stream-exporter"
	options = "etc/default/tcp-stream-exporter"
)

// newTree fills a folder with what the unit refers to, as after an installation: the program, its
// user, its options, the unit itself, and empty targets in place of the system's.
func newTree(t *testing.T, exe, params string) string {
	t.Helper()
	root := t.TempDir()
	put(t, root, "etc/passwd", fmt.Sprintf("root:x:0:0::/:/bin/false\n%s:x:%d:%d::/:/bin/false\n", user, userID, userID))
	put(t, root, "etc/group", fmt.Sprintf("root:x:0:\n%s:x:%d:\n", user, userID))
	put(t, root, options, "STREAM_EXPORTER_PARAMETERS=\""+params+"\"\n")
	for _, name := range []string{"sysinit", "basic", "network", "shutdown", "multi-user"} {
		put(t, root, "etc/systemd/system/"+name+".target", "[Unit]\nDescription="+name+"\nDefaultDependencies=no\n")
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	put(t, root, "etc/systemd/system/"+unit, string(text))
	install(t, exe, filepath.Join(root, program))
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
