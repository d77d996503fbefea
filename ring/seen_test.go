package ring

// seen is a frame as plain values, to compare and to keep.
type seen struct {
	Data     []byte
	Time     int64
	WireLen  uint32
	Status   uint32
	VLANTCI  uint16
	VLANTPID uint16
	Hatype   uint16
	PktType  uint8
	IfIndex  int32
}

// next is Next into plain values. Data still aliases the block.
func (b *Block) next(to *seen) bool {
	f, ok := b.Next()
	if !ok {
		return false
	}
	*to = seen{
		Data: f.Data, Time: f.Time(), WireLen: f.WireLen(), Status: f.Status(),
		Hatype: f.Hatype(), PktType: f.PktType(), IfIndex: f.IfIndex(),
	}
	to.VLANTCI, to.VLANTPID = f.VLAN()
	return true
}
