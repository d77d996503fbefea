package ring

// Losing reports whether drops had not been read with Stats when the block was closed (TP_STATUS_LOSING).
func (b *Block) Losing() bool { return b.status&tpStatusLosing != 0 }
