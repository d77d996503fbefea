//go:build cgo

package pcapfilter

// #cgo LDFLAGS: -lpcap
// #include <stdlib.h>
// #include <pcap/pcap.h>
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/net/bpf"
)

// Available is true: this build has libpcap and compiles any filter.
const Available = true

// compiling is held around libpcap's compiler. That is meant to be reentrant since libpcap 1.8, but it looks up
// names, and some C libraries do so unsafely (getprotobyname(3) is MT-Unsafe). Filters are compiled too seldom
// for the lock to matter.
var compiling sync.Mutex

// compile runs pcap_compile. filter has no NUL byte, link and snapLen fit a C int.
func compile(filter string, link LinkType, snapLen int) ([]bpf.RawInstruction, error) {
	expr := C.CString(filter)
	defer C.free(unsafe.Pointer(expr)) // sound: expr is from malloc, and libpcap keeps no part of it

	compiling.Lock()
	defer compiling.Unlock()
	handle := C.pcap_open_dead(C.int(link), C.int(snapLen))
	if handle == nil { // its only failure
		return nil, errors.New("libpcap is out of memory: free some and try again")
	}
	defer C.pcap_close(handle)

	var prog C.struct_bpf_program
	if C.pcap_compile(handle, &prog, expr, 1, C.PCAP_NETMASK_UNKNOWN) != 0 {
		// The text lives in the handle: GoString copies it before the handle is closed.
		return nil, fmt.Errorf("%s (see pcap-filter(7), or try it with tcpdump -d)", oneLine(C.GoString(C.pcap_geterr(handle))))
	}
	defer C.pcap_freecode(&prog)
	return copyOut(&prog), nil
}

// copyOut copies a compiled program to Go memory. The slice over bf_insns is sound: pcap_compile
// returned without error, so there are bf_len instructions in one block that lives until
// pcap_freecode, and the slice does not outlive this function.
func copyOut(prog *C.struct_bpf_program) []bpf.RawInstruction {
	out := make([]bpf.RawInstruction, 0, int(prog.bf_len))
	for _, in := range unsafe.Slice(prog.bf_insns, int(prog.bf_len)) {
		out = append(out, bpf.RawInstruction{Op: uint16(in.code), Jt: uint8(in.jt), Jf: uint8(in.jf), K: uint32(in.k)})
	}
	return out
}

// Version returns libpcap's name and version, "none" in a build without libpcap.
func Version() string {
	return C.GoString(C.pcap_lib_version()) // a constant string of the library
}
