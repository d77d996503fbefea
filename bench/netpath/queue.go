package netpath

import "time"

// packet is a packet on its way.
type packet struct {
	due   time.Duration // since the path's start
	order uint64        // of coming in
	next  place
	from  side
	again bool // by the ledger, of the sender's
	seg   segment
	n     int
	data  [maxPacket]byte
}

// maxPacket is more than the devices' MTU of 1500 bytes.
const maxPacket = 2048

// side is an end of the path.
type side uint8

const (
	sender side = iota
	receiver
)

// place is where a packet arrives when it is due.
type place uint8

const (
	atPoint place = iota
	atEnd
)

// queue is a heap of packets by the time when they are due, then by order.
type queue []*packet

func (p *packet) sooner(q *packet) bool {
	return p.due < q.due || p.due == q.due && p.order < q.order
}

func (q *queue) push(p *packet) {
	h := append(*q, p)
	i := len(h) - 1
	for i > 0 && p.sooner(h[(i-1)/2]) {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = p
	*q = h
}

func (q *queue) pop() *packet {
	h := *q
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = nil
	h = h[:len(h)-1]
	*q = h
	for i := 0; len(h) > 0; {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].sooner(h[child]) {
			child++
		}
		if child >= len(h) || !h[child].sooner(last) {
			h[i] = last
			break
		}
		h[i] = h[child]
		i = child
	}
	return first
}
