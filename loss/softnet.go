package loss

import (
	"errors"
	"fmt"

	"github.com/prometheus/procfs"
)

const (
	// procSelf is where procfs looks for net/softnet_stat, which has a line of hexadecimal numbers for each
	// processor that is online (softnet_seq_show in net/core/net-procfs.c of Linux 6.9). The file counts
	// for the whole machine in every network namespace. Below /proc/self it is there with ProcSubset=pid in
	// a systemd unit too, which hides /proc/net.
	procSelf    = "/proc/self"
	softnetFile = procSelf + "/net/softnet_stat"
)

// softnet holds the sums over the processors. Each processor's number has 32 bits and wraps.
type softnet struct {
	dropped  uint64 // packets that found the queue of a processor full
	squeezed uint64 // times that a processor's softirq turn ended with packets waiting
}

var errSoftnet = errors.New("malformed " + softnetFile)

// readSoftnet reads the file below proc, which is procSelf but for tests.
func readSoftnet(proc string) (sum softnet, err error) {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return softnet{}, fmt.Errorf("%w: /proc must be mounted", err)
	}
	processors, err := fs.NetSoftnetStat()
	switch {
	case errors.Is(err, procfs.ErrFileParse):
		return softnet{}, fmt.Errorf("%w: %w", errSoftnet, err)
	case err != nil:
		return softnet{}, fmt.Errorf("%w: /proc must be mounted", err)
	case len(processors) == 0:
		return softnet{}, fmt.Errorf("%w: it is empty", errSoftnet)
	}
	for _, p := range processors {
		sum.dropped += uint64(p.Dropped)
		sum.squeezed += uint64(p.TimeSqueezed)
	}
	return sum, nil
}
