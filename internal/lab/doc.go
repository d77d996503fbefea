// Package lab builds the small networks that tests run real traffic in: two network namespaces
// joined by a veth pair, commands and Go code inside them, the kernel's own TCP counters as an oracle,
// and the exporter as a process that is started, scraped and stopped. Its answers go through a Checker,
// whatever the test is about.
//
// It is for tests only. Everything it makes is removed when the test ends, passed or failed.
// The namespaces have no way out: no route, no address of the machine's own network.
package lab
