// Package loss watches the places where packets vanish before a packet socket sees them, and says
// whether a capture's figures of the last while can be trusted.
//
// A frame on its way to the ring passes the network card (whose losses rtnetlink(7) tells, for the
// caller's network namespace) and, on some ways, a queue of the kernel (softnet_stat in /proc/net,
// which is of the whole machine). The ring's own losses the capture knows itself: it is asked
// through Config.Capture.
//
// A Watcher reads all of it about every two seconds on a goroutine of its own, so that a scrape makes
// no system call and nothing here ever waits for the capture's worker or keeps it waiting. Figures
// may be called from any goroutine.
package loss
