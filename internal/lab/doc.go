// Package lab builds the small networks that tests run real traffic in, of network namespaces and
// veth pairs: two hosts side by side (Lab), with a slow or disorderly line between them (Line), or with
// a router (Router) that may translate addresses, have a bridge, put VLAN tags, PPPoE or MPLS around packets, or be
// far from either end. It runs commands and Go code in them, sends bytes both ways and counts them (Transfer), and reads the
// kernel's own TCP counters as an oracle. The exporter is started, scraped and stopped as the
// process it is; what it answers goes through a Checker, whatever the test is about.
//
// It is for tests only. Everything it makes is removed when the test ends, also when it fails.
// The namespaces have no way out: no route that leaves the lab, no address of the machine's own network.
package lab
