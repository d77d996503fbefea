package app

import (
	"sync/atomic"
	"time"
)

// goneTime is how long the named interface is missing before that is logged: redialling a PPPoE session or
// starting a container takes less.
const goneTime = 10 * time.Second

// presence follows whether the named interface exists. The zero value takes it to exist.
type presence struct {
	absent atomic.Bool
	// Used by note alone, which one goroutine calls.
	since     time.Time // the interface is missing since then
	announced bool      // the log has it that the interface is missing
}

// waitsFromTheStart notes that there has been no interface of the name so far, and that the log has said so.
func (p *presence) waitsFromTheStart() {
	p.absent.Store(true)
	p.announced = true
}

// exists may be called from any goroutine.
func (p *presence) exists() bool { return !p.absent.Load() }

// news is what changed, as one look-up of the interface's name shows.
type news int

const (
	nothingNew  news = iota
	goneForGood      // missing for goneTime, and not logged yet
	thereAgain       // after goneForGood
)

// note takes the result of a look-up at time now.
func (p *presence) note(exists bool, now time.Time) news {
	was := p.exists()
	p.absent.Store(!exists)
	switch {
	case exists && p.announced:
		p.announced = false
		return thereAgain
	case exists:
	case was:
		p.since = now
	case !p.announced && now.Sub(p.since) >= goneTime:
		p.announced = true
		return goneForGood
	}
	return nothingNew
}
