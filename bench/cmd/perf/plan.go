package main

import "time"

// plan is what is measured, and how often.
type plan struct {
	loads      []load
	loadRuns   int
	loadBudget time.Duration

	liveStreams  string // as benchlive takes them
	liveRuns     int
	liveDuration time.Duration // of one run
	idle         time.Duration

	scrapes      []scrapeSize
	scrapeRuns   int
	scrapeBudget time.Duration
	theirLimit   time.Duration // for one run of client_golang

	connections  []int
	memoryRuns   int
	memoryBudget time.Duration
}

// load is prepared traffic.
type load struct {
	streams int
	traffic string        // in words
	flags   []string      // of BenchmarkWorker
	time    time.Duration // of one run
}

// scrapeSize is a number of streams to be scraped.
type scrapeSize struct {
	streams    int
	time       time.Duration // of a run of ours
	theirRuns  int           // of client_golang
	theirTimes string        // scrapes in each of those, as -test.benchtime takes them
}

// minRuns are made of everything, even beyond a budget: fewer have no median to speak of.
const minRuns = 3

const noLoss, loss, oneWay, flight = "no loss", "1 % of data lost before the capture and sent again",
	"data segments of one direction only", "ten segments stay in flight with each ACK"

// full takes 15 to 20 minutes: prepared blocks 4, live traffic 7, scrapes 5, memory 2. Budgets keep it below
// 22 on a machine that is slow.
//
// With more streams a run takes longer, so that the first packet of each stream, which takes the slow
// path, counts for little.
var full = plan{
	loads: []load{
		{1000, noLoss, nil, 300 * time.Millisecond},
		{3000, noLoss, nil, 300 * time.Millisecond},
		{10_000, noLoss, nil, 300 * time.Millisecond},
		{30_000, noLoss, nil, 300 * time.Millisecond},
		{100_000, noLoss, nil, 500 * time.Millisecond},
		{300_000, noLoss, nil, time.Second},
		{1_000_000, noLoss, nil, 2 * time.Second},
		{1000, loss, []string{"-loss", "0.01"}, 300 * time.Millisecond},
		{100_000, loss, []string{"-loss", "0.01"}, 500 * time.Millisecond},
		{1000, oneWay, []string{"-oneway"}, 300 * time.Millisecond},
		{100_000, oneWay, []string{"-oneway"}, 500 * time.Millisecond},
		{1000, flight, []string{"-flight", "10"}, 300 * time.Millisecond},
		{100_000, flight, []string{"-flight", "10"}, 500 * time.Millisecond},
	},
	loadRuns: 7, loadBudget: 5 * time.Minute,

	liveStreams: "1000,100000", liveRuns: 5, liveDuration: 5 * time.Second, idle: 10 * time.Second,

	scrapes: []scrapeSize{
		{1000, 300 * time.Millisecond, 5, "3x"},
		{10_000, 500 * time.Millisecond, 3, "1x"},
		{100_000, time.Second, 1, "1x"},
	},
	scrapeRuns: 5, scrapeBudget: 4 * time.Minute, theirLimit: 75 * time.Second,

	connections: []int{1000, 10_000, 100_000, 262_144},
	memoryRuns:  3, memoryBudget: 2 * time.Minute,
}

// quick takes a minute and shows that everything works.
var quick = plan{
	loads: []load{
		{1000, noLoss, nil, 20 * time.Millisecond},
		{10_000, noLoss, nil, 20 * time.Millisecond},
		{100_000, noLoss, nil, 20 * time.Millisecond},
		{1000, loss, []string{"-loss", "0.01"}, 20 * time.Millisecond},
		{1000, oneWay, []string{"-oneway"}, 20 * time.Millisecond},
		{1000, flight, []string{"-flight", "10"}, 20 * time.Millisecond},
	},
	loadRuns: 2, loadBudget: time.Minute,

	liveStreams: "1000,10000", liveRuns: 1, liveDuration: time.Second, idle: time.Second,

	scrapes:    []scrapeSize{{100, 10 * time.Millisecond, 1, "1x"}, {1000, 10 * time.Millisecond, 1, "1x"}},
	scrapeRuns: 2, scrapeBudget: time.Minute, theirLimit: time.Minute,

	connections: []int{1000, 10_000},
	memoryRuns:  1, memoryBudget: time.Minute,
}

// rounds calls each as often as runs says, and fewer times, but minRuns, if the next round would pass the
// budget. Within a round everything has its turn, so that what disturbs the machine for a while disturbs
// all alike.
func (p *perf) rounds(what string, runs int, budget time.Duration, each func(round int) error) error {
	start := time.Now()
	for round := range runs {
		roundStart := time.Now()
		if err := each(round); err != nil {
			return err
		}
		length := time.Since(roundStart)
		p.progress("%s: round %d of %d took %.0f s", what, round+1, runs, length.Seconds())
		if round+1 >= minRuns && round+1 < runs && time.Since(start)+length > budget {
			p.progress("%s: another round would take longer than %v, which is all there is", what, budget)
			return nil
		}
	}
	return nil
}
