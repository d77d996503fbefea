package app

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/web"
)

const (
	// maxClients is the most connections to the metrics that are kept. Half of them may wait for a
	// scrape; each takes some 20 KiB.
	maxClients = 128
	// minClients let one scrape run while another client holds a connection.
	minClients = 2
	// maxProfileClients is the most connections to the profiles.
	maxProfileClients = 4

	// filesPerWorker are the packet socket, the eventfd, timerfd and epoll of its waiting, and the
	// rtnetlink socket that watches the interfaces.
	filesPerWorker = 5
	// laterFiles are the listener, the Go runtime's epoll and eventfd, the rtnetlink socket and
	// softnet_stat of package loss, the rtnetlink socket and /proc/meminfo of opening the rings again, the
	// socket that package status asks for offloads by, and one to spare.
	laterFiles = 9
	// processFiles are those of /proc that two scrapes with -process-metrics read at the same time.
	processFiles = 4
	// profileFiles are those of a profile that is being written.
	profileFiles = 2
)

// clientBound returns the most connections to the metrics that are kept: what the limit of open files leaves
// when everything else has its descriptors. So clients cannot take those that opening a returned interface
// needs; none are held in reserve. It is called before anything is opened.
func (o *options) clientBound() (int, error) {
	limit := unix.Rlimit{}
	// The soft limit equals the hard one: package os has raised it.
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil { // forbidden by a system call filter
		limit.Cur = 1024 // INR_OPEN_CUR (linux/fs.h), the kernel's own
	}
	return o.clientsWithin(limit.Cur, openFiles())
}

// clientsWithin returns the bound with a limit of open files of which some are open already.
func (o *options) clientsWithin(limit uint64, open int) (int, error) {
	need := open + laterFiles + filesPerWorker*o.workers
	if more := len(o.web.addresses) - 1; more > 0 {
		need += 2 * more // a listener, and a connection that has come there
	}
	if o.web.config != "" {
		need++ // read when it changes
	}
	if o.metrics.ProcessMetrics {
		need += processFiles
	}
	if o.pprof != "" {
		need += maxProfileClients + web.Refusing(maxProfileClients) + profileFiles
	}
	for n := maxClients; n >= minClients; n-- {
		if uint64(need+n+web.Refusing(n)) <= limit {
			return n, nil
		}
	}
	return 0, fmt.Errorf("the limit of open files (RLIMIT_NOFILE) is %d: %d are needed with -workers %d: raise it with ulimit -n or, for a service, LimitNOFILE=",
		limit, need+minClients+web.Refusing(minClients), o.workers)
}

// openFiles returns the number of open descriptors: mostly those that the program was started with.
func openFiles() int {
	const standard = 3 // input, output, error: all that is known without /proc
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return standard
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return standard
	}
	return len(names) - 1 // dir itself
}
