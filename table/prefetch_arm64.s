#include "go_asm.h"
#include "textflag.h"

// func prefetchLine(p unsafe.Pointer)
TEXT ·prefetchLine(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL2KEEP
	RET

// func prefetchGroups(first unsafe.Pointer, mask uint64, hashes *uint64, n int)
TEXT ·prefetchGroups(SB), NOSPLIT, $0-32
	MOVD first+0(FP), R0
	MOVD mask+8(FP), R1
	MOVD hashes+16(FP), R2
	MOVD n+24(FP), R3
	ADD  R3<<3, R2, R3
	B    check
next:
	MOVD.P 8(R2), R4
	AND  R1, R4, R4
	ADD  R4<<const_groupShift, R0, R4
	PRFM (R4), PLDL2KEEP
check:
	CMP R3, R2
	BNE next
	RET

// func prefetchHeads(first unsafe.Pointer, indices *uint32, n int)
TEXT ·prefetchHeads(SB), NOSPLIT, $0-24
	MOVD first+0(FP), R0
	MOVD indices+8(FP), R1
	MOVD n+16(FP), R2
	MOVD $const_RecordSize, R4
	ADD  R2<<2, R1, R2
	B    check
next:
	MOVWU.P 4(R1), R3
	MADD R4, R0, R3, R3
	PRFM (R3), PLDL2KEEP
check:
	CMP R2, R1
	BNE next
	RET

// func prefetchRecord(p unsafe.Pointer)
TEXT ·prefetchRecord(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL2KEEP
	PRFM 64(R0), PLDL2KEEP
	PRFM 128(R0), PLDL2KEEP
	PRFM 192(R0), PLDL2KEEP
	PRFM 256(R0), PLDL2KEEP
	PRFM 320(R0), PLDL2KEEP
	PRFM 384(R0), PLDL2KEEP
	PRFM 448(R0), PLDL2KEEP
	PRFM 512(R0), PLDL2KEEP
	RET

// func prefetchNear(first unsafe.Pointer, indices *uint32, n int)
TEXT ·prefetchNear(SB), NOSPLIT, $0-24
	MOVD first+0(FP), R0
	MOVD indices+8(FP), R1
	MOVD n+16(FP), R2
	MOVD $const_RecordSize, R4
	ADD  R2<<2, R1, R2
	B    check
next:
	MOVWU.P 4(R1), R3
	MADD R4, R0, R3, R3
	PRFM (R3), PLDL1KEEP
	PRFM 64(R3), PLDL1KEEP
	PRFM 128(R3), PLDL1KEEP
	PRFM 320(R3), PLDL1KEEP
	PRFM 384(R3), PLDL1KEEP
check:
	CMP R2, R1
	BNE next
	RET
