package pcapfilter

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// run returns what a program of Dispatch returns for a value of its property, and how many instructions that takes. It
// knows no more than they are made of, and the programs of these tests.
func run(t *testing.T, prog []bpf.RawInstruction, value uint32) (result uint32, steps int) {
	t.Helper()
	var a uint32
	for pc := 0; ; steps++ {
		if pc >= len(prog) || steps > len(prog) {
			t.Fatalf("value %d: the program has no end", value)
		}
		in := prog[pc]
		pc++
		switch in.Op {
		case opLoad:
			a = value
		case opJump:
			pc += int(in.K)
		case opGreaterOrEqual:
			if a >= in.K {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		case opReturn:
			return in.K, steps + 1
		default:
			t.Fatalf("value %d: instruction %+v", value, in)
		}
	}
}

// Each value comes to its program, every other one to none, in a number of steps that grows with the logarithm.
func TestDispatch(t *testing.T) {
	programs := [][]bpf.RawInstruction{
		append(make([]bpf.RawInstruction, 0), repeated(300, 11)...), // long enough for jumps beyond 255
		repeated(1, 22),
		repeated(40, 33),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name  string
		n     int
		value func(i int) uint32
	}{
		{"none", 0, nil},
		{"one", 1, func(int) uint32 { return 7 }},
		{"the least and the greatest", 2, func(i int) uint32 { return uint32(i) * math.MaxUint32 }},
		{"neighbours", 1500, func(i int) uint32 { return uint32(1000 + i) }},
		{"every other one", 800, func(i int) uint32 { return uint32(2 * i) }},
		{"scattered", 800, func(int) uint32 { return random.Uint32() }},
	} {
		to := map[uint32]int{}
		for i := range c.n {
			to[c.value(i)] = i % len(programs)
			if c.name == "neighbours" {
				to[c.value(i)] = i / 750
			}
		}
		prog, err := Dispatch(IfIndex, to, programs...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		most := 0
		check := func(value uint32) {
			want := uint32(0)
			if p, there := to[value]; there {
				want = uint32(11 * (p + 1))
			}
			got, steps := run(t, prog, value)
			if got != want {
				t.Errorf("%s: value %d comes to %d, want %d", c.name, value, got, want)
			}
			if want <= 22 && want != 11 { // without the program's own
				most = max(most, steps)
			}
		}
		for value := range to {
			check(value - 1)
			check(value)
			check(value + 1)
		}
		for range 1000 {
			check(random.Uint32())
		}
		t.Logf("%s: %d instructions, at most %d run", c.name, len(prog)-341, most)
		if limit := 2*bits.Len(uint(2*c.n)) + 4; most > limit {
			t.Errorf("%s: %d instructions are run, want at most %d", c.name, most, limit)
		}
		if err := attach(prog); err != nil {
			t.Errorf("%s: the kernel refuses it: %v", c.name, err)
		}
	}
}

// What the kernel would refuse is refused here, with the reason.
func TestDispatchThatIsTooLong(t *testing.T) {
	to := map[uint32]int{}
	for i := range uint32(3000) {
		to[2*i] = 0
	}
	if _, err := Dispatch(IfIndex, to, repeated(1, 1)); err == nil {
		t.Error("3000 values are taken")
	}
}

// repeated is a program of n instructions that returns result.
func repeated(n int, result uint32) (prog []bpf.RawInstruction) {
	for range n - 1 {
		prog = append(prog, bpf.RawInstruction{Op: opJump})
	}
	return append(prog, bpf.RawInstruction{Op: opReturn, K: result})
}

// attach has the kernel check a program.
func attach(prog []bpf.RawInstruction) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	filter := make([]unix.SockFilter, len(prog))
	for i, in := range prog {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}
