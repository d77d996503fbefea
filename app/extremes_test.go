package app

import (
	"flag"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/table"
)

// Numbers that no int64 and no uint64 holds, and the first below the least int64.
const (
	over63 = "9223372036854775808"
	over64 = "18446744073709551616"
	under  = "-9223372036854775809"
)

// The longest duration, and one ns more.
const (
	longestDuration = "2562047h47m16.854775807s"
	tooLong         = "2562047h47m16.854775808s"
)

// extreme is a value of a flag, and what the error says; nothing: the flag takes it.
type extreme struct{ flag, value, want string }

// byWord chooses by how many bits an int has.
func byWord(bits32, bits64 string) string {
	if strconv.IntSize == 32 {
		return bits32
	}
	return bits64
}

// extremes returns the edges of every number and duration on the command line, and of what they are converted
// to and multiplied with: the kernel's fields of 16 and 32 bits, milliseconds, the mapping's length.
func extremes() []extreme {
	const beyond, noDuration, noAddress = "beyond any number: want one such as", "no duration: want a number and its unit, such as", "want host:port"
	connections := "want 1 to " + strconv.Itoa(table.MaxConnections)
	workers := "want 1 to " + strconv.Itoa(ring.MaxRings)
	retire := "want 1ms to 150ms"
	snap := "want 98 to 262144 bytes"
	sample := "want 1 (all connections) to 65536"
	rows := []extreme{
		{"max-connections", "-2147483648", connections},
		{"max-connections", "-1", connections},
		{"max-connections", "0", connections},
		{"max-connections", "1", ""},
		{"max-connections", strconv.Itoa(table.MaxConnections), ""},
		{"max-connections", strconv.Itoa(table.MaxConnections + 1), connections},
		{"max-connections", "2147483647", connections},
		{"max-connections", "4294967297", byWord(beyond, connections)}, // 1 in 32 bits
		{"max-connections", strconv.Itoa(math.MaxInt), connections},

		{"workers", "-2147483648", workers},
		{"workers", "-1", workers},
		{"workers", "0", workers},
		{"workers", "256", ""},
		{"workers", "257", workers},
		{"workers", "2147483647", workers},
		{"workers", "4294967297", byWord(beyond, workers)},
		{"workers", strconv.Itoa(math.MaxInt), workers},

		{"snaplen", "-2147483648", snap},
		{"snaplen", "97", snap},
		{"snaplen", "98", ""},
		{"snaplen", "262144", ""},
		{"snaplen", "262145", snap},
		{"snaplen", "4294967494", byWord(beyond, snap)}, // 198 in 32 bits

		{"sample", "-2147483648", sample},
		{"sample", "-1", sample},
		{"sample", "0", sample},
		{"sample", "1", ""},
		{"sample", "65536", ""},
		{"sample", "65537", sample},
		{"sample", "2147483647", sample},
		{"sample", "4294967298", byWord(beyond, sample)}, // 2 in 32 bits

		{"blocksize", "-2147483648", "want a positive number of bytes"},
		{"blocksize", "-1", "want a positive number of bytes"},
		{"blocksize", "0", "want a positive number of bytes"},
		{"blocksize", "1", "not a multiple of the page size"},
		{"blocksize", "16711680", ""}, // times 128: below 2 GiB
		{"blocksize", "16777216", byWord("more than this program can address", "")},
		{"blocksize", "2147418112", byWord("more than this program can address", "")}, // the last 64 KiB below 2 GiB
		{"blocksize", "2147483647", "not a multiple of the page size"},
		{"blocksize", "2147483648", byWord(beyond, "use at most")},
		{"blocksize", "4295229440", byWord(beyond, "use at most")}, // 262144 in 32 bits
		{"blocksize", strconv.Itoa(math.MaxInt), byWord("not a multiple of the page size", "use at most")},

		{"framesize", "-2147483648", "want a positive number of bytes"},
		{"framesize", "-16", "want a positive number of bytes"},
		{"framesize", "0", "want a positive number of bytes"},
		{"framesize", "79", "use at least 80"},
		{"framesize", "80", ""},
		{"framesize", "81", "use 96"},
		{"framesize", "262144", ""},
		{"framesize", "262160", "a frame is larger than a block"},
		{"framesize", "2147483647", "a frame is larger than a block"},
		{"framesize", "4294969344", byWord(beyond, "a frame is larger than a block")}, // 2048 in 32 bits
		{"framesize", strconv.Itoa(math.MaxInt), "a frame is larger than a block"},

		{"numblocks", "-2147483648", "want a positive number"},
		{"numblocks", "-1", "want a positive number"},
		{"numblocks", "0", "want a positive number"},
		{"numblocks", "1", ""},
		{"numblocks", "8191", ""}, // times 256 KiB: below 2 GiB
		{"numblocks", "8192", byWord("more than this program can address", "")},
		{"numblocks", "16385", byWord("more than this program can address", "")}, // 256 KiB in 32 bits
		{"numblocks", "65536", byWord("more than this program can address", "")},
		{"numblocks", "65537", "use at most 65536"}, // 1 in the kernel's 16 bits
		{"numblocks", "2147483647", "use at most 65536"},
		{"numblocks", "4294967297", byWord(beyond, "use at most 65536")},
		{"numblocks", strconv.Itoa(math.MaxInt), "use at most 65536"},

		{"retire-timeout", "-2562047h", retire},
		{"retire-timeout", "-1ns", retire},
		{"retire-timeout", "0", retire},
		{"retire-timeout", "1ns", retire},
		{"retire-timeout", "999999ns", retire},
		{"retire-timeout", "1ms", ""},
		{"retire-timeout", "1000001ns", ""},
		{"retire-timeout", "150ms", ""},
		{"retire-timeout", "150000001ns", retire},
		{"retire-timeout", "65536ms", retire}, // 0 in the kernel's 16 bits
		{"retire-timeout", "4294967296ns", retire},
		{"retire-timeout", "1193h2m47.297s", retire}, // 1 ms in 32 bits
		{"retire-timeout", longestDuration, retire},

		{"streams-top", "-2147483648", "want 1 or more"},
		{"streams-top", "-1", "want 1 or more"},
		{"streams-top", "0", "want 1 or more"},
		{"streams-top", "1", ""},
		{"streams-top", "2147483647", ""},
		{"streams-top", "2147483648", byWord(beyond, "")},
		{"streams-top", strconv.Itoa(math.MaxInt), ""},
		{"streams-top", strconv.Itoa(math.MinInt), "want 1 or more"},

		{"streams-min-bytes", strconv.Itoa(math.MinInt), "want 0 or more"},
		{"streams-min-bytes", "-9223372036854775808", "want 0 or more"},
		{"streams-min-bytes", "-1", "want 0 or more"},
		{"streams-min-bytes", "0", ""},
		{"streams-min-bytes", "2147483648", ""},
		{"streams-min-bytes", "4294967296", ""},
		{"streams-min-bytes", "9223372036854775807", ""},

		{"streams-min-age", "-2562047h", "want a duration of 0 or more"},
		{"streams-min-age", "-1ns", "want a duration of 0 or more"},
		{"streams-min-age", "0", ""},
		{"streams-min-age", "1ns", ""},
		{"streams-min-age", longestDuration, ""},

		{"group-max", "-1", "want 1 to 65536"},
		{"group-max", "0", "want 1 to 65536"},
		{"group-max", "1", ""},
		{"group-max", "65536", ""},
		{"group-max", "65537", "want 1 to 65536"},
		{"group-max", "4294967297", byWord(beyond, "want 1 to 65536")}, // 1 in 32 bits
		{"group-max", strconv.Itoa(math.MaxInt), "want 1 to 65536"},
		{"group-max-subnets", "-1", "want 1 to 65536"},
		{"group-max-subnets", "0", "want 1 to 65536"},
		{"group-max-subnets", "1", ""},
		{"group-max-subnets", "65536", ""},
		{"group-max-subnets", "65537", "want 1 to 65536"},
		{"group-max-subnets", "4294967297", byWord(beyond, "want 1 to 65536")},
		{"group-max-subnets", strconv.Itoa(math.MaxInt), "want 1 to 65536"},
		{"service-ports", "1", ""},
		{"service-ports", "65535", ""},
		{"service-ports", "none", ""},
		{"service-ports", "-1", "no port: want 1 to 65535"},
		{"service-ports", "0", "no port: want 1 to 65535"},
		{"service-ports", "65536", "no port: want 1 to 65535"},
		{"service-ports", "4294967376", "no port: want 1 to 65535"}, // 80 in 32 bits
		{"service-ports", over64, "no port: want 1 to 65535"},
		{"group", "a=0.0.0.0/0,::/0", ""},
		{"group", "a=0.0.0.0/-1", "is no prefix"},
		{"group", "a=0.0.0.0/33", "is no prefix"},
		{"group", "a=::/129", "is no prefix"},
		{"group", "a=::/4294967296", "is no prefix"},
		{"group", "a/1=0.0.0.0/0", ""},
		{"group", "a/32=0.0.0.0/0", ""},
		{"group", "a/64=::/0", ""},
		{"group", "a/-1=0.0.0.0/0", "want 1 to 32 for IPv4"},
		{"group", "a/0=0.0.0.0/0", "want 1 to 32 for IPv4"},
		{"group", "a/33=0.0.0.0/0", "a length of 1 to 32"},
		{"group", "a/65=::/0", "want 1 to 32 for IPv4"},
		{"group", "a/280=0.0.0.0/0", "want 1 to 32 for IPv4"}, // 24 in 8 bits
		{"group", "a/" + over64 + "=0.0.0.0/0", "want 1 to 32 for IPv4"},

		{"tunnels", "", ""},
		{"tunnels", "gre,ipip,sit,vxlan,geneve,gtpu,erspan", ""},
		{"tunnels", "gre,,ipip", "choose from gre,ipip,sit,vxlan,geneve,gtpu,erspan"},
		{"tunnels", "pptp", "choose from gre,ipip,sit,vxlan,geneve,gtpu,erspan"},

		{"cpus", "-1", "is no CPU"},
		{"cpus", "0-1023", ""},
		{"cpus", "1024", "is no CPU"},
		{"cpus", "0-2147483647", "is no CPU"},
		{"cpus", "4294967296", "is no CPU"}, // 0 in 32 bits
		{"cpus", over63, "is no CPU"},
		{"cpus", over64, "is no CPU"},

		{"pprof", "-1", "no address"},
		{"pprof", "0", ""},
		{"pprof", "65535", ""},
		{"pprof", "65536", "no address"},
		{"pprof", "4294973356", "no address"}, // 6060 in 32 bits
		{"pprof", over64, "no address"},
		{"port", ":-1", noAddress},
		{"port", ":0", ""},
		{"port", ":65535", ""},
		{"port", ":65536", noAddress},
		{"port", ":2147483648", noAddress},
		{"port", ":4294976396", noAddress}, // 9100 in 32 bits
		{"port", ":18446744073709560716", noAddress},
		{"web.listen-address", ":-1", noAddress},
		{"web.listen-address", ":0", ""},
		{"web.listen-address", ":65535", ""},
		{"web.listen-address", ":65536", noAddress},
		{"web.listen-address", ":4294976396", noAddress}, // 9100 in 32 bits
	}
	for _, name := range []string{"max-connections", "workers", "blocksize", "framesize", "numblocks", "streams-top", "snaplen", "group-max", "group-max-subnets"} {
		rows = append(rows,
			extreme{name, over63, beyond}, extreme{name, over64, beyond}, extreme{name, under, beyond}, extreme{name, "-0x1" + strings.Repeat("0", 16), beyond})
	}
	for _, value := range []string{over63, over64, under} {
		rows = append(rows, extreme{"streams-min-bytes", value, beyond})
	}
	for _, name := range []string{"stream-age", "max-age", "finalized-age", "syn-age"} {
		rows = append(rows, extreme{name, "-1ns", "or 0: never"}, extreme{name, "0", ""}, extreme{name, "1ns", ""}, extreme{name, longestDuration, ""})
	}
	for _, name := range []string{"stream-age", "max-age", "finalized-age", "syn-age", "retire-timeout", "streams-min-age"} {
		rows = append(rows, extreme{name, tooLong, noDuration}, extreme{name, "2562048h", noDuration}, extreme{name, over64 + "ns", noDuration})
	}
	return rows
}

