// Package e2e tests the exporter as its operator meets it: the built binary as a process, real
// traffic of the kernel's own TCP in network namespaces, /metrics read over HTTP. It has no code
// of its own outside the tests.
package e2e
