package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Errors of Open and Wait about the interface, not the ring. errors.Is finds them.
var (
	// ErrDown reports that the interface is administratively down. The ring stays bound to it, and
	// captures again without further calls once it is up.
	ErrDown = errors.New("interface is down")
	// ErrGone reports that the interface no longer exists. One that takes its name later has another
	// index and needs a new ring.
	ErrGone = errors.New("interface is gone")
)

// Ring holds an open packet socket and its mapped ring. The package comment lists which goroutine may call
// what.
type Ring struct {
	mem       []byte // the mapping: the blocks, one behind another
	blockSize int    // bytes
	cur       int    // offset in mem of the next block in ring order, bytes
	held      bool   // the block at cur was given out by Next and not released
	wasDown   bool   // the interface has been seen to go down
	poll      [3]unix.PollFd
	parking   parking

	mu     sync.Mutex // guards what other goroutines reach
	fd     int        // packet socket, -1 once closed
	wakeFd int        // eventfd, -1 once closed
	stats  Stats      // read from the kernel so far
}

// Open opens a packet socket on the interface and maps its ring. The first frame comes in when everything
// is set up: it has passed the filter, and the statistics start at zero.
//
// Errors have their remedy, those of a setting as a *SettingError. errors.Is finds unix.EPERM (no
// CAP_NET_RAW), unix.ENOMEM, ErrDown and ErrGone in them. Nothing stays open after an error.
func Open(c Config) (*Ring, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := checkMemory(c, 1); err != nil {
		return nil, err
	}
	return open(c)
}

// open takes the steps in an order in which no frame is captured or counted before all are done. A socket
// with protocol 0 receives nothing until bind names a protocol, the version is fixed once there is a ring,
// and a filter that is set after bind would leave unfiltered frames in the ring.
func open(c Config) (_ *Ring, err error) {
	r := &Ring{fd: -1, wakeFd: -1, parking: parking{timer: -1}, blockSize: c.BlockSize}
	defer func() {
		if err != nil {
			r.Close() // closes what is open by now; err is the cause
		}
	}()
	if r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return nil, openError(err)
	}
	if err = setVersion(r.fd); err != nil {
		return nil, err
	}
	if err = attachFilter(r.fd, c); err != nil {
		return nil, err
	}
	if c.IgnoreOutgoing {
		if err = unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return nil, fmt.Errorf("set PACKET_IGNORE_OUTGOING: %w: needs Linux 4.20 or newer", err)
		}
	}
	if err = setRing(r.fd, c); err != nil {
		return nil, memoryError("allocate", c, err)
	}
	// packet_mmap inserts every page into the mapping at once, so MAP_POPULATE would have nothing to do.
	// The pages cannot be swapped, so MAP_LOCKED would only bring RLIMIT_MEMLOCK into play.
	if r.mem, err = unix.Mmap(r.fd, 0, int(c.bytes()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, memoryError("mmap", c, err)
	}
	if r.wakeFd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if err = r.openParking(); err != nil {
		return nil, err
	}
	if err = r.bind(c); err != nil {
		return nil, err
	}
	if c.Promiscuous && c.IfIndex != 0 {
		if err = r.SetPromiscuous(c.IfIndex, true); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// setVersion chooses TPACKET_V3.
func setVersion(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("set PACKET_VERSION to TPACKET_V3: %w: needs Linux 3.2 or newer", err)
	}
	return nil
}

// setRing has the kernel allocate the blocks.
func setRing(fd int, c Config) error {
	return unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
		Block_size:     uint32(c.BlockSize),
		Block_nr:       uint32(c.NumBlocks),
		Frame_size:     uint32(c.FrameSize),
		Frame_nr:       uint32(c.frameNr()),
		Retire_blk_tov: c.retireTovMs(),
	})
}

// attachFilter attaches c's filter, if it has one.
func attachFilter(fd int, c Config) error {
	if len(c.Filter) == 0 {
		return nil
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, sockFprog(c.Filter))
	if err == nil {
		return nil
	}
	remedy := ""
	if errors.Is(err, unix.ENOMEM) {
		remedy = ": simplify it or raise the sysctl net.core.optmem_max"
	}
	return c.refuse([]Setting{SettingFilter}, "attach a filter of %d instructions: %v%s", len(c.Filter), err, remedy).because(err)
}

