// Package loss watches the places where packets are lost before a packet socket sees them, and reports
// whether a capture's figures of the last minute can be trusted.
//
//	network card ── queue of a processor ── packet socket's ring ── capture
//	netif.Stats     softnet_stat            Config.Capture
//
// A frame on its way to the ring passes the network card, whose losses package netif reads for the
// caller's network namespace, and on some ways a queue of the kernel, whose losses are in softnet_stat
// below /proc, for the whole machine. The capture counts what the ring itself loses (Config.Capture).
//
// A Watcher reads all of it about every two seconds on a goroutine of its own. So a scrape makes no
// system call, and nothing here waits for the capture's worker or keeps it waiting. Figures may be
// called from any goroutine.
package loss
