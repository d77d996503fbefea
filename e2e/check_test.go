package e2e

import (
	"bytes"
	"context"
	be "encoding/binary"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/packet"
)

// checkTimeout is far more than -check takes, which is about five seconds on a machine with nothing else to do.
const checkTimeout = 60 * time.Second

// checked runs the exporter with -check in the namespace, behind the command wrapper if there is one.
func checked(t *testing.T, ns *lab.NS, wrapper string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return startCheck(t, ns, wrapper, args...)()
}

// startCheck is checked for several at a time: each takes seconds in which it mostly waits.
func startCheck(t *testing.T, ns *lab.NS, wrapper string, args ...string) (wait func() (stdout, stderr string, status int)) {
	t.Helper()
	words := append([]string{"netns", "exec", ns.Name}, strings.Fields(wrapper)...)
	words = append(words, binary(t), "-check")
	ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "ip", append(words, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (stdout, stderr string, status int) {
		t.Helper()
		_ = cmd.Wait() // the status says all
		if ctx.Err() != nil {
			t.Fatalf("-check %q still runs after %v:\n%s%s", args, checkTimeout, &out, &said)
		}
		return out.String(), said.String(), cmd.ProcessState.ExitCode()
	}
}

// says wants all patterns, of lines each.
func says(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)^" + p + "$").MatchString(text) {
			t.Errorf("no line is %q in:\n%s", p, text)
		}
	}
}

// proposed returns the flags that a check proposes, as arguments.
func proposed(text string) (args []string) {
	for _, line := range regexp.MustCompile(`(?m)^  (-[a-z0-9-]+(?: \S+)?)  +\S`).FindAllStringSubmatch(text, -1) {
		args = append(args, strings.Fields(line[1])...)
	}
	return args
}

// keepSending sends the frames out of the namespace's veth again and again until the test ends.
func keepSending(t *testing.T, ns *lab.NS, frames [][]byte) {
	t.Helper()
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				if err := ns.Do(func() error { return sendOut(frames) }); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-ended
	})
}

// keepExchanging has a client and a server in the namespace talk over lo until the test ends.
func keepExchanging(t *testing.T, ns *lab.NS) {
	t.Helper()
	s, c := serve(t, ns, netip.MustParseAddr("127.0.0.1")), newClient(t, ns)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				if err := c.exchange(s, 1000, 1000); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-ended
	})
}

// TestCheckOfTraffic sends packets of each kind and wants them told, with whether the filter passes them; what the check
// proposes is a command line with which the exporter starts.
func TestCheckOfTraffic(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	v4 := packet.TCP{Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("198.51.100.1:443"), Flags: packet.ACK, Payload: 100}
	v6 := packet.TCP{Src: netip.MustParseAddrPort("[2001:db8::1]:40000"), Dst: netip.MustParseAddrPort("[2001:db8::2]:443"), Flags: packet.ACK}
	pppoe := []byte{0x11, 0, 0, 1}
	pppoe = be.BigEndian.AppendUint16(pppoe, uint16(2+len(v4.IP())))
	pppoe = append(pppoe, 0, 0x21)
	first, second := v4.Fragments(40)
	keepSending(t, l.B, [][]byte{
		v4.Ethernet(), v4.Ethernet(0x8100_000a), v4.Ethernet(0x8100_0014), v6.Ethernet(), packet.InEthernet(0x8864, append(pppoe, v4.IP()...)), first, second,
		packet.InEthernet(0x8847, append([]byte{0, 1, 1, 64}, v4.IP()...)),
		packet.InEthernet(0x0800, packet.InIPv4(17, packet.InUDP(4789, packet.InVXLAN(v4.Ethernet())))),
		packet.InEthernet(0x0800, packet.InIPv4(17, packet.InUDP(53, make([]byte, 40)))),
	})
	text, complaints, status := checked(t, l.A, "", "-interface", lab.IfName)
	if status != 0 || complaints != "" {
		t.Fatalf("status %d: %s\n%s", status, complaints, text)
	}
	const share = `(9\.\d|1\d|2\d)% of the packets`
	says(t, text,
		"interface        veth0, up, MTU 1500", "driver           veth", "link type        hardware type 1 .* Ethernet frames",
		"offloads         GRO .*, LRO .*, TSO .*, GSO .*, rx-vlan .*, tx-vlan .*",
		`traffic          [1-9]\d* packets/s, .*bit/s, \d+ bytes on average, over 3s`, ` +(7\d|8\d)% of the packets pass the filter: .*`,
		"IPv6             "+share+", and the filter passes them", "VLAN tags        "+share+", and the filter passes them",
		"PPPoE            "+share+", and the filter passes them", "MPLS             "+share+", and the filter passes them",
		"fragments        "+share+", and the filter passes them", "TCP in vxlan     "+share+", and the filter passes none of them",
		`speed            \d+ ns a packet with 1,000 connections, .*`, "  -ipv6 .*", "  -vlan-identity .*TCP of 2 VLANs.*", "  -tunnels vxlan .*",
		"result           capture works")
	nothingLeft(t, l.A)

	flags := proposed(text)
	if len(flags) < 4 {
		t.Fatalf("%q is proposed in:\n%s", flags, text)
	}
	e := l.A.StartExporter(t, binary(t), append([]string{"-interface", lab.IfName}, flags...)...)
	// Beside an exporter, whose address it leaves alone; and nothing more is proposed of what was taken.
	text, complaints, status = checked(t, l.A, "", append([]string{"-interface", lab.IfName}, flags...)...)
	if status != 0 {
		t.Fatalf("status %d: %s\n%s", status, complaints, text)
	}
	for _, flag := range flags {
		if strings.HasPrefix(flag, "-") && strings.Contains(text, "  "+flag+" ") {
			t.Errorf("%s is proposed again:\n%s", flag, text)
		}
	}
	says(t, text, "TCP in vxlan     "+share+", and the filter passes them")
	if e.Ended() {
		t.Error("the exporter has ended")
	}
}