// sockFprog returns a program, which must not be empty, as the kernel takes it.
func sockFprog(instructions []bpf.RawInstruction) *unix.SockFprog {
	prog := make([]unix.SockFilter, len(instructions))
	for i, ins := range instructions {
		prog[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	return &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
}

// bind has the socket receive from the interface. bind(2) succeeds for an interface that is down, which
// shows in SO_ERROR: bind reads it, else the first Wait would return it.
func (r *Ring) bind(c Config) error {
	var be [2]byte // sll_protocol is in network byte order
	binary.BigEndian.PutUint16(be[:], unix.ETH_P_ALL)
	err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(be[:]), Ifindex: c.IfIndex})
	if err == nil {
		err = r.socketError()
	}
	remedy := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrDown):
		remedy = ": bring it up with ip link set dev NAME up"
	case errors.Is(err, unix.ENODEV) && !errors.Is(err, ErrGone):
		err = fmt.Errorf("%w: %w", ErrGone, err)
	}
	return c.refuse([]Setting{SettingInterface}, "bind to it: %v%s", err, remedy).because(err)
}

// openError returns err of socket(2) with what to do about it.
func openError(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("open a packet socket: %w: needs the capability CAP_NET_RAW: run as root, or give it with setcap cap_net_raw+ep on the program, or AmbientCapabilities=CAP_NET_RAW in its systemd unit", err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("open a packet socket: %w: allow AF_PACKET (RestrictAddressFamilies= in a systemd unit)", err)
	}
	return fmt.Errorf("open a packet socket: %w", err)
}

// memoryError returns err of a step that takes the ring's memory.
func memoryError(step string, c Config, err error) error {
	remedy := ""
	if errors.Is(err, unix.ENOMEM) {
		remedy = ": use fewer or smaller blocks"
	}
	return c.refuse(ringSize, "%s %d bytes: %v%s", step, c.bytes(), err, remedy).because(err)
}

// Next returns the next block in ring order if the kernel has handed it over. It makes one atomic load and
// no system call. Until Release it returns the same block again.
func (r *Ring) Next() (Block, bool) {
	if r.mem == nil {
		return Block{}, false
	}
	mem := r.mem[r.cur : r.cur+r.blockSize : r.cur+r.blockSize]
	h := blockAt(mem) // never nil: blocks are whole pages
	status := h.status()
	if status&tpStatusUser == 0 {
		return Block{}, false
	}
	r.held = true
	return newBlock(h, mem, status), true
}

// Release gives the block of the last Next back to the kernel, with the Data of its frames, and moves on to
// the next block. Without a block to give back it does nothing.
func (r *Ring) Release() {
	if !r.held {
		return
	}
	blockAt(r.mem[r.cur:]).release()
	r.held = false
	if r.cur += r.blockSize; r.cur == len(r.mem) {
		r.cur = 0
	}
}

// IfIndex returns the index of the interface that the ring is bound to: 0 for all, -1 once the interface
// is deleted (packet_notifier). The error is os.ErrClosed after Close.
func (r *Ring) IfIndex() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return 0, errClosed("read the interface index")
	}
	sa, err := unix.Getsockname(r.fd)
	if err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	ll, ok := sa.(*unix.SockaddrLinklayer)
	if !ok {
		return 0, fmt.Errorf("getsockname: %T is no link-layer address", sa)
	}
	return ll.Ifindex, nil
}

// Close unmaps the ring and closes the socket. The owner calls it: blocks and frames must not be read after
// it. A second call does nothing.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs [4]error
	errs[3] = r.parking.close()
	if r.mem != nil {
		errs[0] = unix.Munmap(r.mem)
	}
	if r.fd >= 0 {
		errs[1] = unix.Close(r.fd)
	}
	if r.wakeFd >= 0 {
		errs[2] = unix.Close(r.wakeFd)
	}
	r.mem, r.held, r.fd, r.wakeFd = nil, false, -1, -1
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
