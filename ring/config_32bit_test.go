//go:build 386 || arm || mips || mipsle

package ring

var rows64bit []validateRow
