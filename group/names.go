package group

import (
	"sync"
	"sync/atomic"
)

// Other is the label of what belongs to no group, and of a port that is no listed service. No group may be called so.
const Other = "other"

// Names numbers the names of groups. A name keeps its number for as long as the program runs, also when a later list of
// groups has it no longer: what was counted under it is still there. The zero value is ready to use.
//
// One goroutine at a time gives numbers; any number may read names meanwhile, without a lock.
type Names struct {
	mu      sync.Mutex
	numbers map[string]uint32        // guarded by mu
	names   atomic.Pointer[[]string] // by number − 1; only ever appended to
}

// number returns a name's number, 1 or more, and gives it one if it has none.
func (n *Names) number(name string) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if number, known := n.numbers[name]; known {
		return number
	}
	if n.numbers == nil {
		n.numbers = map[string]uint32{}
	}
	var names []string
	if now := n.names.Load(); now != nil {
		names = *now
	}
	// A reader that has the slice before sees none of what is written behind its end.
	names = append(names, name)
	n.names.Store(&names)
	number := uint32(len(names))
	n.numbers[name] = number
	return number
}

// known reports whether a name has a number.
func (n *Names) known(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.numbers[name] != 0
}

// name returns the name of a number; Other if there is none.
func (n *Names) name(number uint32) string {
	names := n.names.Load()
	if number == 0 || names == nil || uint64(number) > uint64(len(*names)) {
		return Other
	}
	return (*names)[number-1]
}

// len returns how many names have numbers.
func (n *Names) len() int {
	if names := n.names.Load(); names != nil {
		return len(*names)
	}
	return 0
}
