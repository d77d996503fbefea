package group

import "slices"

// Reset makes r empty. Its memory is used again.
func (r *Reading) Reset() {
	*r = Reading{Rows: r.Rows[:0], index: r.index, more: r.more}
}

// Grow makes room for n rows beyond those that there are.
func (r *Reading) Grow(n int) { r.Rows = slices.Grow(r.Rows, n) }

// Add adds o's counts to d.
func (d *Data) Add(o *Data) {
	d.Packets += o.Packets
	d.Bytes += o.Bytes
	d.Retransmits += o.Retransmits
	d.RetransmittedBytes += o.RetransmittedBytes
	d.HandshakeRetransmits += o.HandshakeRetransmits
	d.OutOfOrder += o.OutOfOrder
	d.Gaps += o.Gaps
	d.DuplicateAcks += o.DuplicateAcks
	d.ZeroWindows += o.ZeroWindows
	d.Resets += o.Resets
}

// Add adds o's counts and gauges to t.
func (t *Totals) Add(o *Totals) {
	for d := range t.Data {
		t.Data[d].Add(&o.Data[d])
		t.Size[d].Add(&o.Size[d])
	}
	t.Opened += o.Opened
	t.Established += o.Established
	for i, n := range o.Closed {
		t.Closed[i] += n
	}
	for i, n := range o.Failed {
		t.Failed[i] += n
	}
	t.HalfOpen += o.HalfOpen
	t.EstablishedNow += o.EstablishedNow
	t.OneWay += o.OneWay
	for l := range t.RTT {
		t.RTT[l].Add(&o.RTT[l])
		t.Handshake[l].Add(&o.Handshake[l])
	}
	t.Duration.Add(&o.Duration)
}

// More returns an empty Reading that belongs to r, for another worker's rows, which Merge adds to r's.
func (r *Reading) More() *Reading {
	if r.more == nil {
		r.more = &Reading{}
	}
	r.more.Reset()
	return r.more
}

// Merge adds what More was filled with. Rows of the same combination become one. Capacity is that of one worker, and Used
// that of the one that uses most.
func (r *Reading) Merge() {
	o := r.more
	if r.index == nil {
		r.index = map[Key]int{}
	}
	clear(r.index)
	for i := range r.Rows {
		r.index[r.Rows[i].Key] = i
	}
	for i := range o.Rows {
		row := &o.Rows[i]
		if at, known := r.index[row.Key]; known {
			r.Rows[at].Totals.Add(&row.Totals)
		} else {
			r.Rows = append(r.Rows, *row)
		}
	}
	r.Overflow += o.Overflow
	for i := range r.Used {
		r.Capacity[i], r.Used[i] = max(r.Capacity[i], o.Capacity[i]), max(r.Used[i], o.Used[i])
	}
}
