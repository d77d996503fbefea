package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

const (
	iperfPort   = 5201
	iperfSource = 20000 // of the data connection: none that the kernel chooses for others (ip_local_port_range)
)

// iperf is one iperf3 run from A to B, with everything beside A that its figures are held against.
type iperf struct {
	exporter *lab.Exporter
	data     lab.Flow // the direction of the data
	final    lab.Metrics
	delays   []float64 // tcp_avg_delay_seconds of the data, one a scrape
	tcpInfo  []float64 // the sender's smoothed RTT in s, from tcp_info
	retrans  float64   // growth of A's TcpRetransSegs
	capture  string    // file
}

// runIperf sends from A to B for a while, with the further arguments of iperf3. Exporter and
// recording are beside A.
func runIperf(t *testing.T, a, b *lab.NS, duration time.Duration, args ...string) *iperf {
	t.Helper()
	need.Tool(t, "iperf3")
	const every = 100 * time.Millisecond // of scrapes, and of looks at tcp_info
	r := &iperf{data: lab.Flow{
		Src: netip.AddrPortFrom(a.Addr, iperfSource), Dst: netip.AddrPortFrom(b.Addr, iperfPort),
	}}
	r.exporter = a.StartExporter(t, binary(t), "-interface", lab.IfName, "-metrics", ".*")
	recording := a.Record(t)

	server := b.Command("iperf3", "--server", "--one-off", "--port", strconv.Itoa(iperfPort))
	serverEnded, err := lab.Start(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		<-serverEnded
	})
	awaitListener(t, b, iperfPort)

	before := a.Counters(t)["TcpRetransSegs"]
	client := a.Command("iperf3", append([]string{"--client", b.Addr.String(), "--port", strconv.Itoa(iperfPort),
		"--cport", strconv.Itoa(iperfSource), "--congestion", "cubic", "--json",
		"--time", fmt.Sprint(duration.Seconds()), "--interval", fmt.Sprint(every.Seconds())}, args...)...)
	var out bytes.Buffer
	client.Stdout, client.Stderr = &out, &out
	ended, err := lab.Start(client)
	if err != nil {
		t.Fatal(err)
	}
	late, tick := time.After(duration+10*time.Second), time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ended:
		case <-late:
			client.Process.Kill()
			<-ended
			t.Fatalf("iperf3 has not ended after %v:\n%s", duration, out.String())
		case <-tick.C:
			if d, ok := r.exporter.Scrape(t)[r.data.Key("tcp_avg_delay_seconds", "active")]; ok {
				r.delays = append(r.delays, d)
			}
			continue
		}
		break
	}
	r.final = r.exporter.Settle(t)
	r.retrans = float64(a.Counters(t)["TcpRetransSegs"] - before)
	r.capture = recording.Stop(t)
	if got := r.final["capture_dropped_packets_total"]; got != 0 {
		t.Fatalf("capture_dropped_packets_total: %v, want 0", got)
	}
	r.readReport(t, out.Bytes())
	return r
}

// readReport takes the sender's figures out of iperf3's report.
func (r *iperf) readReport(t *testing.T, report []byte) {
	t.Helper()
	var v struct {
		Error     string
		Intervals []struct {
			Streams []struct {
				RTT float64 // µs, tcpi_rtt
			}
		}
	}
	if err := json.Unmarshal(report, &v); err != nil || v.Error != "" {
		t.Fatalf("iperf3: %v %s\n%.2000s", err, v.Error, report)
	}
	for _, i := range v.Intervals {
		for _, s := range i.Streams {
			r.tcpInfo = append(r.tcpInfo, s.RTT/1e6)
		}
	}
}

// of returns a figure of a flow at the end, finalized or not.
func of(t *testing.T, m lab.Metrics, f lab.Flow, name string) float64 {
	t.Helper()
	for _, state := range []string{"finalized", "active"} {
		if v, ok := m[f.Key(name, state)]; ok {
			return v
		}
	}
	t.Fatalf("no %s of %v", name, f)
	return 0
}

// sumFrom adds up a family over all streams that an address sends.
func sumFrom(m lab.Metrics, name string, src netip.Addr) float64 {
	sum, label := 0.0, fmt.Sprintf("src_ip=%q", src.String())
	for key, v := range m {
		if strings.HasPrefix(key, name+"{") && strings.Contains(key, label) {
			sum += v
		}
	}
	return sum
}

// awaitListener waits until something listens on a TCP port of the namespace. It looks on: a
// connection on trial would be the one that the listener serves.
func awaitListener(t *testing.T, ns *lab.NS, port int) {
	t.Helper()
	local := regexp.MustCompile(fmt.Sprintf(`(?m)^ *\d+: [0-9A-F]+:%04X [0-9A-F:]+ 0A `, port)) // TCP_LISTEN
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var text [2][]byte
		err := ns.Do(func() (err error) {
			for i, file := range []string{"tcp", "tcp6"} {
				text[i], err = os.ReadFile("/proc/thread-self/net/" + file)
				if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if local.Match(text[0]) || local.Match(text[1]) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing listens on port %d", port)
		}
	}
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// within wants a figure to be no farther from the other side's than a share of it.
func within(t *testing.T, what string, seen, want, share float64) {
	t.Helper()
	if d := seen - want; !(d <= share*want && -d <= share*want) {
		t.Errorf("%s: %v, want %v within %v%%", what, seen, want, 100*share)
	}
}
