#include "textflag.h"

// func prefetchLine(p unsafe.Pointer)
TEXT ·prefetchLine(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL2KEEP
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
	RET
