// Package netif answers everything that the program asks about network interfaces: which there are,
// what an interface is, what it has lost, which one leads to the rest of the world, and when any of
// that changes.
//
//	Find, List, DefaultRoute   once, by name: at the start and before rings are opened again
//	Conn                       again and again, by index, through one socket: MTU, lower interface, statistics
//	Watch                      blocks until some interface changes
//	Monitor                    keeps the list of all interfaces, and tells what has changed in it
//	AskDevice                  driver and offloads, by name: what ethtool(8) shows
//	Selection                  which interfaces are meant: names, patterns, exclusions
//
// All but the default route and AskDevice comes from rtnetlink(7). sysfs would not do: it shows the interfaces of
// the network namespace that it was mounted in. Every answer is of the calling thread's namespace,
// for Conn, Watch and Monitor of the one that their socket was opened in, and needs no right.
//
// A Conn belongs to one goroutine at a time; everything else may be called from any. Names are those
// of the kernel, which takes nearly any bytes for one: they need not be UTF-8.
package netif
