package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

var (
	largePrefixes = flag.Int("prefixes", 20_000, "prefixes of the list that TestLargeList loads under traffic")
	largeRate     = flag.Int("prefixrate", 20_000, "packets a second meanwhile")
)

const (
	largeGroups      = 1000
	largeConnections = 2000
	largeReloads     = 2
	largeLoad        = 20 * time.Second // the longest that reading 1,200,000 prefixes may take where others want the processors
)

// largeList returns a file of different prefixes onto largeGroups names, which begin with first. Half of them are within
// 10.0.0.0/8, where the traffic is; one in five is in IPv6.
func largeList(first string, prefixes int) []byte {
	r := rand.New(rand.NewPCG(6, uint64(len(first))))
	lines := make([]bytes.Buffer, largeGroups)
	seen := make(map[string]bool, prefixes)
	for len(seen) < prefixes {
		var p string
		switch a, n := r.Uint32(), r.IntN(10); {
		case n < 2:
			p = fmt.Sprintf("2001:%x:%x::/48", a>>16, a&0xffff)
		case n < 7:
			p = fmt.Sprintf("10.%d.%d.%d/32", a>>16&0xff, a>>8&0xff, a&0xff)
		default:
			p = fmt.Sprintf("%d.%d.%d.0/24", 11+a>>24%200, a>>16&0xff, a>>8&0xff)
		}
		if !seen[p] {
			seen[p] = true
			line := &lines[r.IntN(largeGroups)]
			line.WriteString(" " + p)
		}
	}
	var file bytes.Buffer
	fmt.Fprintf(&file, "%s 10.0.0.0/8", first) // so that every client has a group of this list
	for i := range lines {
		fmt.Fprintf(&file, "\n%s%d%s", first, i, lines[i].Bytes())
	}
	file.WriteByte('\n')
	return file.Bytes()
}

var tookToRead = regexp.MustCompile(`msg="groups read again".* took=(\S+)`)

// A large list is read again under traffic, each time with all prefixes under other names. No packet is dropped and all
// are counted; live connections come to the new groups over many turns of the loop. -prefixes 1200000 -prefixrate 100000
// is the long form.
func TestLargeList(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "groups")
	lists := [largeReloads + 1][]byte{}
	for i := range lists {
		lists[i] = largeList(strings.Repeat("x", i+1)+"-", *largePrefixes)
	}
	put := func(i int) {
		t.Helper()
		if err := os.WriteFile(path+".new", lists[i], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put(0)
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-service-ports", "none", "-group-max", "16384", "-groups", path)
	started := memory(t, e.PID(), "VmRSS")
	g := generateConnections(t, l.B, tcpgen, largeConnections, *largeRate, "-duration", "2m")
	of := func(m lab.Metrics, i int) (n float64) { // established connections of the groups of a list
		for key, v := range m {
			if strings.HasPrefix(key, `tcp_group_connections{client_group="`+strings.Repeat("x", i+1)+`-`) {
				n += v
			}
		}
		return n
	}
	await := func(i int) {
		t.Helper()
		e.AwaitPath(t, 40*time.Second, "/metrics/summary", func(m lab.Metrics) error {
			if n, all := of(m, i), groupSum(m, "tcp_group_connections"); n != all || all < largeConnections {
				return fmt.Errorf("%v of %v connections are in the groups of list %d, want %d", n, all, i, largeConnections)
			}
			return nil
		})
	}
	await(0)
	for i := 1; i <= largeReloads; i++ {
		put(i)
		e.Signal(t, syscall.SIGHUP)
		await(i)
	}
	g.cmd.Process.Signal(syscall.SIGTERM)
	packets := g.wait(t)
	m := e.AwaitPath(t, 20*time.Second, "/metrics/summary", func(m lab.Metrics) error {
		if got := groupSum(m, "tcp_group_packets_total"); got != packets {
			return fmt.Errorf("%v packets in groups, want %v", got, packets)
		}
		return nil
	})
	nothingDropped(t, m)
	if n := m["tcp_stream_exporter_group_overflow_connections_total"]; n != 0 {
		t.Errorf("%v connections found no room", n)
	}
	took := tookToRead.FindAllStringSubmatch(e.Output(), -1)
	if len(took) < largeReloads {
		t.Errorf("the list was read again %d times, want %d:\n%s", len(took), largeReloads, e.Output())
	}
	var times []string
	for _, text := range took {
		times = append(times, text[1])
		if d, err := time.ParseDuration(text[1]); err != nil || d > largeLoad {
			t.Errorf("reading the list again took %s (%v), want at most %v", text[1], err, largeLoad)
		}
	}
	t.Logf("%d prefixes, a file of %d bytes: read again in %v beside %v packets; VmRSS %d MB after the start, %d MB at most",
		*largePrefixes, len(lists[0]), times, packets, started/1e6, peak(t, e.PID())/1e6)
}
