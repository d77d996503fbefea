// Package wheel finds the records whose deadlines have come: a hierarchical timing wheel (Varghese & Lauck,
// 1987, scheme 7) that holds record indices, not timers.
//
//	w := wheel.New(len(records))
//	w.Arm(i, deadline)
//	…
//	for more := true; more; {
//		n, more = w.Advance(now, out) // pops at most len(out) indices
//		for _, i := range out[:n] {
//			if d := records[i].deadline; int32(d-now) > 0 {
//				w.Arm(i, d) // popped before its deadline
//			} else {
//				expire(i)
//			}
//		}
//	}
//
// # Levels and slots
//
// The wheel has no clock. A tick is a uint32 in a unit that the caller chooses; it wraps at 2^32. Ticks are
// compared by their signed difference, so two ticks in one call must lie less than 2^31 apart.
//
// There are four levels of 64 slots. A slot of level l spans 64^l ticks:
//
//	level 0   ticks ahead         1 to 63     │0│1│2│3│ … │63│  each 1 tick
//	level 1                      64 to 4095   │0│1│2│3│ … │63│  each 64 ticks
//	level 2                    4096 to 2^18-1 │0│1│2│3│ … │63│  each 4096 ticks
//	level 3                    2^18 to 2^24-1 │0│1│2│3│ … │63│  each 2^18 ticks
//
// An index goes to the level by how far ahead its deadline lies, and there to slot (deadline >> 6·level) & 63.
// A deadline farther ahead is put at 2^24-1. The slot falls due on its first tick: an index in a coarse slot
// pops before its deadline, never after it.
//
//	at tick 130, armed for tick 5000: 4870 ahead, level 2, slot 5000>>12 & 63 = 1
//	    tick 4096   slot 1 of level 2 is due: popped, armed again, 904 ahead
//	                level 1, slot 5000>>6 & 63 = 14
//	    tick 4992   slot 14 of level 1 is due: popped, armed again, 8 ahead
//	                level 0, slot 5000 & 63 = 8
//	    tick 5000   slot 8 of level 0 is due: popped, the deadline has come
//
// What the textbook calls a cascade is here the same act as arming again a record that was used since: the
// caller reads its deadline and arms it. There are no callbacks.
//
// A packet costs the wheel nothing: it stores the time in its record, and the deadline is read when the
// slot is due. Only a deadline that moves earlier must be armed at once.
//
// # Batches
//
// A popped record is mostly not in the cache. Read the deadlines of a batch in one loop and act on them in a
// second one: the cache misses of the first then overlap. BenchmarkVisit with a million records of 512 bytes
// takes 35 to 38 ns a record instead of 134.
//
// Advance pops no more than out holds, and reports whether more is due. What is left stays armed, and can be
// moved or cancelled meanwhile.
//
// # Cost
//
// Arm, Cancel and one pop are O(1). To cross any stretch of time without due slots takes four looks at a
// bitmap. [New] allocates everything, 8.3 bytes per index and 33 KiB, and memory is touched only as it is
// used. The tag invariants has the wheel check itself after every change (invariants.go).
//
// A Wheel belongs to one goroutine.
package wheel
