package app

import (
	"sync/atomic"
	"time"
)

// goneTime is how long there is no interface of the name that was given before the log says so: a PPPoE
// session is dialled again, and a container started, within it.
const goneTime = 10 * time.Second

// presence follows whether there is an interface of the name that was given. The zero value takes it for
// there.
type presence struct {
	absent atomic.Bool
	// Of whoever calls note.
	since     time.Time // that it is not there
	announced bool      // that it is gone
}

// waitsFromTheStart notes that there has been no interface of the name so far, and that the log has said so.
func (p *presence) waitsFromTheStart() {
	p.absent.Store(true)
	p.announced = true
}

// exists may be called from any goroutine.
func (p *presence) exists() bool { return !p.absent.Load() }

// news is what a look at the interface's name gives to tell.
type news int

const (
	nothingNew  news = iota
	goneForGood      // for goneTime, and was not told before
	thereAgain       // after goneForGood
)

// note takes what a look at time now has found.
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
