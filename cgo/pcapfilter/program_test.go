package pcapfilter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// text returns a program as tcpdump -ddd writes it.
func text(t *testing.T, filter string, snap int) string {
	t.Helper()
	prog := mustCompile(t, filter, EN10MB, snap)
	var b strings.Builder
	fmt.Fprintln(&b, len(prog))
	for _, in := range prog {
		fmt.Fprintln(&b, in.Op, in.Jt, in.Jf, in.K)
	}
	return b.String()
}

func TestReadProgramDecidesAsTheCompiledFilter(t *testing.T) {
	prog, err := ReadProgram(strings.NewReader(text(t, "tcp", 262144)), 192)
	if err != nil {
		t.Fatal(err)
	}
	read, compiled := vm(t, prog), vm(t, mustCompile(t, "tcp", EN10MB, 192))
	for _, f := range etherFrames {
		for cut := range len(f.frame) + 1 {
			if got, want := verdict(t, read, f.frame[:cut]), verdict(t, compiled, f.frame[:cut]); got != want {
				t.Errorf("%s, first %d bytes: %d, want %d", f.name, cut, got, want)
			}
		}
	}
}

func TestReadProgramRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "line 1: it is empty"},
		{"tcpdump -d", "(000) ret #1\n", "line 1: \"(000) ret #1\" is no number"},
		{"tcpdump -dd", "{ 0x6, 0, 0, 0x00040000 },\n", "line 1: "},
		{"no instruction", "0\n", "line 1: \"0\" is no number"},
		{"a negative number of instructions", "-1\n", "line 1: \"-1\" is no number"},
		{"too many", "4097\n", "line 1: 4097 instructions, and the kernel takes 4096: simplify"},
		{"2^32 and 1", "4294967297\n6 0 0 1\n", "line 1: 4294967297 instructions"},
		{"2^64 and 1", "18446744073709551617\n6 0 0 1\n", "line 1: \"18446744073709551617\" is no number"},
		{"too few", "2\n40 0 0 12\n", "line 2: the text ends after 1 of 2"},
		{"more than announced", "1\n6 0 0 1\n\n6 0 0 0\n", "line 4: more than the 1"},
		{"an empty line within", "2\n\n6 0 0 1\n6 0 0 0\n", "line 2: \"\" is no instruction"},
		{"three numbers", "1\n6 0 0\n", "line 2: \"6 0 0\" is no instruction, four numbers"},
		{"five numbers", "1\n6 0 0 1 1\n", "line 2: \"6 0 0 1 1\" is no instruction"},
		{"hexadecimal", "1\n0x6 0 0 1\n", "line 2: \"0x6\" is no number of 16 bits"},
		{"an operation of 17 bits", "1\n65542 0 0 1\n", "line 2: \"65542\" is no number of 16 bits"},
		{"a jump of 9 bits", "1\n21 256 0 1\n", "line 2: \"256\" is no number of 8 bits"},
		{"the other jump of 9 bits", "1\n21 0 256 1\n", "line 2: \"256\" is no number of 8 bits"},
		{"a constant of 33 bits", "1\n6 0 0 4294967296\n", "line 2: \"4294967296\" is no number of 32 bits"},
		{"a negative jump", "1\n5 0 0 -1\n", "line 2: \"-1\" is no number"},
		{"an unknown operation", "1\n65535 0 0 0\n", "line 2: unknown instruction, op 65535 k 0"},
		{"a return with more bits", "1\n262 0 0 1\n", "line 2: unknown instruction, op 262 k 1"},
		{"the length into the index register", "2\n129 0 0 0\n6 0 0 1\n", "line 2: unknown instruction, op 129"}, // BPF_LDX | BPF_LEN
		{"the packet into the index register", "2\n33 0 0 0\n6 0 0 1\n", "line 2: unknown instruction, op 33"},   // BPF_LDX | BPF_ABS
		{"an ancillary load behind the last", "2\n32 0 0 4294963264\n6 0 0 1\n", "line 2: unknown instruction, op 32 k 4294963264"},
		{"an ancillary load between two", "2\n32 0 0 4294963201\n6 0 0 1\n", "line 2: unknown instruction, op 32 k 4294963201"},
		{"a jump to the end", "2\n21 0 1 1\n6 0 0 1\n", "line 2: it jumps over 1 instructions, and 1 follow"},
		{"the other jump to the end", "2\n21 1 0 1\n6 0 0 1\n", "line 2: it jumps over 1 instructions, and 1 follow"},
		{"a long jump", "2\n5 0 0 4294967295\n6 0 0 1\n", "line 2: it jumps over 4294967295"},
		{"no return at the end", "1\n40 0 0 12\n", "line 2: the last instruction is no return"},
		{"a jump at the end", "1\n5 0 0 0\n", "line 2: it jumps over 0 instructions, and 0 follow"},
		{"memory slot 16", "2\n96 0 0 16\n6 0 0 1\n", "line 2: unknown instruction, op 96 k 16"},
		{"memory that nothing stores", "2\n96 0 0 3\n6 0 0 1\n", "line 2: it loads M[3]"},
		{"memory that one way stores", "4\n21 1 0 1\n2 0 0 3\n97 0 0 3\n6 0 0 1\n", "line 4: it loads M[3]"},
		{"division by 0", "2\n52 0 0 0\n6 0 0 1\n", "line 2: it divides by 0"},
		{"the rest of it", "2\n148 0 0 0\n6 0 0 1\n", "line 2: it divides by 0"},
		{"a shift of all bits", "2\n100 0 0 32\n6 0 0 1\n", "line 2: it shifts 32 bits by 32"},
		{"the accumulator", "1\n22 0 0 0\n", "line 2: it returns a length that is computed"},
		{"a line without end", strings.Repeat("1", 1<<20), "line 1: it has no end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			prog, err := ReadProgram(strings.NewReader(c.text), 192)
			remedy := "want the output of tcpdump -ddd"
			if strings.Contains(c.want, "and the kernel takes") || strings.Contains(c.want, "4294967297 instr") {
				remedy = "simplify"
			}
			wantError(t, prog != nil, err, c.want, remedy)
		})
	}
	for _, snap := range []int{-1, 0, MaxSnapLen + 1} {
		prog, err := ReadProgram(strings.NewReader("1\n6 0 0 1\n"), snap)
		wantError(t, prog != nil, err, "choose 1 to 262144")
	}
}

