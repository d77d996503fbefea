package ring

import (
	"errors"
	"os"
	"testing"
	"time"
)

// Of frames that come without a pause each is judged by the filter of before or by that of after, and none by none.
func TestSetFilter(t *testing.T) {
	cap0, gen0 := veth(t)
	c := small(t, cap0)
	c.Filter = onlyTestFrames(t, 96)
	r := mustOpen(t, c)
	s := newSender(t, gen0)
	other := onlyTestFrames(t, 60)
	for i := range 100 {
		if i == 50 {
			if err := r.SetFilter(other); err != nil {
				t.Fatal(err)
			}
		}
		s.send(t, numbered(i, 200))
		foreign := numbered(i, 200)
		foreign[12], foreign[13] = 0x12, 0x34
		s.send(t, foreign)
	}
	for i, f := range collect(t, r, 100, 50*time.Millisecond) {
		want := 96
		if i >= 50 {
			want = 60
		}
		if numberOf(f) != i || len(f.Data) != want {
			t.Fatalf("frame %d: number %d, %d bytes, want %d", i, numberOf(f), len(f.Data), want)
		}
	}
	if err := r.SetFilter(RejectAll); err != nil {
		t.Fatal(err)
	}
	s.send(t, numbered(1, 100))
	if got := collect(t, r, 0, 50*time.Millisecond); len(got) != 0 {
		t.Errorf("%d frames pass a filter that rejects all", len(got))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.SetFilter(nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// An interface that does not exist is told from one that cannot be switched; e2e sees the switch itself.
func TestSetPromiscuous(t *testing.T) {
	cap0, _ := veth(t)
	r := mustOpen(t, small(t, cap0))
	if err := r.SetPromiscuous(cap0, true); err != nil {
		t.Fatal(err)
	}
	if err := r.SetPromiscuous(1<<30, true); !errors.Is(err, ErrGone) {
		t.Errorf("an interface that does not exist: %v", err)
	}
	if err := r.SetPromiscuous(cap0, false); err != nil {
		t.Errorf("the end of it: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.SetPromiscuous(cap0, true); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