// TestCheckOfKinds runs a check of each kind of interface and traffic, all at the same time.
func TestCheckOfKinds(t *testing.T) {
	t.Parallel()
	v4 := packet.TCP{Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("198.51.100.1:443"), Flags: packet.ACK}
	type running struct {
		wait  func() (stdout, stderr string, status int)
		wants []string // lines
	}
	checks := map[string]running{}
	start := func(name string, l *lab.Lab, args []string, wants ...string) {
		checks[name] = running{startCheck(t, l.A, "", args...), append(wants, "result           capture works")}
	}
	silent := lab.New(t)
	start("lo", silent, []string{"-interface", "lo"}, "interface        lo, up, MTU 65536", " +loopback: .*counted once.*", "link type        hardware type 772 .*",
		"interrupts       none of its own: .*", " +nothing has passed meanwhile: .*")

	// Traffic on lo: each packet once, and no proposal to leave a direction out.
	busy := lab.New(t)
	keepExchanging(t, busy.A)
	start("lo with traffic", busy, []string{"-interface", "lo", "-packet-filter-file", tcpdumpProgram(t, busy.A, "lo", "tcp port 8080")},
		"TCP              100% of the packets, and the filter passes them", "connections      [1-9].* seen, .*")

	one := lab.New(t)
	keepSending(t, one.B, [][]byte{v4.Ethernet()})
	start("several", one, []string{"-interface", "any,!lo"}, "interface        veth0, up, MTU 1500", "TCP              100% of the packets, and the filter passes them", "connections      1 seen, .*")

	// A filter that passes less, and workers that share the ring's part.
	filtered := lab.New(t)
	other := v4
	other.Dst = netip.MustParseAddrPort("198.51.100.1:80")
	pppoe := append([]byte{0x11, 0, 0, 1, 0, 42, 0, 0x21}, v4.IP()...)
	keepSending(t, filtered.B, [][]byte{v4.Ethernet(), other.Ethernet(), packet.InEthernet(0x8864, pppoe)})
	start("a filter", filtered, []string{"-interface", lab.IfName, "-packet-filter", "tcp and port 443", "-workers", "2"},
		` +3[1-5]% of the packets pass the filter: .*`, "TCP              100% of the packets, and the filter passes 3[1-5]% of them",
		"PPPoE            3[1-5]% of the packets, and the filter passes none of them")

	// A router on a stick: what arrives leaves again.
	stick := lab.New(t)
	var frames [][]byte
	for n := range 10 {
		v4.Src = netip.AddrPortFrom(v4.Src.Addr(), uint16(40000+n))
		frames = append(frames, v4.Ethernet())
	}
	keepSending(t, stick.A, frames)
	keepSending(t, stick.B, frames)
	start("packets that pass twice", stick, []string{"-interface", lab.IfName},
		"  -direction in .*10 of 10 streams arrive and leave again on the same interface.*", "connections      10 seen, .*")

	tunnel := lab.New(t)
	fd := tun(t, tunnel.A, "tun7")
	stop, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		<-ended
		unix.Close(fd)
	})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = unix.Write(fd, v4.IP()) // what does not come is missed below
			}
		}
	}()
	start("tun", tunnel, []string{"-interface", "tun7"}, "interface        tun7, up, MTU 1500", " +tun: packets without a link header.*",
		"link type        hardware type 65534 .* IP packets without a link header", "TCP              100% of the packets, and the filter passes them", "connections      1 seen, .*")

	// It changes nothing: not even the mode that is asked for.
	asked := lab.New(t)
	start("promiscuous", asked, []string{"-interface", lab.IfName, "-promiscuous"}, "promiscuous      the mode is left as it is: .*")
	for range 60 {
		if shown := asked.A.Run(t, "ip", "-d", "link", "show", lab.IfName); !strings.Contains(shown, "promiscuity 0") {
			t.Errorf("during a check: %s", shown)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}

	for name, c := range checks {
		text, complaints, status := c.wait()
		if status != 0 || complaints != "" {
			t.Errorf("%s: status %d: %s", name, status, complaints)
		}
		says(t, text, c.wants...)
		if name == "lo with traffic" && strings.Contains(text, "-direction") {
			t.Errorf("packets of lo seem to pass twice:\n%s", text)
		}
		if name == "several" && strings.Contains(text, "loopback") {
			t.Errorf("lo is left out:\n%s", text)
		}
	}
}

