package exposition

// best keeps the items that stand furthest in front of those that were offered: a heap, the last of them first. The zero
// value is empty.
type best[T any] struct{ items []T }

// offer takes x in if it is one of the first most so far. below reports whether a stands behind b.
func (h *best[T]) offer(x T, most int, below func(a, b *T) bool) {
	h.items = append(h.items, x) // also to compare it: a pointer to x itself would have it allocated
	last := len(h.items) - 1
	if last < most {
		for i := last; i > 0; { // up
			up := (i - 1) / 2
			if !below(&h.items[i], &h.items[up]) {
				return
			}
			h.items[i], h.items[up] = h.items[up], h.items[i]
			i = up
		}
		return
	}
	if most > 0 && below(&h.items[0], &h.items[last]) {
		h.items[0] = x
		for i := 0; ; { // down
			least := i
			for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
				if below(&h.items[child], &h.items[least]) {
					least = child
				}
			}
			if least == i {
				break
			}
			h.items[i], h.items[least] = h.items[least], h.items[i]
			i = least
		}
	}
	h.items = h.items[:last]
}
