// Package lab makes the place where benchmarks and tests send traffic: two network namespaces
// with a veth pair between them and nothing else, so that no packet but the generator's is on the
// line and none can leave the machine. It needs root and the tools ip(8) and, for offloads,
// ethtool(8).
//
// A pair is removed by Close. One whose process was killed is removed by the next New, which
// knows it by a lock file that nobody holds any more. Functions may be called from any goroutine.
package lab
