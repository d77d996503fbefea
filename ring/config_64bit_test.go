//go:build !(386 || arm || mips || mipsle)

package ring

import "math"

// rows64bit are values that an int of 32 bits cannot hold.
var rows64bit = []validateRow{
	{"a block size of 2 GiB", 4096, func(c *Config) { c.BlockSize = 1 << 31 }, []string{"block size 2147483648", "at most 2147479552"}},
	{"a block size of 2^63-1", 4096, func(c *Config) { c.BlockSize = math.MaxInt }, []string{"block size 9223372036854775807", "at most 2147479552"}},
	{"a number of blocks whose product with the size wraps 64 bits", 4096, func(c *Config) { c.NumBlocks = 1 << 62 }, []string{"number of blocks 4611686018427387904", "at most 65536"}},
}
