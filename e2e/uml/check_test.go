//go:build uml

package uml

import (
	"context"
	"io"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// keepTalking has a connection between two addresses carry bytes forth and back until the test ends.
func keepTalking(t *testing.T, from, to *lab.NS) {
	t.Helper()
	ln, err := to.Listen("tcp", netip.AddrPortFrom(to.Addr, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, err := from.Dial(ctx, "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	echoed, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(echoed)
		_, _ = io.Copy(server, server)
	}()
	go func() {
		defer close(ended)
		bytes := make([]byte, 1000)
		for {
			if _, err := client.Write(bytes); err != nil {
				return // the test has ended
			}
			if _, err := io.ReadFull(client, bytes); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		client.Close()
		server.Close()
		ln.Close()
		<-echoed
		<-ended
	})
}

// A check of a VLAN's interface says that its packets have no tag and which interface shows it; one of the interface below
// finds the tag. Both find the connection.
func TestCheckOfAVLAN(t *testing.T) {
	exporter := needKernel(t)
	k := kinds[0]
	l := lab.New(t)
	k.make(t, l)
	keepTalking(t, &lab.NS{Name: l.A.Name, Addr: netip.MustParseAddr(k.address(1))}, &lab.NS{Name: l.B.Name, Addr: netip.MustParseAddr(k.address(2))})
	const nearlyAll = `(9\d|100)% of the packets, and the filter passes them`
	for name, wants := range map[string][]string{
		k.device:   {"interface        vlan10, up, MTU 1500", " +VLAN: its packets come without their tag; veth0 shows them with it, and those of the other VLANs", "VLAN tags        none"},
		lab.IfName: {"interface        veth0, up, MTU 1500", "VLAN tags        " + nearlyAll},
	} {
		// It measures its speed with 100,000 connections, whose pages take this kernel long.
		out, err := l.A.Command(exporter, "-check", "-interface", name, "-max-connections", "1000", "-blocksize", "65536", "-numblocks", "16").CombinedOutput()
		text := string(out)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range append(wants, "TCP              "+nearlyAll, "connections      1 seen, .*", "result           capture works") {
			if !regexp.MustCompile("(?m)^" + want + "$").MatchString(text) {
				t.Errorf("%s: no line is %q in:\n%s", name, want, text)
			}
		}
	}
}
