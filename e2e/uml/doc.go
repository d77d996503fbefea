// Package uml tests the exporter on kinds of interfaces that few machines' kernels have all of: VLAN devices, bonds,
// PPP, tunnels, and delays of a known length. It boots a kernel of its own for that, User Mode Linux (Debian's package
// user-mode-linux), which is a program like any other and needs no hardware support.
//
// The test binary is there three times:
//
//	host   "go test" starts it: builds the exporter, boots the kernel, copies what the tests say,
//	       and ends with their exit status                                           (host_test.go)
//	init   the kernel starts it as process 1: mounts, loads modules, starts the tests (init_test.go)
//	tests  as always, as root in that kernel: "-run" and "-v" go through
//
// The kernel's root is the host's own, read-only (hostfs): programs and libraries are those of the host, under the same
// paths. /run is in memory. There is no network but what the tests make.
//
// The tests have the build tag uml: "make test-uml" runs them.
package uml
