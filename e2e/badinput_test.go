package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

// usageTimeout is how long the exporter may take to refuse what it is given.
const usageTimeout = 10 * time.Second

// Each row names what is given and what the one line on standard error must contain: the thing
// that is wrong and what to do about it.
func TestBadInput(t *testing.T) {
	l := lab.New(t)
	page := strconv.Itoa(os.Getpagesize())
	const veth = lab.IfName

	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"an interface that does not exist", []string{"-interface", "eth7"}, []string{`"eth7"`, "any", "lo", veth}},
		{"an empty interface name", []string{"-interface", ""}, []string{"-interface", "any", "lo", veth}},

		{"a filter that cannot be parsed", []string{"-packet-filter", "tcp porrt 80"}, []string{"tcp porrt 80", "syntax error"}},
		{"a filter with an unknown service", []string{"-packet-filter", "tcp port nosuchservice"}, []string{"tcp port nosuchservice"}},

		{"a block size beside the page size", []string{"-blocksize", "100000"}, []string{"100000", "multiple", page}},
		{"a block size of zero", []string{"-blocksize", "0"}, []string{"block size 0", "positive"}},
		{"a negative block size", []string{"-blocksize", "-4096"}, []string{"-4096", "positive"}},
		{"a block size beyond the kernel's int", []string{"-blocksize", "4294967296"}, []string{"4294967296", "at most"}},
		{"a block size that is no number", []string{"-blocksize", "big"}, []string{"-blocksize", `"big"`, "-help"}},

		{"a frame size that is no multiple of 16", []string{"-framesize", "2050"}, []string{"2050", "multiple", "16"}},
		{"a frame size larger than the block", []string{"-framesize", "8192", "-blocksize", "4096"}, []string{"8192", "4096", "larger"}},
		{"a frame size smaller than the kernel's header", []string{"-framesize", "16"}, []string{"frame size 16", "at least"}},
		{"a frame size of zero", []string{"-framesize", "0"}, []string{"frame size 0", "positive"}},
		{"a negative frame size", []string{"-framesize", "-2048"}, []string{"-2048", "positive"}},

		{"no blocks", []string{"-numblocks", "0"}, []string{"blocks 0", "positive"}},
		{"a negative number of blocks", []string{"-numblocks", "-1"}, []string{"-1", "positive"}},
		{"blocks beyond the kernel's counter", []string{"-numblocks", "2147483648"}, []string{"2147483648", "at most"}},
		{"blocks whose bytes overflow 64 bits", []string{"-numblocks", "9223372036854775807"}, []string{"9223372036854775807", "at most"}},
		{"a number of blocks that no integer holds", []string{"-numblocks", "99999999999999999999"}, []string{"-numblocks", "99999999999999999999", "-help"}},
		{"more frames than the kernel counts", []string{"-numblocks", "65536", "-blocksize", "1073741824", "-framesize", "80"}, []string{"frame size 80", "65536", "1073741824"}},
		{"a ring larger than the memory there is", []string{"-numblocks", "65536", "-blocksize", "1073741824", "-framesize", "1048576"}, []string{"70368744177664 bytes", "available", "fewer or smaller blocks"}},
		{"a negative stream age", []string{"-stream-age", "-5m"}, []string{"-stream-age -5m", "or 0: never"}},
		{"a stream age without a unit", []string{"-stream-age", "5"}, []string{"-stream-age", `"5"`, "-help"}},
		{"a negative max age", []string{"-max-age", "-1s"}, []string{"-max-age -1s", "or 0: never"}},
		{"a negative SYN age", []string{"-syn-age", "-1ns"}, []string{"-syn-age -1ns", "or 0: never"}},
		{"a negative finalized age", []string{"-finalized-age", "-1ms"}, []string{"-finalized-age -1ms", "or 0: never"}},
		{"two names of one age that differ", []string{"-stream-age", "5m", "-max-age", "4m"}, []string{"-stream-age 5m", "-max-age 4m", "one"}},
		{"two names of one age that agree", []string{"-stream-age", "5m", "-max-age", "5m"}, []string{"-stream-age 5m", "-max-age 5m", "one"}},
		{"a flag given twice", []string{"-port", ":9101", "-port", ":9102"}, []string{"-port :9101", "-port :9102", "once"}},

		{"no connections", []string{"-max-connections", "0"}, []string{"-max-connections 0", "1 to"}},
		{"a negative number of connections", []string{"-max-connections", "-1"}, []string{"-max-connections -1", "1 to"}},
		{"more connections than a table can have", []string{"-max-connections", "4294967296"}, []string{"-max-connections 4294967296", "1 to"}},

		{"a port without a colon", []string{"-port", "9100"}, []string{`-port "9100"`, ":9100"}},
		{"a port beyond 65535", []string{"-port", ":65536"}, []string{`-port ":65536"`, ":9100"}},
		{"a port that is a word", []string{"-port", ":metrics"}, []string{`-port ":metrics"`, ":9100"}},
		{"an address without a port", []string{"-port", "127.0.0.1:"}, []string{`-port "127.0.0.1:"`, ":9100"}},
		{"an address of another machine", []string{"-port", "192.0.2.77:9100"}, []string{"192.0.2.77:9100"}},

		{"an unknown flag", []string{"-colour"}, []string{"-colour", "-help"}},
		{"a flag without its value", []string{"-interface", veth, "-port"}, []string{"-port", "-help"}},
		{"a stray argument", []string{"-debug", "eth0"}, []string{`"eth0"`, "-help"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if args[0] != "-interface" {
				args = append([]string{"-interface", veth}, args...)
			}
			refused(t, l.A, "", args, c.want)
		})
	}

	// The kernel gives no more address space than RLIMIT_AS: memory that cannot be had, without
	// taking all of the machine's to show it. (The runtime reserves more than 1 GiB of it.)
	t.Run("a ring that cannot be allocated", func(t *testing.T) {
		need.Tool(t, "prlimit")
		refused(t, l.A, "prlimit --as=2147483648",
			[]string{"-interface", veth, "-max-connections", "1000", "-numblocks", "4096"},
			[]string{"1073741824 bytes", "4096", "262144", "cannot allocate memory", "fewer or smaller blocks"})
	})
	t.Run("connections that cannot be allocated", func(t *testing.T) {
		need.Tool(t, "prlimit")
		refused(t, l.A, "prlimit --as=4294967296", []string{"-interface", veth, "-max-connections", "8388608"},
			[]string{"4831838208 bytes", "8388608", "cannot allocate memory", "fewer connections"})
	})
	t.Run("no right to open a packet socket", func(t *testing.T) {
		need.Tool(t, "setpriv")
		refused(t, l.A, "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all",
			[]string{"-interface", veth}, []string{"packet socket", "CAP_NET_RAW", "setcap cap_net_raw+ep"})
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
			line := run(t, l.A, "", []string{"-interface", veth, "-port", ":" + c.port}, []string{":" + c.port, "in use", "-port"})
			if got := strings.Contains(line, "node_exporter"); got != c.node {
				t.Errorf("%q names node_exporter: %v, want %v", line, got, c.node)
			}
			other.Close()
			nothingLeft(t, l.A)
		})
	}
}

// refused runs the exporter as run does, and wants nothing of it to be left.
func refused(t *testing.T, ns *lab.NS, wrapper string, args, want []string) {
	t.Helper()
	run(t, ns, wrapper, args, want)
	nothingLeft(t, ns)
}

// run runs the exporter, behind the command wrapper if there is one, and wants it to end by itself
// with a status above zero and one line on standard error that contains all of want. It returns
// the line.
func run(t *testing.T, ns *lab.NS, wrapper string, args, want []string) string {
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
	for _, w := range want {
		if !strings.Contains(stderr.String(), w) {
			t.Errorf("%q says %q, want it to contain %q", args, line, w)
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

// listens says whether a line of /proc/net/tcp is of a listening socket: state 0A, TCP_LISTEN.
func listens(fields []string) bool { return len(fields) > 3 && fields[3] == "0A" }
