#include "textflag.h"

// func prefetchLines(p unsafe.Pointer, n uint64)
TEXT ·prefetchLines(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	ADD  R0, R1, R1
	B    check
next:
	PRFM (R0), PLDL2KEEP
	ADD  $64, R0, R0
check:
	CMP R1, R0
	BLO next
	RET