// TestNumbersAtTheirExtremes: a number that cannot be is one line that begins with the flag and the value
// as typed and has the remedy; on every processor, whatever an int holds there.
func TestNumbersAtTheirExtremes(t *testing.T) {
	check := func(row extreme, args ...string) {
		_, err := parseFlags(append(args, "-"+row.flag, row.value), io.Discard)
		if row.want == "" {
			if err != nil {
				t.Errorf("-%s %s: %v", row.flag, row.value, err)
			}
			return
		}
		if err == nil {
			t.Errorf("-%s %s: taken, want an error with %q", row.flag, row.value, row.want)
			return
		}
		flags, _, _ := strings.Cut(err.Error(), ": ") // the flag may stand there with another
		if !strings.Contains(flags, "-"+row.flag+" "+row.value) || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("-%s %s: error %v, want one line with %q", row.flag, row.value, err, row.want)
		}
	}
	given := map[string]bool{}
	for _, row := range extremes() {
		check(row)
		given[row.flag] = true
	}
	for _, row := range []extreme{
		{"repeat", strconv.Itoa(math.MinInt), "want 1 or more"},
		{"repeat", "-1", "want 1 or more"},
		{"repeat", "0", "want 1 or more"},
		{"repeat", "2147483647", ""},
		{"repeat", "4294967297", byWord("beyond any number", "")},
		{"repeat", strconv.Itoa(math.MaxInt), ""},
		{"repeat", over63, "beyond any number"},
		{"repeat", under, "beyond any number"},
	} {
		check(row, "-read", "file")
		given[row.flag] = true
	}
	// No flag that takes a number or a duration is left out.
	o, err := parseFlags(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o.line.VisitAll(func(f *flag.Flag) {
		switch f.Value.(*onceValue).Value.(flag.Getter).Get().(type) {
		case int, int64, uint, uint64, float64, time.Duration:
			if !given[f.Name] {
				t.Errorf("no row has -%s", f.Name)
			}
		}
	})
	if strconv.IntSize == 32 {
		if want := 1 << 20; table.MaxConnections != want {
			t.Errorf("up to %d connections, want %d: more do not fit the address space", table.MaxConnections, want)
		}
	}
}

