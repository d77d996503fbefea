package app

import (
	"testing"
	"time"
)

func TestPresence(t *testing.T) {
	var p presence
	at := time.Unix(1000, 0)
	for i, step := range []struct {
		after  time.Duration
		exists bool
		want   news
	}{
		{0, true, nothingNew},
		{time.Second, false, nothingNew},
		{goneTime - 1, false, nothingNew},
		{1, false, goneForGood},
		{time.Second, false, nothingNew}, // not again
		{time.Hour, false, nothingNew},
		{time.Second, true, thereAgain},
		{time.Second, true, nothingNew},
		{time.Second, false, nothingNew}, // away for a short time: nothing to tell
		{goneTime / 2, true, nothingNew},
		{time.Second, false, nothingNew}, // which counts from the start
		{goneTime - 1, false, nothingNew},
		{1, false, goneForGood},
	} {
		at = at.Add(step.after)
		if got := p.note(step.exists, at); got != step.want {
			t.Errorf("step %d: news %d, want %d", i, got, step.want)
		}
		if p.exists() != step.exists {
			t.Errorf("step %d: exists is %v", i, p.exists())
		}
	}
}
