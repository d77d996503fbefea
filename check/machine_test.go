package check

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/ring"
)

func TestMachine(t *testing.T) {
	m := readMachine(tree(t, map[string]string{
		"proc/cpuinfo":                         "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nprocessor\t: 1\nmodel name\t: Some CPU @ 3 GHz\n",
		"proc/self/status":                     "Name:\tx\nCpus_allowed_list:\t1-2\n",
		"proc/meminfo":                         "MemTotal:  2048 kB\nMemAvailable:    1024 kB\n",
		"proc/sys/net/core/bpf_jit_enable":     "0\n",
		"proc/sys/net/core/netdev_max_backlog": "1000\n",
		"proc/sys/net/core/optmem_max":         "20480\n",
		"sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
	}))
	if m.cpu != "Some CPU @ 3 GHz" || !slices.Equal(m.allowed, []int{1, 2}) || m.clockSource != "tsc" {
		t.Errorf("CPU %q, allowed %v, clock %q", m.cpu, m.allowed, m.clockSource)
	}
	if m.jit != "0" || !m.hasBacklog || m.backlog != 1000 || !m.hasOptmem || m.optmem != 20480 {
		t.Errorf("sysctls %q %d %d", m.jit, m.backlog, m.optmem)
	}
	if !m.hasAvailable || m.available != 1<<20 || m.hasGroup {
		t.Errorf("memory %d, in a group %v", m.available, m.hasGroup)
	}
	c := &Config{Ring: ring.Config{BlockSize: 1 << 18, NumBlocks: 2, Filter: make([]bpf.RawInstruction, 184)}, Workers: 1, MaxConnections: 100, ConnectionBytes: 600}
	text := reported(func(p *page) { m.report(p, c) })
	for _, want := range []string{"Some CPU @ 3 GHz, 2 CPUs, of which it may use 1-2", "interpreted", "20480 bytes", "184 instructions", "1000 packets",
		"512 KiB for the ring, up to 59 KiB for the table; 1.0 MiB available"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	// A system that shows nothing is no error.
	none := readMachine(tree(t, nil))
	if text := reported(func(p *page) { none.report(p, c) }); !strings.Contains(text, "not known") {
		t.Errorf("of nothing it says:\n%s", text)
	}
}

func reported(write func(p *page)) string {
	var b bytes.Buffer
	write(&page{to: &b})
	return b.String()
}

func TestGroupMemory(t *testing.T) {
	for _, c := range []struct {
		says  string
		files map[string]string
		want  uint64
		ok    bool
	}{
		{"none", nil, 0, false},
		{"version 2, of a group above", map[string]string{
			"proc/self/cgroup":                    "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max":        "max\n",
			"sys/fs/cgroup/a/memory.max":          "1000\n",
			"sys/fs/cgroup/a/memory.current":      "400\n",
			"sys/fs/cgroup/elsewhere/memory.max":  "1\n",
			"sys/fs/cgroup/memory.limit_in_bytes": "1\n",
			"sys/fs/cgroup/memory/memory.max":     "1\n",
		}, 600, true},
		{"version 2, the least of both", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "500\n", "sys/fs/cgroup/a/memory.max": "1000\n",
		}, 500, true},
		{"version 2, no limit", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0, false},
		{"version 2, in a container that sees its own group as /", map[string]string{
			"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/memory.max": "700\n",
		}, 700, true},
		{"version 1", map[string]string{
			"proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/g\n0::/\n", "sys/fs/cgroup/memory/g/memory.limit_in_bytes": "2000\n",
			"sys/fs/cgroup/memory/g/memory.usage_in_bytes": "5000\n",
		}, 0, true},
		{"version 1, no limit", map[string]string{
			"proc/self/cgroup": "4:memory:/g\n", "sys/fs/cgroup/memory/g/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0, false},
	} {
		t.Run(c.says, func(t *testing.T) {
			if got, ok := groupMemory(tree(t, c.files)); ok != c.ok || ok && got != c.want {
				t.Errorf("%d, %v; want %d, %v", got, ok, c.want, c.ok)
			}
		})
	}
}
