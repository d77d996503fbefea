package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

// usageTimeout is how long the exporter may take to refuse a command line.
const usageTimeout = 20 * time.Second

// TestBadInput is the inventory of what the command line can be given that cannot be: each flag empty,
// zero, negative, too large, not of its kind, and with flags that it does not go with. A row names what is
// given and how the one line on standard error begins behind the program's name: the flag as typed, the
// value, and a colon. What to do comes after it.
func TestBadInput(t *testing.T) {
	t.Parallel() // mostly it waits
	l := lab.New(t)
	page := strconv.Itoa(os.Getpagesize())
	const veth = lab.IfName
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	folder, empty, text := t.TempDir(), file("empty", ""), file("text", strings.Repeat("no capture\n", 10))
	packed, broken := file("packed", "BZh9"+strings.Repeat("\x00", 40)), file("broken", "\x1f\x8b\x08"+strings.Repeat("\x00", 40))
	bad, three := file("bad", "a 10.0.0.0/8\nb 10.0.0/8\n"), file("three", "a 10.0.0.0/8\nb 11.0.0.0/8\nc 12.0.0.0/8\n")
	jump := file("jump", "2\n21 7 0 2048\n6 0 0 1\n")
	longest := file("longest", "4096\n"+strings.Repeat("40 0 0 12\n", 4095)+"6 0 0 1\n")
	whole := file("whole", "\xd4\xc3\xb2\xa1\x02\x00\x04\x00"+strings.Repeat("\x00", 8)+"\xff\xff\x00\x00\x01\x00\x00\x00")

	const maxInt32, over32, maxInt64, over64 = "2147483647", "2147483648", "9223372036854775807", "9223372036854775808"
	long := strings.Repeat("x", 300)
	given := map[string]bool{} // flags
	for _, c := range []struct {
		says  string
		args  []string
		want  string   // how the message begins
		hints []string // what else it must contain
	}{
		{"an interface that does not exist", []string{"-interface", "eth7"}, "-interface eth7: ", []string{"any", "lo", veth}},
		{"an empty interface name", []string{"-interface", ""}, `-interface "": `, []string{"any", "lo", veth}},
		{"a long interface name", []string{"-interface", long}, `-interface "xxx`, []string{"(300 bytes in all)", veth}},

		{"an unknown direction", []string{"-direction", "up"}, "-direction up: ", []string{"in, out or both"}},
		{"an empty direction", []string{"-direction", ""}, `-direction "": `, []string{"in, out or both"}},
		{"what is sent on loopback alone", []string{"-interface", "lo", "-direction", "out"}, "-direction out: ", []string{"in or both"}},
		{"an unknown tunnel", []string{"-tunnels", "gre,pptp"}, "-tunnels gre,pptp: ", []string{`"pptp" is no tunnel`, "gre,ipip,sit,vxlan,geneve,gtpu,erspan"}},
		{"a tunnel without a name", []string{"-tunnels", "gre,"}, "-tunnels gre,: ", []string{`"" is no tunnel`, "gre,ipip,sit,vxlan,geneve,gtpu,erspan"}},
		{"a sample of what is in tunnels", []string{"-tunnels", "gre", "-sample", "10"}, "-sample 10 and -tunnels gre: ", []string{"outer packets", "leave one of the two out"}},
		{"a snap length that cuts headers", []string{"-snaplen", "97"}, "-snaplen 97: ", []string{"98 to 262144"}},
		{"a snap length of zero", []string{"-snaplen", "0"}, "-snaplen 0: ", []string{"98 to 262144"}},
		{"a negative snap length", []string{"-snaplen", "-1"}, "-snaplen -1: ", []string{"98 to 262144"}},
		{"a snap length beyond libpcap's", []string{"-snaplen", "262145"}, "-snaplen 262145: ", []string{"98 to 262144"}},
		{"a snap length of 64 bits", []string{"-snaplen", over64}, "-snaplen 9223372036854775808: ", []string{"such as 192"}},
		{"an empty snap length", []string{"-snaplen", ""}, `-snaplen "": `, []string{"such as 192"}},
		{"telling VLANs apart that is neither", []string{"-vlan-identity=perhaps"}, "-vlan-identity perhaps: ", []string{"true or false"}},
		{"an interface list with an empty part", []string{"-interface", "lo,,eth7"}, "-interface lo,,eth7: ", []string{"drop a comma"}},
		{"an interface that is there twice", []string{"-interface", "lo,lo"}, "-interface lo,lo: ", []string{"leave one out"}},
		{"an interface list that only leaves out", []string{"-interface", "!lo"}, "-interface !lo: ", []string{"what to take"}},
		{"one of several that does not exist", []string{"-interface", "lo,eth7"}, "-interface eth7: ", []string{"any", "lo", veth}},
		{"a pattern that no name can match", []string{"-interface", "a-name-longer-than-any-*"}, "-interface a-name-longer-than-any-*: ", []string{"15"}},
		{"a check that is neither", []string{"-check=perhaps"}, "-check perhaps: ", []string{"true or false"}},
		{"waiting that is neither", []string{"-wait=perhaps"}, "-wait perhaps: ", []string{"true or false"}},
		{"promiscuous mode that is neither", []string{"-promiscuous=perhaps"}, "-promiscuous perhaps: ", []string{"true or false"}},

		{"a filter that cannot be parsed", []string{"-packet-filter", "tcp porrt 80"}, `-packet-filter "tcp porrt 80": `, []string{"syntax error"}},
		{"a filter with an unknown service", []string{"-packet-filter", "tcp port nosuchservice"}, `-packet-filter "tcp port nosuchservice": `, nil},
		{"a filter with a port beyond 65535", []string{"-packet-filter", "port 65536"}, `-packet-filter "port 65536": `, nil},
		{"a filter that is too long", []string{"-packet-filter", "tcp" + strings.Repeat(" ", 16384)}, `-packet-filter "tcp  `, []string{"(16387 bytes in all)", "16384"}},
		{"a filter of too many instructions", []string{"-packet-filter", "ip6 protochain 6" + orPorts(300)}, `-packet-filter "ip6 protochain 6 or port 1 or port 3`, []string{"simplify"}},
		{"a filter with a loop", []string{"-packet-filter", "ip6 protochain 6"}, `-packet-filter "ip6 protochain 6": `, []string{"protochain"}},

		{"a file of a filter without a name", []string{"-packet-filter-file", ""}, `-packet-filter-file "": `, []string{"name a file", "tcpdump -ddd"}},
		{"a file of a filter that does not exist", []string{"-packet-filter-file", "no.program"}, "-packet-filter-file no.program: ", []string{"no such file", "name a file"}},
		{"a folder of filters", []string{"-packet-filter-file", folder}, "-packet-filter-file " + folder + ": ", []string{"directory", "name a file"}},
		{"an empty file of a filter", []string{"-packet-filter-file", empty}, "-packet-filter-file " + empty + ": line 1: ", []string{"empty", "want the output of tcpdump -ddd"}},
		{"a file of a filter that is text", []string{"-packet-filter-file", text}, "-packet-filter-file " + text + ": line 1: ", []string{"no capture", "want the output of tcpdump -ddd"}},
		{"a program with a jump out of it", []string{"-packet-filter-file", jump}, "-packet-filter-file " + jump + ": line 2: ", []string{"jumps over 7", "want the output of tcpdump -ddd"}},
		{"two filters", []string{"-packet-filter", "tcp", "-packet-filter-file", jump}, "-packet-filter tcp and -packet-filter-file " + jump + ": ", []string{"leave one out"}},
		{"a program that is too long for a sample", []string{"-packet-filter-file", longest, "-sample", "4"}, "-packet-filter-file " + longest + " and -sample 4: ", []string{"the kernel takes 4096", "simplify"}},

		{"a block size beside the page size", []string{"-blocksize", "100000"}, "-blocksize 100000: ", []string{"multiple", page}},
		{"a block size of zero", []string{"-blocksize", "0"}, "-blocksize 0: ", []string{"such as 262144"}},
		{"an empty block size", []string{"-blocksize", ""}, `-blocksize "": `, []string{"such as 262144"}},
		{"a negative block size", []string{"-blocksize", "-4096"}, "-blocksize -4096: ", []string{"positive"}},
		{"a block size in the last page below 2 GiB", []string{"-blocksize", maxInt32}, "-blocksize 2147483647: ", []string{"multiple"}},
		{"a block size of 2 GiB", []string{"-blocksize", over32}, "-blocksize 2147483648: ", []string{"at most"}},
		{"a block size of 63 bits", []string{"-blocksize", maxInt64}, "-blocksize 9223372036854775807: ", []string{"at most"}},
		{"a block size of 64 bits", []string{"-blocksize", over64}, "-blocksize 9223372036854775808: ", []string{"such as 262144"}},
		{"a block size in hexadecimal", []string{"-blocksize", "0xfff"}, "-blocksize 0xfff: ", []string{"multiple"}},
		{"a block size that is no number", []string{"-blocksize", "big"}, "-blocksize big: ", []string{"such as 262144"}},

		{"a frame size that is no multiple of 16", []string{"-framesize", "2050"}, "-framesize 2050: ", []string{"multiple of 16", "2064"}},
		{"a frame size larger than the block", []string{"-framesize", "8192", "-blocksize", "4096"}, "-framesize 8192 and -blocksize 4096: ", []string{"at most"}},
		{"a frame size larger than the default block", []string{"-framesize", maxInt64}, "-framesize 9223372036854775807 and -blocksize 262144: ", []string{"at most"}},
		{"a frame size smaller than the kernel's header", []string{"-framesize", "16"}, "-framesize 16: ", []string{"at least 80"}},
		{"a frame size of zero", []string{"-framesize", "0"}, "-framesize 0: ", []string{"such as 2048"}},
		{"an empty frame size", []string{"-framesize", ""}, `-framesize "": `, []string{"such as 2048"}},
		{"a negative frame size", []string{"-framesize", "-2048"}, "-framesize -2048: ", []string{"positive"}},
		{"a frame size of 64 bits", []string{"-framesize", over64}, "-framesize 9223372036854775808: ", []string{"such as 2048"}},
		{"a frame size that is no number", []string{"-framesize", "2k"}, "-framesize 2k: ", []string{"such as 2048"}},

		{"no blocks", []string{"-numblocks", "0"}, "-numblocks 0: ", []string{"such as 128"}},
		{"an empty number of blocks", []string{"-numblocks", ""}, `-numblocks "": `, []string{"such as 128"}},
		{"a negative number of blocks", []string{"-numblocks", "-1"}, "-numblocks -1: ", []string{"positive"}},
		{"blocks beyond the kernel's counter", []string{"-numblocks", over32}, "-numblocks 2147483648: ", []string{"at most 65536"}},
		{"blocks whose bytes overflow 64 bits", []string{"-numblocks", maxInt64}, "-numblocks 9223372036854775807: ", []string{"at most 65536"}},
		{"a number of blocks that no integer holds", []string{"-numblocks", "99999999999999999999"}, "-numblocks 99999999999999999999: ", []string{"such as 128"}},
		{"blocks that are no number", []string{"-numblocks", "1.5"}, "-numblocks 1.5: ", []string{"such as 128"}},
		{"more frames than the kernel counts", []string{"-numblocks", "65536", "-blocksize", "1073741824", "-framesize", "80"},
			"-framesize 80, -numblocks 65536 and -blocksize 1073741824: ", []string{"at least"}},
		{"a ring larger than the memory there is", []string{"-numblocks", "65536", "-blocksize", "1073741824", "-framesize", "65536"},
			"-numblocks 65536 and -blocksize 1073741824: ", []string{"70368744177664 bytes", "available", "fewer or smaller blocks"}},
		{"rings larger than the memory there is", []string{"-workers", "256", "-numblocks", "65536"},
			"-workers 256, -numblocks 65536 and -blocksize 262144: ", []string{"4398046511104 bytes", "available", "fewer"}},

		{"no workers", []string{"-workers", "0"}, "-workers 0: ", []string{"1 to 256"}},
		{"empty workers", []string{"-workers", ""}, `-workers "": `, []string{"such as 1"}},
		{"negative workers", []string{"-workers", "-1"}, "-workers -1: ", []string{"1 to 256"}},
		{"one worker too many", []string{"-workers", "257"}, "-workers 257: ", []string{"1 to 256"}},
		{"workers of 63 bits", []string{"-workers", maxInt64}, "-workers 9223372036854775807: ", []string{"1 to 256"}},
		{"workers of 64 bits", []string{"-workers", over64}, "-workers 9223372036854775808: ", []string{"such as 1"}},
		{"workers that are no number", []string{"-workers", "two"}, "-workers two: ", []string{"such as 1"}},
		{"more workers than connections", []string{"-workers", "3", "-max-connections", "2"}, "-workers 3 and -max-connections 2: ", []string{"at most 2"}},

		{"no CPUs", []string{"-cpus", ""}, `-cpus "": `, []string{"0,2-5"}},
		{"a negative CPU", []string{"-cpus", "-1"}, "-cpus -1: ", []string{"0,2-5"}},
		{"CPUs that are no numbers", []string{"-cpus", "0,all"}, "-cpus 0,all: ", []string{"all", "0,2-5"}},
		{"a range of CPUs backwards", []string{"-cpus", "1-0"}, "-cpus 1-0: ", []string{"0,2-5"}},
		{"a CPU beyond the kernel's set", []string{"-cpus", "1024"}, "-cpus 1024: ", []string{"0,2-5"}},
		{"a CPU that is not there", []string{"-cpus", "1023"}, "-cpus 1023: ", []string{"CPU 1023", "Cpus_allowed_list"}},
		{"a second CPU that is not there", []string{"-workers", "2", "-cpus", "0,1022"}, "-cpus 0,1022: ", []string{"CPU 1022", "Cpus_allowed_list"}},

		{"a retire timeout of zero", []string{"-retire-timeout", "0"}, "-retire-timeout 0: ", []string{"1ms to 150ms"}},
		{"an empty retire timeout", []string{"-retire-timeout", ""}, `-retire-timeout "": `, []string{"such as 64ms"}},
		{"a negative retire timeout", []string{"-retire-timeout", "-64ms"}, "-retire-timeout -64ms: ", []string{"1ms to 150ms"}},
		{"a retire timeout below the kernel's unit", []string{"-retire-timeout", "1ns"}, "-retire-timeout 1ns: ", []string{"1ms to 150ms"}},
		{"a retire timeout that is too long", []string{"-retire-timeout", "2562047h"}, "-retire-timeout 2562047h: ", []string{"1ms to 150ms"}},
		{"a retire timeout that no duration holds", []string{"-retire-timeout", "2562048h"}, "-retire-timeout 2562048h: ", []string{"such as 64ms"}},
		{"a retire timeout without a unit", []string{"-retire-timeout", "64"}, "-retire-timeout 64: ", []string{"such as 64ms"}},

		{"a negative stream age", []string{"-stream-age", "-5m"}, "-stream-age -5m: ", []string{"or 0: never"}},
		{"an empty stream age", []string{"-stream-age", ""}, `-stream-age "": `, []string{"such as 5m"}},
		{"a stream age without a unit", []string{"-stream-age", "5"}, "-stream-age 5: ", []string{"such as 5m"}},
		{"a stream age that no duration holds", []string{"-stream-age", "2562048h"}, "-stream-age 2562048h: ", []string{"such as 5m"}},
		{"a negative max age", []string{"-max-age", "-1s"}, "-max-age -1s: ", []string{"or 0: never"}},
		{"an empty max age", []string{"-max-age", ""}, `-max-age "": `, []string{"such as 5m"}},
		{"a max age that is a word", []string{"-max-age", "never"}, "-max-age never: ", []string{"such as 5m"}},
		{"a negative SYN age", []string{"-syn-age", "-1ns"}, "-syn-age -1ns: ", []string{"or 0: never"}},
		{"an empty SYN age", []string{"-syn-age", ""}, `-syn-age "": `, []string{"such as"}},
		{"a SYN age without a unit", []string{"-syn-age", "30"}, "-syn-age 30: ", []string{"such as"}},
		{"a negative finalized age", []string{"-finalized-age", "-1ms"}, "-finalized-age -1ms: ", []string{"or 0: never"}},
		{"an empty finalized age", []string{"-finalized-age", ""}, `-finalized-age "": `, []string{"such as 1m"}},
		{"a finalized age without a unit", []string{"-finalized-age", "1e3"}, "-finalized-age 1e3: ", []string{"such as 1m"}},
		{"two names of one age that differ", []string{"-stream-age", "5m", "-max-age", "4m"}, "-stream-age 5m and -max-age 4m: ", []string{"one"}},
		{"two names of one age that agree", []string{"-stream-age", "5m", "-max-age", "5m"}, "-stream-age 5m and -max-age 5m: ", []string{"one"}},
		{"a flag given twice", []string{"-port", ":9101", "-port", ":9102"}, "-port :9101 and -port :9102: ", []string{"once"}},

		{"no connections", []string{"-max-connections", "0"}, "-max-connections 0: ", []string{"1 to"}},
		{"empty connections", []string{"-max-connections", ""}, `-max-connections "": `, []string{"such as 262144"}},
		{"a negative number of connections", []string{"-max-connections", "-1"}, "-max-connections -1: ", []string{"1 to"}},
		{"more connections than a table can have", []string{"-max-connections", "4294967296"}, "-max-connections 4294967296: ", []string{"1 to"}},
		{"connections of 63 bits", []string{"-max-connections", maxInt64}, "-max-connections 9223372036854775807: ", []string{"1 to"}},
		{"connections of 64 bits", []string{"-max-connections", over64}, "-max-connections 9223372036854775808: ", []string{"such as 262144"}},
		{"connections that are no number", []string{"-max-connections", "1e6"}, "-max-connections 1e6: ", []string{"such as 262144"}},

		{"a port without a colon", []string{"-port", "9100"}, "-port 9100: ", []string{":9100"}},
		{"an empty port", []string{"-port", ""}, `-port "": `, []string{":9100"}},
		{"a port beyond 65535", []string{"-port", ":65536"}, "-port :65536: ", []string{":9100"}},
		{"a negative port", []string{"-port", ":-1"}, "-port :-1: ", []string{":9100"}},
		{"a port that is a word", []string{"-port", ":metrics"}, "-port :metrics: ", []string{":9100"}},
		{"an address without a port", []string{"-port", "127.0.0.1:"}, "-port 127.0.0.1:: ", []string{":9100"}},
		{"an address of another machine", []string{"-port", "192.0.2.77:9100"}, "-port 192.0.2.77:9100: ", []string{"address of this machine"}},
		{"a host that has no address", []string{"-port", "no.such.host.invalid:9100"}, "-port no.such.host.invalid:9100: ", []string{"address of this machine"}},

		{"two names of one address", []string{"-port", ":9101", "-web.listen-address", ":9101"}, "-port :9101 and -web.listen-address :9101: ", []string{"give only one"}},
		{"an address given twice", []string{"-web.listen-address", ":9101", "-web.listen-address", ":9101"}, "-web.listen-address :9101: ", []string{"leave one out"}},
		{"a second address without a colon", []string{"-web.listen-address", ":9101", "-web.listen-address", "9102"}, "-web.listen-address 9102: ", []string{":9100"}},
		{"an empty listening address", []string{"-web.listen-address", ""}, `-web.listen-address "": `, []string{":9100"}},
		{"a second address of another machine", []string{"-web.listen-address", ":9101", "-web.listen-address", "192.0.2.77:9100"}, "-web.listen-address 192.0.2.77:9100: ", []string{"address of this machine"}},
		{"systemd's socket without systemd", []string{"-web.systemd-socket"}, "-web.systemd-socket: ", []string{"passed no socket", "docs/systemd.md"}},
		{"systemd's socket and an address", []string{"-web.systemd-socket", "-port", ":9101"}, "-web.systemd-socket true and -port :9101: ", []string{"give only one"}},
		{"a systemd socket that is neither", []string{"-web.systemd-socket=perhaps"}, "-web.systemd-socket perhaps: ", []string{"true or false"}},
		{"a web file without a name", []string{"-web.config.file", ""}, `-web.config.file "": `, []string{"name a file"}},
		{"a web file that does not exist", []string{"-web.config.file", "no.yml"}, "-web.config.file no.yml: ", []string{"no such file", "name a file"}},
		{"a folder for a web file", []string{"-web.config.file", folder}, "-web.config.file " + folder + ": ", []string{"is a directory", "name a file"}},
		{"a web file that is none", []string{"-web.config.file", text}, "-web.config.file " + text + ": ", []string{"see docs"}},
		{"a path without a slash", []string{"-web.telemetry-path", "metrics"}, "-web.telemetry-path metrics: ", []string{"such as /metrics"}},
		{"an empty path", []string{"-web.telemetry-path", ""}, `-web.telemetry-path "": `, []string{"such as /metrics"}},
		{"a path of a health check", []string{"-web.telemetry-path", "/-/ready"}, "-web.telemetry-path /-/ready: ", []string{"use another path"}},
		{"a file and a listening address", []string{"-read", whole, "-web.listen-address", ":9101"}, "-web.listen-address :9101: ", []string{"leave it out with -read"}},
		{"an empty address for profiles", []string{"-pprof", ""}, `-pprof "": `, []string{"host:port"}},
		{"profiles on a port beyond 65535", []string{"-pprof", "65536"}, "-pprof 65536: ", []string{"host:port"}},
		{"profiles on a port that is a word", []string{"-pprof", "profiles"}, "-pprof profiles: ", []string{"host:port"}},
		{"profiles at an address of another machine", []string{"-pprof", "192.0.2.77:6060"}, "-pprof 192.0.2.77:6060: ", []string{"address of this machine"}},

		{"no metrics", []string{"-metrics", ""}, `-metrics "": `, []string{"name per-stream metrics"}},
		{"metrics that do not exist", []string{"-metrics", "tcp_nonsense"}, "-metrics tcp_nonsense: ", []string{"docs/metrics.md"}},
		{"metrics that are no expression", []string{"-metrics", "tcp_("}, "-metrics tcp_(: ", []string{"docs/metrics.md"}},
		{"an exclusion of none", []string{"-metrics-exclude", ""}, `-metrics-exclude "": `, []string{"name per-stream metrics"}},
		{"an exclusion of what does not exist", []string{"-metrics-exclude", "tcp_nonsense"}, "-metrics-exclude tcp_nonsense: ", []string{"docs/metrics.md"}},
		{"an exclusion of all", []string{"-metrics", "tcp_.*", "-metrics-exclude", "tcp_.*"}, "-metrics tcp_.* and -metrics-exclude tcp_.*: ", []string{"-no-stream-metrics"}},
		{"metrics and none", []string{"-metrics", "tcp_.*", "-no-stream-metrics"}, "-metrics tcp_.* and -no-stream-metrics: ", []string{"give one"}},
		{"an exclusion and none", []string{"-metrics-exclude", "tcp_.*", "-no-stream-metrics"}, "-metrics-exclude tcp_.* and -no-stream-metrics: ", []string{"give one"}},
		{"a top and none", []string{"-streams-top", "5", "-no-stream-metrics"}, "-streams-top 5 and -no-stream-metrics: ", []string{"give one"}},
		{"least bytes and none", []string{"-streams-min-bytes", "5", "-no-stream-metrics"}, "-streams-min-bytes 5 and -no-stream-metrics: ", []string{"give one"}},
		{"a least age and none", []string{"-streams-min-age", "5s", "-no-stream-metrics"}, "-streams-min-age 5s and -no-stream-metrics: ", []string{"give one"}},

		{"a top by something else", []string{"-streams-top", "5", "-streams-top-by", "colour"}, "-streams-top-by colour: ", []string{"bytes"}},
		{"a top of none", []string{"-streams-top", "0"}, "-streams-top 0: ", []string{"1 or more"}},
		{"an empty top", []string{"-streams-top", ""}, `-streams-top "": `, []string{"such as"}},
		{"a negative top", []string{"-streams-top", "-1"}, "-streams-top -1: ", []string{"1 or more"}},
		{"a top of 64 bits", []string{"-streams-top", over64}, "-streams-top 9223372036854775808: ", []string{"such as"}},
		{"a top that is no number", []string{"-streams-top", "all"}, "-streams-top all: ", []string{"such as"}},
		{"empty least bytes", []string{"-streams-min-bytes", ""}, `-streams-min-bytes "": `, []string{"such as"}},
		{"negative least bytes", []string{"-streams-min-bytes", "-1"}, "-streams-min-bytes -1: ", []string{"0 or more"}},
		{"least bytes of 64 bits", []string{"-streams-min-bytes", over64}, "-streams-min-bytes 9223372036854775808: ", []string{"such as"}},
		{"least bytes that are no number", []string{"-streams-min-bytes", "1k"}, "-streams-min-bytes 1k: ", []string{"such as"}},
		{"an empty least age", []string{"-streams-min-age", ""}, `-streams-min-age "": `, []string{"such as"}},
		{"a negative least age", []string{"-streams-min-age", "-1s"}, "-streams-min-age -1s: ", []string{"10s"}},
		{"a least age without a unit", []string{"-streams-min-age", "10"}, "-streams-min-age 10: ", []string{"such as"}},

		{"IPv6 that is neither on nor off", []string{"-ipv6=maybe"}, "-ipv6 maybe: ", []string{"true or false"}},
		{"debugging that is neither on nor off", []string{"-debug="}, `-debug "": `, []string{"true or false"}},
		{"an unknown log level", []string{"-log.level", "loud"}, "-log.level loud: ", []string{"debug, info, warn or error"}},
		{"an empty log level", []string{"-log.level", ""}, `-log.level "": `, []string{"debug, info, warn or error"}},
		{"two log levels", []string{"-debug", "-log.level", "warn"}, "-debug true and -log.level warn: ", []string{"give only one"}},
		{"an unknown log format", []string{"-log.format", "xml"}, "-log.format xml: ", []string{"logfmt or json"}},
		{"an empty log format", []string{"-log.format", ""}, `-log.format "": `, []string{"logfmt or json"}},
		{"a file and a log level", []string{"-read", whole, "-log.level", "warn"}, "-log.level warn: ", []string{"leave it out with -read"}},
		{"a file and a log format", []string{"-read", whole, "-log.format", "json"}, "-log.format json: ", []string{"leave it out with -read"}},
		{"Go metrics that are neither on nor off", []string{"-go-metrics=2"}, "-go-metrics 2: ", []string{"true or false"}},
		{"process metrics that are neither on nor off", []string{"-process-metrics=yes"}, "-process-metrics yes: ", []string{"true or false"}},
		{"stream metrics that are neither on nor off", []string{"-no-stream-metrics=no"}, "-no-stream-metrics no: ", []string{"true or false"}},
		{"a version that is neither on nor off", []string{"-version=1.0"}, "-version 1.0: ", []string{"true or false"}},

		{"a group without prefixes", []string{"-group", "a"}, "-group a: ", []string{"want NAME=CIDR"}},
		{"a group with host bits", []string{"-group", "a=10.1.2.3/8"}, "-group a=10.1.2.3/8: ", []string{"write 10.0.0.0/8"}},
		{"a prefix in two groups", []string{"-group", "a=10.0.0.0/8", "-group", "b=10.0.0.0/8"}, "-group b=10.0.0.0/8: ", []string{"in group a already (-group a=10.0.0.0/8)"}},
		{"a file of groups without a name", []string{"-groups", ""}, `-groups "": `, []string{"name a file"}},
		{"a file of groups that does not exist", []string{"-groups", "no.groups"}, "-groups no.groups: ", []string{"no such file", "name a file"}},
		{"a folder of groups", []string{"-groups", folder}, "-groups " + folder + ": ", []string{"regular file"}},
		{"a bad prefix in a file of groups", []string{"-groups", bad}, "-groups " + bad + ": line 2: ", []string{`"10.0.0/8" is no prefix`, "want"}},
		{"more groups than room", []string{"-groups", three, "-group-max", "2"}, "-groups " + three + ": line 3: ", []string{"-group-max 2", "raise it"}},
		{"no combinations", []string{"-group-max", "0"}, "-group-max 0: ", []string{"1 to 65536"}},
		{"combinations of 64 bits", []string{"-group-max", over64}, "-group-max 9223372036854775808: ", []string{"such as 128"}},
		{"no combinations with subnets", []string{"-group-max-subnets", "0"}, "-group-max-subnets 0: ", []string{"1 to 65536"}},
		{"empty combinations with subnets", []string{"-group-max-subnets", ""}, `-group-max-subnets "": `, []string{"such as 4096"}},
		{"an empty list of services", []string{"-service-ports", ""}, `-service-ports "": `, []string{"or none"}},
		{"a service beyond 65535", []string{"-service-ports", "80,65536"}, "-service-ports 80,65536: ", []string{`"65536" is no port`, "want 1 to 65535"}},
		{"a service twice", []string{"-service-ports", "80,80"}, "-service-ports 80,80: ", []string{"leave one out"}},
		{"empty metrics by group", []string{"-group-metrics", ""}, `-group-metrics "": `, []string{"name metrics by group"}},
		{"metrics by group that do not exist", []string{"-group-metrics", "tcp_resets_total"}, "-group-metrics tcp_resets_total: ", []string{"docs/metrics.md"}},
		{"a file and groups", []string{"-read", whole, "-group", "a=10.0.0.0/8"}, "-group a=10.0.0.0/8: ", []string{"leave it out with -read"}},

		{"a file without a name", []string{"-read", ""}, `-read "": `, []string{"name a capture file"}},
		{"a file that does not exist", []string{"-read", "no.pcap"}, "-read no.pcap: ", []string{"name a capture file"}},
		{"a folder", []string{"-read", folder}, "-read " + folder + ": ", []string{"name a capture file"}},
		{"an empty file", []string{"-read", empty}, "-read " + empty + ": ", []string{"name a capture file"}},
		{"a file of another kind", []string{"-read", text}, "-read " + text + ": ", []string{"editcap"}},
		{"a compressed file", []string{"-read", packed}, "-read " + packed + ": ", []string{"decompress"}},
		{"a compressed file that is damaged", []string{"-read", broken}, "-read " + broken + ": ", []string{"gzip", "name a whole file"}},
		{"a second file that does not exist", []string{"-read", whole, "no.pcap"}, "-read no.pcap: ", []string{"name a capture file"}},
		{"a second file without a name", []string{"-read", whole, ""}, `argument "": `, []string{"name a capture file"}},
		{"standard input twice", []string{"-read", "-", "-"}, "-read -: ", []string{"once"}},
		{"two flags for two files", []string{"-read", whole, "-read", empty}, "-read " + whole + " and -read " + empty + ": ", []string{"-read " + whole + " " + empty}},
		{"a repeated reading of nothing", []string{"-repeat", "2"}, "-repeat 2: ", []string{"-read"}},
		{"no reading", []string{"-read", whole, "-repeat", "0"}, "-repeat 0: ", []string{"1 or more"}},
		{"a negative number of readings", []string{"-read", whole, "-repeat", "-1"}, "-repeat -1: ", []string{"1 or more"}},
		{"an empty number of readings", []string{"-read", whole, "-repeat", ""}, `-repeat "": `, []string{"such as"}},
		{"readings of 64 bits", []string{"-read", whole, "-repeat", over64}, "-repeat 9223372036854775808: ", []string{"such as"}},
		{"readings that are no number", []string{"-read", whole, "-repeat", "twice"}, "-repeat twice: ", []string{"such as"}},
		{"an unknown output", []string{"-read", whole, "-output", "yaml"}, "-output yaml: ", []string{"prometheus", "json", "table"}},
		{"an empty output", []string{"-read", whole, "-output", ""}, `-output "": `, []string{"prometheus", "json", "table"}},
		{"an output without a file", []string{"-output", "json"}, "-output json: ", []string{"-read"}},
		{"a table with chosen metrics", []string{"-read", whole, "-output", "table", "-metrics", "default"}, "-metrics default and -output table: ", []string{"leave out"}},
		{"JSON without stream metrics", []string{"-read", whole, "-output", "json", "-no-stream-metrics"}, "-no-stream-metrics true and -output json: ", []string{"leave out"}},
		{"an order that is unknown", []string{"-read", whole, "-output", "table", "-sort", "size"}, "-sort size: ", []string{"bytes", "retransmits", "delay"}},
		{"an empty order", []string{"-read", whole, "-output", "table", "-sort", ""}, `-sort "": `, []string{"bytes", "retransmits", "delay"}},
		{"an order of JSON", []string{"-read", whole, "-output", "json", "-sort", "bytes"}, "-sort bytes: ", []string{"-output table"}},
		{"a file and an interface", []string{"-read", whole, "-interface", veth}, "-interface " + veth + ": ", []string{"leave it out with -read"}},
		{"a file and an address", []string{"-read", whole, "-port", ":9100"}, "-port :9100: ", []string{"leave it out with -read"}},
		{"a file and a check", []string{"-read", whole, "-check"}, "-check true: ", []string{"leave it out with -read"}},
		{"a check with a wrong flag beside it", []string{"-check", "-numblocks", "0"}, "-numblocks 0: ", []string{"such as 128"}},
		{"a check of an interface that does not exist", []string{"-interface", "eth7", "-check"}, "-interface eth7: ", []string{"any", "lo", veth}},
		{"a file and a frame size", []string{"-read", whole, "-framesize", "2048"}, "-framesize 2048: ", []string{"leave it out with -read"}},
		{"a file and a block size", []string{"-read", whole, "-blocksize", "4096"}, "-blocksize 4096: ", []string{"leave it out with -read"}},
		{"a file and blocks", []string{"-read", whole, "-numblocks", "8"}, "-numblocks 8: ", []string{"leave it out with -read"}},
		{"a file and a retire timeout", []string{"-read", whole, "-retire-timeout", "9ms"}, "-retire-timeout 9ms: ", []string{"leave it out with -read"}},
		{"a file and workers", []string{"-read", whole, "-workers", "2"}, "-workers 2: ", []string{"leave it out with -read"}},
		{"a file and CPUs", []string{"-read", whole, "-cpus", "0"}, "-cpus 0: ", []string{"leave it out with -read"}},

		{"an unknown flag", []string{"-colour"}, "-colour: ", []string{"-help"}},
		{"an unknown flag with a value", []string{"--colour=red"}, "-colour: ", []string{"-help"}},
		{"a flag without a name", []string{"-=5"}, "-=5: ", []string{"-help"}},
		{"three dashes", []string{"---port", ":9101"}, "---port: ", []string{"-help"}},
		{"a flag without its value", []string{"-interface", veth, "-port"}, "-port: ", []string{":9100"}},
		{"a stray argument", []string{"-debug", "eth0"}, `argument "eth0": `, []string{"-help"}},
		{"a stray empty argument", []string{"-debug", ""}, `argument "": `, []string{"-help"}},
	} {
		t.Run(c.says, func(t *testing.T) {
			args := c.args
			for _, arg := range args {
				flag, _, _ := strings.Cut(arg, "=")
				given[flag] = true
			}
			if args[0] != "-interface" && args[0] != "-read" {
				args = append([]string{"-interface", veth}, args...)
			}
			refused(t, l.A, "", args, c.want, c.hints...)
		})
	}

	// The kernel gives no more address space than RLIMIT_AS: memory that cannot be had, without
	// taking all of the machine's to show it. (The runtime reserves more than 1 GiB of it.)
	t.Run("a ring that cannot be allocated", func(t *testing.T) {
		need.Tool(t, "prlimit")
		refused(t, l.A, "prlimit --as=2147483648",
			[]string{"-interface", veth, "-max-connections", "1000", "-numblocks", "4096"},
			"-numblocks 4096 and -blocksize 262144: ", "1073741824 bytes", "cannot allocate memory", "fewer or smaller blocks")
	})
	t.Run("connections that cannot be allocated", func(t *testing.T) {
		need.Tool(t, "prlimit")
		refused(t, l.A, "prlimit --as=4294967296", []string{"-interface", veth, "-max-connections", "8388608"},
			"-max-connections 8388608: ", "4831838208 bytes", "cannot allocate memory", "fewer connections")
	})
	t.Run("no right to open a packet socket", func(t *testing.T) {
		need.Tool(t, "setpriv")
		refused(t, l.A, "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all",
			[]string{"-interface", veth}, "open a packet socket: ", "CAP_NET_RAW", "setcap cap_net_raw+ep")
	})
	t.Run("no right to a port below 1024", func(t *testing.T) {
		need.Tool(t, "setpriv")
		const wrapper = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all"
		refused(t, l.A, wrapper, []string{"-interface", veth, "-port", ":80"}, "-port :80: ", "CAP_NET_BIND_SERVICE", ":9100")
		refused(t, l.A, wrapper, []string{"-interface", veth, "-pprof", "80"}, "-pprof 80: ", "CAP_NET_BIND_SERVICE")
	})
	t.Run("every flag is in the inventory", func(t *testing.T) {
		for _, flag := range regexp.MustCompile(`(?m)^ +-([a-z0-9.-]+)`).FindAllStringSubmatch(output(t, "-help"), -1) {
			if !given["-"+flag[1]] {
				t.Errorf("no row has -%s", flag[1])
			}
		}
	})
	for _, c := range []struct {
		port string
		node bool
	}{{"9100", true}, {"9123", false}} {
		t.Run("port "+c.port+" in use", func(t *testing.T) {
			other, err := l.A.Listen("tcp", ":"+c.port)
			if err != nil {
				t.Fatal(err)
			}
			line := run(t, l.A, "", []string{"-interface", veth, "-port", ":" + c.port}, "-port :"+c.port+": ", "in use", "choose another")
			if got := strings.Contains(line, "node_exporter"); got != c.node {
				t.Errorf("%q names node_exporter: %v, want %v", line, got, c.node)
			}
			other.Close()
			nothingLeft(t, l.A)
		})
	}
}

