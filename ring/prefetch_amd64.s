#include "textflag.h"

// func prefetchLines(p unsafe.Pointer, n uint64)
TEXT ·prefetchLines(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ n+8(FP), CX
	ADDQ AX, CX
	JMP  check
next:
	PREFETCHT1 (AX)
	ADDQ $64, AX
check:
	CMPQ AX, CX
	JCS  next
	RET
