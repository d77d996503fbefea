package app

import (
	"bytes"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		args string
		want []string
		flag string // by which the first one is called in messages
	}{
		{"", []string{":9100"}, "-port :9100"},
		{"-port :9101", []string{":9101"}, "-port :9101"},
		{"-web.listen-address :9101", []string{":9101"}, "-web.listen-address :9101"},
		{"-web.listen-address :9101 --web.listen-address=[::1]:9102", []string{":9101", "[::1]:9102"}, "-web.listen-address :9101"},
	} {
		o, err := parseFlags(strings.Fields(c.args), io.Discard)
		if err != nil || !slices.Equal(o.web.addresses, c.want) || o.web.flag(c.want[0]) != c.flag {
			t.Errorf("%q: %v, %v", c.args, o, err)
		}
	}
}

func TestWebFlagsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // as the error begins
	}{
		{[]string{"-port", ":9100", "-web.listen-address", ":9101"}, "-port :9100 and -web.listen-address :9101: they are two names of one setting, give only one"},
		{[]string{"-web.systemd-socket", "-port", ":9100"}, "-web.systemd-socket true and -port :9100: systemd's sockets are served, or an address, give only one"},
		{[]string{"-web.systemd-socket", "-web.listen-address", ":9100"}, "-web.systemd-socket true and -web.listen-address :9100: "},
		{[]string{"-web.listen-address", ":9100", "-web.listen-address", ":9100"}, "-web.listen-address :9100: it is there twice, leave one out"},
		{[]string{"-web.listen-address", ":9100", "-web.listen-address", "9101"}, "-web.listen-address 9101: no address: want host:port"},
		{[]string{"-web.listen-address", ""}, `-web.listen-address "": no address: want host:port`},
		{[]string{"-web.config.file", ""}, `-web.config.file "": name a file`},
		{[]string{"-web.config.file", "a", "-web.config.file", "b"}, "-web.config.file a and -web.config.file b: the flag takes one value"},
		{[]string{"-web.telemetry-path", ""}, `-web.telemetry-path "": want a path such as /metrics`},
		{[]string{"-web.telemetry-path", "metrics"}, "-web.telemetry-path metrics: want a path"},
		{[]string{"-web.telemetry-path", "/a b"}, `-web.telemetry-path "/a b": want a path`},
		{[]string{"-web.telemetry-path", "/a?b"}, "-web.telemetry-path /a?b: want a path"},
		{[]string{"-web.telemetry-path", "/ä"}, "-web.telemetry-path /ä: want a path"},
		{[]string{"-web.telemetry-path", "/-/ready"}, "-web.telemetry-path /-/ready: health checks are there, use another path"},
	} {
		if _, err := parseFlags(c.args, io.Discard); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
}

// A file for -web.config.file that cannot be used is a wrong value, as any other.
func TestWebConfigEndsTheStart(t *testing.T) {
	var said bytes.Buffer
	status := run([]string{"-web.config.file", "no.yml"}, io.Discard, &said)
	const want = "tcp-stream-exporter: -web.config.file no.yml: no such file or directory: name a file that the exporter's user may read\n"
	if status != exitUsage || said.String() != want {
		t.Errorf("status %d, %q, want %d and %q", status, &said, exitUsage, want)
	}
}

// Of several addresses of which one is taken none is left bound.
func TestListenAllOrNone(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	f := webFlags{addresses: []string{free.Addr().String(), taken.Addr().String()}}
	all, err := f.listenAll()
	if want := "-web.listen-address " + taken.Addr().String() + ": in use by another program"; err == nil || !strings.HasPrefix(err.Error(), want) || all != nil {
		t.Errorf("%v, %v, want %s", all, err, want)
	}
	again, err := net.Listen("tcp4", free.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestSystemdSockets(t *testing.T) {
	if _, err := systemdSockets(nil); err == nil || !strings.Contains(err.Error(), "systemd has passed no socket: give the unit a .socket unit") {
		t.Error(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	passed, err := l.(*net.TCPListener).File()
	l.Close()
	if err != nil {
		t.Fatal(err)
	}
	all, err := systemdSockets([]*os.File{passed})
	if err != nil || len(all) != 1 || addressesOf(all) != l.Addr().String() {
		t.Fatalf("%v, %v", all, err)
	}
	closeListeners(all)
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	datagrams, err := packets.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	if all, err := systemdSockets([]*os.File{datagrams}); err == nil || !strings.Contains(err.Error(), "use ListenStream=") {
		t.Errorf("%v, %v", all, err)
	}
}
