package stream

import "testing"

func TestExtra(t *testing.T) {
	const ms = int64(1e6)
	for _, row := range []struct {
		says  string
		steps []step
		dir   int
		want  Extra // in ms
	}{
		{"a handshake, the client", shake, a, Extra{First: 0, Last: 20, Syn: 0, Handshake: 20}},
		{"a handshake, the server", shake, b, Extra{First: 10, Last: 10, Syn: 0, Handshake: 20}},
		{"data after it", after(shake, step{50, b, ack, 1, 100, 1, 10, 0}), b, Extra{First: 10, Last: 50, Syn: 0, Handshake: 20}},
		{"a SYN that comes twice: no telling which one was answered", []step{
			{0, a, syn, 0, 0, 0, 1000, 1}, {100, a, syn, 0, 0, 0, 1000, 1}, {110, b, syn | ack, 0, 0, 1, 2000, 1}, {120, a, ack, 1, 0, 1, 10, 0},
		}, a, Extra{First: 0, Last: 120, Syn: 100, Handshake: -1}},
		{"a SYN+ACK that comes twice", []step{
			{0, a, syn, 0, 0, 0, 1000, 1}, {10, b, syn | ack, 0, 0, 1, 2000, 1}, {1010, b, syn | ack, 0, 0, 1, 2000, 1}, {1020, a, ack, 1, 0, 1, 10, 0},
		}, a, Extra{First: 0, Last: 1020, Syn: 0, Handshake: -1}},
		{"the server's data comes before the client's ACK", []step{
			{0, a, syn, 0, 0, 0, 1000, 1}, {10, b, syn | ack, 0, 0, 1, 2000, 1}, {11, b, ack, 1, 100, 1, 2000, 0}, {20, a, ack, 1, 0, 1, 10, 0},
		}, a, Extra{First: 0, Last: 20, Syn: 0, Handshake: 20}},
		{"a SYN that waits comes twice: no telling which one was answered", after(shake,
			step{1000, a, syn, 5555, 0, 0, 700, 0}, step{2000, a, syn, 5555, 0, 0, 700, 0}, step{2010, b, syn | ack, 900, 0, 5556, 800, 0}, step{2020, a, ack, 5556, 0, 901, 10, 0}),
			a, Extra{First: 1000, Last: 2020, Syn: 1000, Handshake: -1}},
		{"a SYN that waits", after(shake,
			step{1000, a, syn, 5555, 0, 0, 700, 0}, step{1010, b, syn | ack, 900, 0, 5556, 800, 0}, step{1020, a, ack, 5556, 0, 901, 10, 0}),
			a, Extra{First: 1000, Last: 1020, Syn: 1000, Handshake: 20}},
		{"a SYN without an answer", []step{{7, a, syn, 0, 0, 0, 1000, 1}}, a, Extra{First: 7, Last: 7, Syn: 7, Handshake: -1}},
		{"nothing between SYN and ACK", []step{{0, a, syn, 0, 0, 0, 1000, 1}, {0, b, syn | ack, 0, 0, 1, 2000, 1}, {0, a, ack, 1, 0, 1, 10, 0}}, a,
			Extra{Handshake: 0}},
		{"more than 2.1 s", []step{{0, a, syn, 0, 0, 0, 1000, 1}, {1, b, syn | ack, 0, 0, 1, 2000, 1}, {3200, a, ack, 1, 0, 1, 10, 0}}, a,
			Extra{First: 0, Last: 3200, Syn: 0, Handshake: 3200}},
	} {
		c, tally := fresh(), &Tally{}
		const shift = 1000 * int64(1e9)
		for _, s := range row.steps {
			c.Account(s.dir, s.segment(), int64(s.ms*1e6)+shift+12345*ms, tally)
		}
		var got Extra
		c.Extra(row.dir, shift, &got)
		want := Extra{First: (row.want.First + 12345) * ms, Last: (row.want.Last + 12345) * ms, Syn: (row.want.Syn + 12345) * ms, Handshake: row.want.Handshake * ms}
		if row.want.Handshake < 0 {
			want.Handshake = -1
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", row.says, got, want)
		}
	}
	// In mid-stream there was no SYN.
	c, tally := fresh(), &Tally{}
	play(c, tally, []step{{5, a, ack, 1000, 10, 1, 10, 0}})
	var got Extra
	if c.Extra(a, 0, &got); got != (Extra{First: 5 * ms, Last: 5 * ms, Handshake: -1}) {
		t.Errorf("in mid-stream: %+v", got)
	}
}