// orPorts returns the end of a filter that takes a comparison for each of n ports. Behind protochain libpcap
// does not optimize it, which would take seconds.
func orPorts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " or port %d", 2*i+1) // neighbours would be one range
	}
	return b.String()
}

// refused runs the exporter as run does, and wants nothing of it to be left.
func refused(t *testing.T, ns *lab.NS, wrapper string, args []string, want string, hints ...string) {
	t.Helper()
	run(t, ns, wrapper, args, want, hints...)
	nothingLeft(t, ns)
}

// A message does not begin with the name of a package, and has the remedy.
var (
	packageName = regexp.MustCompile(`^[a-z/]+: `)
	remedy      = regexp.MustCompile(`\b(want|use|give|name|leave|needs|choose|see|simplify|shorten|write|convert|decompress|help|docs)\b`)
)

// run runs the exporter, behind the command wrapper if there is one, and wants it to end by itself
// with a status above zero and one line on standard error: behind the program's name it begins with want,
// and it contains all hints and something to do. It returns the line.
func run(t *testing.T, ns *lab.NS, wrapper string, args []string, want string, hints ...string) string {
	t.Helper()
	words := append([]string{"netns", "exec", ns.Name}, strings.Fields(wrapper)...)
	words = append(words, binary(t)) // the first time it is built, which takes a busy machine longer
	ctx, cancel := context.WithTimeout(context.Background(), usageTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", append(words, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Run() // the status says all
	if ctx.Err() != nil {
		t.Fatalf("%q still runs after %v, stderr:\n%s", args, usageTimeout, &stderr)
	}
	if status := cmd.ProcessState.ExitCode(); status <= 0 {
		t.Errorf("%q ended with %v, want an exit status above zero", args, cmd.ProcessState)
	}
	if stdout.Len() != 0 {
		t.Errorf("%q wrote to standard output: %q, want nothing", args, &stdout)
	}
	line, rest, whole := strings.Cut(stderr.String(), "\n")
	if !whole || line == "" || rest != "" {
		t.Errorf("%q wrote to standard error:\n%s\nwant one line", args, &stderr)
	}
	message, named := strings.CutPrefix(line, "tcp-stream-exporter: ")
	if !named || !strings.HasPrefix(message, want) || packageName.MatchString(message) {
		t.Errorf("says %q, want it to begin with %q", line, "tcp-stream-exporter: "+want)
	}
	if !remedy.MatchString(message) {
		t.Errorf("says %q, want something to do in it", line)
	}
	for _, hint := range hints {
		if !strings.Contains(message, hint) {
			t.Errorf("says %q, want it to contain %q", line, hint)
		}
	}
	return line
}

// nothingLeft wants no packet socket and no listening TCP socket in the namespace.
func nothingLeft(t *testing.T, ns *lab.NS) {
	t.Helper()
	for file, is := range map[string]func(fields []string) bool{
		"packet": func([]string) bool { return true },
		"tcp":    listens,
		"tcp6":   listens,
	} {
		path := "/proc/thread-self/net/" + file
		var text []byte
		err := ns.Do(func() (err error) {
			text, err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		for _, line := range lines[1:] { // behind the heading
			if is(strings.Fields(line)) {
				t.Errorf("left over in %s: %s, want nothing", path, line)
			}
		}
	}
}

// listens reports whether a line of /proc/net/tcp is of a listening socket: state 0A, TCP_LISTEN.
func listens(fields []string) bool { return len(fields) > 3 && fields[3] == "0A" }