// TestNumbersInProgramsAtTheirExtremes: the numbers of a file of -packet-filter-file have 16, 8, 8 and 32 bits, and there
// are as many instructions as the kernel takes. The error names the line.
func TestNumbersInProgramsAtTheirExtremes(t *testing.T) {
	const instructions = "instructions, and the kernel takes 4096: simplify"
	for _, c := range []struct{ text, want string }{
		{"-1\n6 0 0 1\n", "line 1: \"-1\" is no number"},
		{"0\n6 0 0 1\n", "line 1: \"0\" is no number"},
		{"1\n6 0 0 1\n", ""},
		{"4096\n" + strings.Repeat("40 0 0 12\n", 4095) + "6 0 0 1\n", ""},
		{"4097\n" + strings.Repeat("40 0 0 12\n", 4096) + "6 0 0 1\n", "line 1: 4097 " + instructions},
		{"65537\n6 0 0 1\n", "line 1: 65537 " + instructions}, // 1 in the kernel's 16 bits
		{"4294967297\n6 0 0 1\n", "line 1: 4294967297 " + instructions},
		{over64 + "\n6 0 0 1\n", "line 1: \"" + over64 + "\" is no number"},
		{"1\n-65530 0 0 1\n", "line 2: \"-65530\" is no number of 16 bits"}, // 6 in 16 bits
		{"1\n65542 0 0 1\n", "line 2: \"65542\" is no number of 16 bits"},
		{"2\n21 256 0 1\n6 0 0 1\n", "line 2: \"256\" is no number of 8 bits"}, // 0 in 8 bits
		{"2\n21 0 " + over64 + " 1\n6 0 0 1\n", "is no number of 8 bits"},
		{"1\n6 0 0 4294967295\n", ""}, // more than any snap length
		{"1\n6 0 0 4294967296\n", "line 2: \"4294967296\" is no number of 32 bits"},
		{"2\n5 0 0 4294967295\n6 0 0 1\n", "line 2: it jumps over 4294967295 instructions"}, // -1 in 32 bits
		{"257\n21 255 0 1\n" + strings.Repeat("40 0 0 12\n", 255) + "6 0 0 1\n", ""},
		{"256\n21 255 0 1\n" + strings.Repeat("40 0 0 12\n", 254) + "6 0 0 1\n", "line 2: it jumps over 255 instructions, and 255 follow"},
	} {
		file := writeFile(t, "program", []byte(c.text))
		o, err := parseFlags([]string{"-packet-filter-file", file}, io.Discard)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%.60q: %v", c.text, err)
		case c.want == "":
			if last := o.filter.program[len(o.filter.program)-1]; last.K != uint32(o.snapLen) {
				t.Errorf("%.60q returns %d bytes, want %d", c.text, last.K, o.snapLen)
			}
		case err == nil || !strings.HasPrefix(err.Error(), "-packet-filter-file "+file+": line ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n"):
			t.Errorf("%.60q: error %v, want one line with %q", c.text, err, c.want)
		}
	}
}