func TestReadProgramTakes(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"one instruction", "1\n6 0 0 262144\n"},
		{"no line feed at the end", "1\n6 0 0 262144"},
		{"empty lines behind it", "1\n6 0 0 262144\n\n \n"},
		{"line ends of another system", "2\r\n40 0 0 12\r\n6 0 0 1\r\n"},
		{"the tag of a VLAN", "4\n48 0 0 4294963248\n21 0 1 1\n6 0 0 262144\n6 0 0 0\n"},
		{"memory that is stored on both ways", "6\n21 0 1 1\n5 0 0 1\n2 0 0 3\n2 0 0 3\n96 0 0 3\n6 0 0 1\n"},
		{"memory behind a return", "4\n2 0 0 3\n21 0 1 1\n96 0 0 3\n6 0 0 1\n"},
		{"fields that an instruction has no use for", "3\n128 3 4 5\n7 1 1 1\n6 9 9 1\n"},
		{"as many as the kernel takes", "4096\n" + strings.Repeat("40 0 0 12\n", 4095) + "6 0 0 1\n"},
	} {
		prog, err := ReadProgram(strings.NewReader(c.text), 48)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		attach(t, c.name, prog)
		for _, in := range prog {
			if in.Op == 6 && (in.K != 0 && in.K != 48 || in.Jt != 0) {
				t.Errorf("%s: returns with %v, want 48 bytes", c.name, in)
			}
		}
	}
}

