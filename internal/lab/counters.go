package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// snmpFile and netstatFile are read on a thread that is in the namespace: /proc/net would show the namespace of the
// process's first thread.
const (
	snmpFile    = "/proc/thread-self/net/snmp"
	netstatFile = "/proc/thread-self/net/netstat"
)

// Counters returns the namespace's counters of /proc/net/snmp (RFC 4022 and its kin) and /proc/net/netstat (Linux' own),
// keyed by protocol and name run together as nstat does: TcpRetransSegs, TcpInSegs, IpInReceives, TcpExtTCPSynRetrans.
func (n *NS) Counters(t testing.TB) map[string]int64 {
	t.Helper()
	var text []byte
	err := n.Do(func() error {
		for _, file := range []string{snmpFile, netstatFile} {
			more, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			text = append(text, more...)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("lab: counters of %s: %v", n.Name, err)
	}
	c, err := parseSNMP(string(text))
	if err != nil {
		t.Fatalf("lab: counters of %s: %v", n.Name, err)
	}
	return c
}

// parseSNMP reads pairs of lines: "Tcp: RetransSegs InErrs" and "Tcp: 3 0".
func parseSNMP(text string) (map[string]int64, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines)%2 != 0 {
		return nil, fmt.Errorf("%d lines, want pairs", len(lines))
	}
	c := make(map[string]int64)
	for i := 0; i < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) != len(values) || len(names) == 0 || names[0] != values[0] {
			return nil, fmt.Errorf("%q does not match %q", lines[i], lines[i+1])
		}
		proto := strings.TrimSuffix(names[0], ":")
		for k := 1; k < len(names); k++ {
			v, err := strconv.ParseInt(values[k], 10, 64) // TcpMaxConn is -1
			if err != nil {
				return nil, fmt.Errorf("%s%s: %w", proto, names[k], err)
			}
			c[proto+names[k]] = v
		}
	}
	return c, nil
}