// TestExtremesAtWork runs the numbers that are taken: whatever they are converted to or multiplied with
// means the same.
func TestExtremesAtWork(t *testing.T) {
	file := captureFile(t, conversations(20, 1000)...)
	for _, c := range []struct {
		flag, value string
		streams     int // that are exported, of 40
	}{
		{"streams-top", "1", 1},
		{"streams-top", "2147483647", 40},
		{"streams-top", strconv.Itoa(math.MaxInt), 40},
		{"streams-min-bytes", "1", 20},
		{"streams-min-bytes", "4294967297", 0},
		{"streams-min-bytes", "9223372036854775807", 0},
		{"streams-min-age", "1ns", 40},
		{"streams-min-age", longestDuration, 0},
		{"stream-age", longestDuration, 40},
		{"finalized-age", longestDuration, 40},
		{"syn-age", longestDuration, 40},
		{"max-age", longestDuration, 40},
		{"max-connections", "1", 2},
		{"max-connections", "20", 40},
		{"repeat", "3", 40},
	} {
		out, complaints, code := exporter("-read", file, "-"+c.flag, c.value)
		if got := strings.Count(out, "\ntcp_bytes_transferred_total{"); code != exitOK || got != c.streams {
			t.Errorf("-%s %s: status %d, %d streams, want %d: %s", c.flag, c.value, code, got, c.streams, complaints)
		}
	}
}

// TestRingExtremesFitTheKernel: the largest ring of each kind is in bytes and frames what it is called.
func TestRingExtremesFitTheKernel(t *testing.T) {
	for _, args := range [][]string{
		{"-framesize", "80", "-numblocks", "65536", "-blocksize", "1073741824"},
		{"-framesize", "96", "-numblocks", "65536", "-blocksize", "2147418112"},
	} {
		_, err := parseFlags(args, io.Discard)
		want := byWord("more than this program can address", "more than the kernel counts")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", args, err, want)
		}
	}
}
