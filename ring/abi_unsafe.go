package ring

import "unsafe"

// These do not build if a layout drifts.
var (
	_ [blockHdrLen]byte = [unsafe.Sizeof(blockHdr{})]byte{}
	_ [8]byte           = [unsafe.Offsetof(blockHdr{}.blockStatus)]byte{}
	_ [24]byte          = [unsafe.Offsetof(blockHdr{}.seqNum)]byte{}
	_ [frameHdrLen]byte = [unsafe.Sizeof(frameHdr{})]byte{}
	_ [24]byte          = [unsafe.Offsetof(frameHdr{}.mac)]byte{}
	_ [48]byte          = [unsafe.Offsetof(frameHdr{}.sllFamily)]byte{}
)

// blockAt returns the header of the block that fills mem, or nil if mem is too short for one or not
// aligned to 8 bytes.
//
// Sound: the header lies in mem by the length check and is aligned by the other one. The pointer
// keeps mem alive if mem is Go memory. A mapping of the kernel's lives until Ring.Close, which
// belongs to the goroutine that reads blocks.
func blockAt(mem []byte) *blockHdr {
	if len(mem) < blockHdrLen || uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%frameAlign != 0 {
		return nil
	}
	return (*blockHdr)(unsafe.Pointer(unsafe.SliceData(mem)))
}

// frameAt returns the frame header at byte off of a block. The caller has checked that
// off+frameHdrLen <= len(mem) and off%frameAlign == 0.
//
// Sound: by that check the header lies in mem, and it is aligned because blockAt has accepted mem.
// The fields are plain memory: the kernel does not write to a block that it has handed over.
func frameAt(mem []byte, off uint64) *frameHdr {
	return (*frameHdr)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(mem)), uintptr(off)))
}

// bytesAt returns the n bytes from byte start of a block on. The caller has checked that
// start+n <= len(mem).
//
// Sound: by that check they lie in mem. Slicing a pointer to an array costs no more than the check
// against its length, and newBlock refuses longer blocks.
func bytesAt(mem []byte, start, n uint64) []byte {
	return (*[maxBlockLen]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(mem)), uintptr(start)))[:n:n]
}
