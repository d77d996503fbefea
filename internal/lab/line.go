package lab

import (
	"net/netip"
	"testing"

	"tcp-stream-exporter/internal/need"
)

// The ends of the two veth pairs in the middle of a Line.
const (
	towardsA = "toa"
	towardsB = "tob"
)

// Line is two namespaces with a third between them, which forwards their frames: slowly (Slow) or
// as a Pipe says. Nothing passes before one of the two is called.
type Line struct {
	*Lab
	M *NS // has no address
}

// NewLine makes a line for one test, as New makes a lab.
func NewLine(t testing.TB) *Line {
	t.Helper()
	ends, name := newEnds(t)
	l := &Line{Lab: ends, M: newNS(t, name+"-m", netip.Addr{})}
	for _, end := range []struct {
		ns     *NS
		middle string
	}{{l.A, towardsA}, {l.B, towardsB}} {
		run(t, "ip", "link", "add", IfName, "netns", end.ns.Name, "type", "veth", "peer", "name", end.middle, "netns", l.M.Name)
		t.Cleanup(func() { command("ip", "-n", end.ns.Name, "link", "del", IfName).Run() })
		run(t, "ip", "-n", l.M.Name, "link", "set", end.middle, "up")
	}
	l.configure(t)
	l.M.keepOrder(t, towardsA, towardsB)
	return l
}

// Offloads does as Lab.Offloads does, and in the middle too.
func (l *Line) Offloads(t testing.TB, on bool) {
	t.Helper()
	l.Lab.Offloads(t, on)
	l.M.offloads(t, towardsA, on)
	l.M.offloads(t, towardsB, on)
}

// Slow lets the kernel forward the frames, those to B at a rate as tc(8) writes it ("20mbit"). One
// frame at a time leaves at that rate, and as many as a second's worth wait: a queue builds up in
// the line, behind A's end.
func (l *Line) Slow(t testing.TB, rate string) {
	t.Helper()
	need.Tool(t, "tc")
	const bridge = "br0"
	run(t, "ip", "-n", l.M.Name, "link", "add", bridge, "type", "bridge")
	for _, end := range []string{towardsA, towardsB} {
		run(t, "ip", "-n", l.M.Name, "link", "set", end, "master", bridge)
	}
	run(t, "ip", "-n", l.M.Name, "link", "set", bridge, "up")
	// burst: one frame of the MTU.
	l.M.Run(t, "tc", "qdisc", "add", "dev", towardsB, "root", "tbf", "rate", rate, "burst", "1600", "latency", "1s")
}