// TestCheckRefuses: what a capture would not work with ends with status 1, and one line that says why.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	l.A.Run(t, "ip", "link", "add", "down0", "type", "veth", "peer", "name", "down1")
	need.Tool(t, "setpriv")
	const noRights = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all"
	for _, c := range []struct {
		says, wrapper string
		args          []string
		stdout        []string // lines
		want          []string
	}{
		{"an interface that is down", "", []string{"-interface", "down0"}, []string{"interface        down0, down, MTU 1500", "driver           veth"},
			[]string{"-interface down0: the interface is down", "ip link set dev down0 up"}},
		{"several that are down", "", []string{"-interface", "down*"}, []string{"interface        down1, down, MTU 1500"}, []string{"-interface down*: all interfaces are down"}},
		{"an interface that does not exist", "", []string{"-interface", "eth7"}, nil, []string{"-interface eth7: no such interface", "veth0"}},
		{"one that is waited for", "", []string{"-interface", "eth7", "-wait"}, nil, []string{"-interface eth7: there is no such interface yet"}},
		{"a pattern that matches none", "", []string{"-interface", "eth7*"}, nil, []string{"-interface eth7*: no interface matches"}},
		{"no right to capture", noRights, []string{"-interface", lab.IfName}, []string{"interface        veth0, up, MTU 1500"}, []string{"open a packet socket: ", "CAP_NET_RAW"}},
		{"a ring larger than the memory", "", []string{"-interface", lab.IfName, "-numblocks", "65536", "-blocksize", "1073741824", "-framesize", "1048576"}, nil,
			[]string{"-numblocks 65536 and -blocksize 1073741824: ", "fewer or smaller blocks"}},
		{"a CPU that is not there", "", []string{"-interface", lab.IfName, "-cpus", "1023"}, nil, []string{"-cpus 1023: "}},
	} {
		t.Run(c.says, func(t *testing.T) {
			text, complaints, status := checked(t, l.A, c.wrapper, c.args...)
			if status != 1 || strings.Count(complaints, "\n") != 1 || !strings.HasPrefix(complaints, "tcp-stream-exporter: "+c.want[0]) {
				t.Errorf("status %d, says %q; want 1 and a line that begins with %q", status, complaints, c.want[0])
			}
			for _, w := range c.want {
				if !strings.Contains(complaints, w) {
					t.Errorf("says %q, want %q in it", complaints, w)
				}
			}
			says(t, text, c.stdout...)
			if strings.Contains(text, "capture works") {
				t.Errorf("and yet:\n%s", text)
			}
			nothingLeft(t, l.A)
		})
	}
}