// attach wants the kernel to take a program.
func attach(t *testing.T, name string, prog []bpf.RawInstruction) {
	t.Helper()
	if err := attachment(t, prog); err != nil && !errors.Is(err, unix.ENOMEM) { // net.core.optmem_max may be as low as 20480 bytes
		t.Errorf("%s: the kernel refuses %d instructions: %v", name, len(prog), err)
	}
}

// attachment returns the kernel's error for a program.
func attachment(t *testing.T, prog []bpf.RawInstruction) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	filter := make([]unix.SockFilter, len(prog))
	for at, in := range prog {
		filter[at] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}

// FuzzReadProgram wants of any text one line of an error, or a program that the kernel takes and that returns the snap
// length or nothing.
func FuzzReadProgram(f *testing.F) {
	for _, text := range []string{
		"", "1\n6 0 0 1\n", "2\n96 0 0 3\n6 0 0 1\n", "2\n48 0 0 4294963248\n6 0 0 1\n", "3\n21 1 0 2048\n6 0 0 0\n6 0 0 262144\n",
		"6\n21 0 1 1\n5 0 0 1\n2 0 0 3\n2 0 0 3\n96 0 0 3\n6 0 0 1\n", "4\n132 0 0 0\n28 0 0 0\n177 0 0 14\n22 0 0 0\n",
		"5\n40 0 0 12\n21 0 2 2048\n48 0 0 23\n21 0 1 6\n6 0 0 262144\n6 0 0 0\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const snap = 192
		prog, err := ReadProgram(strings.NewReader(text), snap)
		if err != nil {
			wantError(t, prog != nil, err, "line ")
			return
		}
		for _, in := range prog {
			if c, ok := in.Disassemble().(bpf.RetConstant); ok && c.Val != 0 && c.Val != snap {
				t.Errorf("%q returns %d", text, c.Val)
			}
		}
		attach(t, text, prog)
	})
}

// TestReadProgramIsAsStrictAsTheKernel changes one number of a program at a time: what the reader refuses the kernel does
// too, and no more, but for what tcpdump writes none of: lengths that are computed, and the packet's length in the index
// register, which package bpf takes for one in the accumulator.
func TestReadProgramIsAsStrictAsTheKernel(t *testing.T) {
	base := []bpf.RawInstruction{{Op: 2, K: 1}, {Op: 96, K: 1}, {Op: 21, Jt: 1, K: 6}, {Op: 84, K: 15}, {Op: 6, K: 9}, {Op: 6}}
	refused, taken := 0, 0
	try := func(at int, in bpf.RawInstruction) {
		prog := slices.Clone(base)
		prog[at] = in
		var b strings.Builder
		fmt.Fprintln(&b, len(prog))
		for _, in := range prog {
			fmt.Fprintln(&b, in.Op, in.Jt, in.Jf, in.K)
		}
		_, err := ReadProgram(strings.NewReader(b.String()), 192)
		kernel := kernelTakes(t, prog)
		if err == nil {
			taken++
		} else {
			refused++
		}
		const intoX = 0x81 // BPF_LDX | BPF_LEN
		if (err == nil) != kernel && (err == nil || !strings.Contains(err.Error(), "computed") && in.Op != intoX) {
			t.Errorf("instruction %d as %v: error %v, and the kernel takes it: %v", at, in, err, kernel)
		}
	}
	for at := range base {
		for op := range uint16(1<<8 + 7) {
			for _, k := range []uint32{0, 1, 16, 31, 32, 1<<32 - 4096, 1<<32 - 4096 + 1, 1<<32 - 4096 + 40, 1<<32 - 4096 + 60, 1<<32 - 4096 + 64, 1<<32 - 1} {
				try(at, bpf.RawInstruction{Op: op, Jt: 0, Jf: 1, K: k})
			}
		}
	}
	if refused < 1000 || taken < 1000 {
		t.Errorf("%d refused and %d taken: the test shows little", refused, taken)
	}
}

func kernelTakes(t *testing.T, prog []bpf.RawInstruction) bool {
	t.Helper()
	return !errors.Is(attachment(t, prog), unix.EINVAL)
}
