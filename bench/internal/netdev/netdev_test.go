package netdev

import "testing"

func TestCountersAreRead(t *testing.T) {
	const text = "Inter-|   Receive\n face |bytes    packets errs\n    lo:     1       2    0\n veth0: 1508 2 0\nveth1:9 x\n"
	if c, err := parse(text, "veth0"); err != nil || c != (Counters{1508, 2}) {
		t.Errorf("veth0: %+v, %v", c, err)
	}
	for _, device := range []string{"veth", "veth1", "none"} {
		if c, err := parse(text, device); err == nil {
			t.Errorf("%s: %+v, want an error", device, c)
		}
	}
}

func TestSegmentsOfSuperPackets(t *testing.T) {
	for _, row := range []struct {
		c       Counters
		payload int
		want    uint64
	}{
		{Counters{54 * 10, 10}, 0, 10}, {Counters{10 * 1454, 10}, 1400, 10}, {Counters{54 + 8*1400, 1}, 1400, 8}, {Counters{}, 1400, 0},
	} {
		if got := row.c.Segments(row.payload); got != row.want {
			t.Errorf("%+v of %d bytes: %d segments, want %d", row.c, row.payload, got, row.want)
		}
	}
}
