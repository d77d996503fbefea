package check

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machine holds what is the same for all interfaces.
type machine struct {
	cpu         string // model, empty: not known
	allowed     []int  // CPUs that this process may run on
	clockSource string // of the kernel's timestamps

	jit                   string // net.core.bpf_jit_enable, empty: not there
	backlog, optmem       uint64 // net.core.netdev_max_backlog, packets, and optmem_max, bytes
	hasBacklog, hasOptmem bool

	available    uint64 // MemAvailable, bytes
	hasAvailable bool
	group        uint64 // bytes that the memory cgroup leaves; meaningless without hasGroup
	hasGroup     bool
	addressSpace uint64 // RLIMIT_AS, bytes; unlimited: there is none
	locked       uint64 // RLIMIT_MEMLOCK, bytes; unlimited: there is none
}

const unlimited = ^uint64(0)

// readMachine reads all of it. What cannot be read is left out.
func readMachine(r root) machine {
	m := machine{addressSpace: limit(unix.RLIMIT_AS), locked: limit(unix.RLIMIT_MEMLOCK)}
	for _, name := range []string{"model name", "Model", "cpu model", "uarch"} { // x86, arm, mips, riscv
		if m.cpu, _ = r.value(name, "proc/cpuinfo"); m.cpu != "" {
			break
		}
	}
	allowed, _ := r.value("Cpus_allowed_list", "proc/self/status")
	m.allowed = cpuList(allowed)
	m.clockSource, _ = r.text("sys/devices/system/clocksource/clocksource0/current_clocksource")
	m.jit, _ = r.text("proc/sys/net/core/bpf_jit_enable")
	m.backlog, m.hasBacklog = r.number("proc/sys/net/core/netdev_max_backlog")
	m.optmem, m.hasOptmem = r.number("proc/sys/net/core/optmem_max")
	if value, ok := r.value("MemAvailable", "proc/meminfo"); ok {
		kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 53)
		m.available, m.hasAvailable = kib<<10, err == nil
	}
	m.group, m.hasGroup = groupMemory(r)
	return m
}

// limit returns the soft limit of a resource.
func limit(resource int) uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(resource, &l) != nil || l.Cur == unix.RLIM_INFINITY {
		return unlimited
	}
	return l.Cur
}

// groupMemory returns the bytes that the process's memory cgroup and those above it leave, of version 2
// (memory.max, Documentation/admin-guide/cgroup-v2.rst) or 1 (memory.limit_in_bytes). ok is false if there is no limit.
func groupMemory(r root) (left uint64, ok bool) {
	const noLimit = 1 << 62 // version 1 writes the largest multiple of a page instead of a word
	text, _ := r.text("proc/self/cgroup")
	left = unlimited
	for line := range strings.Lines(text) {
		field := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(field) < 3 {
			continue
		}
		mount, limitFile, usedFile := "sys/fs/cgroup", "memory.max", "memory.current"
		switch {
		case field[1] == "":
		case strings.Contains(","+field[1]+",", ",memory,"):
			mount, limitFile, usedFile = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
		default:
			continue
		}
		for at := path.Clean("/" + field[2]); ; at = path.Dir(at) {
			if most, limited := r.number(mount, at, limitFile); limited && most < noLimit {
				used, _ := r.number(mount, at, usedFile)
				left = min(left, most-min(used, most))
			}
			if at == "/" {
				break
			}
		}
	}
	return left, left != unlimited
}

// memoryFor returns the bytes that a table may take: a ring is charged to no cgroup.
func (m *machine) memoryFor(ringBytes uint64) (left uint64, ok bool) {
	left = unlimited
	if m.hasAvailable {
		left = m.available - min(ringBytes, m.available)
	}
	if m.hasGroup {
		left = min(left, m.group)
	}
	return left, left != unlimited
}

func (m *machine) report(p *page, c *Config) {
	cpus := "CPUs that it may use not known"
	if len(m.allowed) > 0 {
		cpus = fmt.Sprintf("%s, of which it may use %s", counted(len(m.allowed), "CPU"), cpuText(m.allowed))
	}
	if m.cpu != "" {
		cpus = m.cpu + ", " + cpus
	}
	p.line("processor", "%s", cpus)
	switch m.jit {
	case "":
		p.line("BPF compiler", "net.core.bpf_jit_enable is not there, as in a network namespace other than the first: whether the filter is compiled is not known")
	case "0":
		p.line("BPF compiler", "net.core.bpf_jit_enable is 0: the filter is interpreted, which takes several times as long; sysctl -w net.core.bpf_jit_enable=1")
	default:
		p.line("BPF compiler", "net.core.bpf_jit_enable is %s: the filter runs as machine code", m.jit)
	}
	if m.hasOptmem {
		p.line("filter memory", "net.core.optmem_max is %d bytes: the kernel takes no filter that needs more; this one has %s, of 8 bytes or more each",
			m.optmem, counted(len(c.Ring.Filter), "instruction"))
	}
	if m.hasBacklog {
		p.line("backlog", "net.core.netdev_max_backlog is %d packets: more at once from lo, veth, tun or RPS are lost before any capture (softnet_stat)", m.backlog)
	}
	m.reportMemory(p, c)
}

func (m *machine) reportMemory(p *page, c *Config) {
	needs := fmt.Sprintf("%s for the ring, up to %s for the table", size(c.ringBytes()), size(c.tableBytes()))
	var there []string
	if m.hasAvailable {
		there = append(there, size(m.available)+" available")
	}
	if m.hasGroup {
		there = append(there, size(m.group)+" left in the memory cgroup (the table's, not the ring's)")
	}
	for _, l := range []struct {
		name  string
		bytes uint64
	}{{"RLIMIT_AS", m.addressSpace}} {
		if l.bytes != unlimited {
			there = append(there, l.name+" "+size(l.bytes))
		}
	}
	if len(there) == 0 {
		there = append(there, "what there is is not known")
	}
	p.line("memory", "%s; %s", needs, strings.Join(there, ", "))
	if m.locked != unlimited {
		p.line("", "RLIMIT_MEMLOCK is %s: it does not count, the ring is the kernel's", size(m.locked))
	}
}
