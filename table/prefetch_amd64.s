#include "go_asm.h"
#include "textflag.h"

// func prefetchLine(p unsafe.Pointer)
TEXT ·prefetchLine(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	PREFETCHT1 (AX)
	RET

// func prefetchGroups(first unsafe.Pointer, mask uint64, hashes *uint64, n int)
TEXT ·prefetchGroups(SB), NOSPLIT, $0-32
	MOVQ first+0(FP), AX
	MOVQ mask+8(FP), BX
	MOVQ hashes+16(FP), SI
	MOVQ n+24(FP), CX
	LEAQ (SI)(CX*8), DI
	JMP  check
next:
	MOVQ (SI), DX
	ADDQ $8, SI
	ANDQ BX, DX
	SHLQ $const_groupShift, DX
	PREFETCHT1 (AX)(DX*1)
check:
	CMPQ SI, DI
	JNE  next
	RET

// func prefetchHeads(first unsafe.Pointer, indices *uint32, n int)
TEXT ·prefetchHeads(SB), NOSPLIT, $0-24
	MOVQ first+0(FP), AX
	MOVQ indices+8(FP), SI
	MOVQ n+16(FP), CX
	LEAQ (SI)(CX*4), DI
	JMP  check
next:
	MOVL (SI), DX
	ADDQ $4, SI
	IMUL3Q $const_RecordSize, DX, DX
	PREFETCHT1 (AX)(DX*1)
check:
	CMPQ SI, DI
	JNE  next
	RET

// func prefetchRecord(p unsafe.Pointer)
TEXT ·prefetchRecord(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	PREFETCHT1 (AX)
	PREFETCHT1 64(AX)
	PREFETCHT1 128(AX)
	PREFETCHT1 192(AX)
	PREFETCHT1 256(AX)
	PREFETCHT1 320(AX)
	PREFETCHT1 384(AX)
	PREFETCHT1 448(AX)
	PREFETCHT1 512(AX)
	RET

// func prefetchNear(first unsafe.Pointer, indices *uint32, n int)
TEXT ·prefetchNear(SB), NOSPLIT, $0-24
	MOVQ first+0(FP), AX
	MOVQ indices+8(FP), SI
	MOVQ n+16(FP), CX
	LEAQ (SI)(CX*4), DI
	JMP  check
next:
	MOVL (SI), DX
	ADDQ $4, SI
	IMUL3Q $const_RecordSize, DX, DX
	PREFETCHT0 (AX)(DX*1)
	PREFETCHT0 64(AX)(DX*1)
	PREFETCHT0 128(AX)(DX*1)
	PREFETCHT0 320(AX)(DX*1)
	PREFETCHT0 384(AX)(DX*1)
check:
	CMPQ SI, DI
	JNE  next
	RET
