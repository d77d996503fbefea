package web

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// users returns a config of one user whose password takes some 10 ms.
func users(t *testing.T, user, password string) *config {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 7)
	if err != nil {
		t.Fatal(err)
	}
	return &config{users: map[string]string{user: string(hash)}, decoy: string(hash)}
}

// A flood of wrong passwords from many addresses: one is hashed at a time, few wait, the others are turned away at
// once, and whoever has been let in before is let in at once.
func TestAFloodOfWrongPasswords(t *testing.T) {
	const clients, length = 40, time.Second
	c, p := users(t, "scraper", "secret"), newPasswords()
	if v := p.check(t.Context(), c, "scraper", "secret", "good"); v != right {
		t.Fatal(v)
	}
	fastest := time.Hour // of a hash, when nobody else wants the processor
	for range 10 {
		one := time.Now()
		_ = bcrypt.CompareHashAndPassword([]byte(c.decoy), []byte("x"))
		fastest = min(fastest, time.Since(one))
	}
	var hashed, refused, most atomic.Int64
	var flood sync.WaitGroup
	end := time.Now().Add(length)
	for i := range clients {
		flood.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				switch p.check(t.Context(), c, "scraper", fmt.Sprint("guess ", n, " of ", i), fmt.Sprint(i)) {
				case right:
					t.Error("a guess is right")
				case wrong:
					hashed.Add(1)
				case crowded:
					refused.Add(1)
					time.Sleep(time.Millisecond)
				}
				p.mu.Lock()
				most.Store(max(most.Load(), int64(len(p.checks))))
				p.mu.Unlock()
			}
		})
	}
	for time.Now().Before(end) {
		begin := time.Now()
		if v := p.check(t.Context(), c, "scraper", "secret", "good"); v != right {
			t.Errorf("%v for the right password", v)
		}
		if took := time.Since(begin); took > 500*time.Millisecond { // a hash in the queue takes 40 ms each
			t.Errorf("the right password took %v", took)
		}
		time.Sleep(10 * time.Millisecond)
	}
	flood.Wait()
	share := float64(fastest) * float64(hashed.Load()) / float64(time.Since(end.Add(-length)))
	t.Logf("%d hashed, %.0f%% of a processor, %d refused, %d wait at most", hashed.Load(), 100*share, refused.Load(), most.Load())
	if hashed.Load() == 0 || refused.Load() < 100 || most.Load() > maxChecks {
		t.Error("want some to be hashed, most to be refused, and few to wait")
	}
	if share > 0.4 {
		t.Errorf("hashing took %.0f%% of a processor at least, want a quarter at most", 100*share)
	}
	if len(p.accepted) != 1 {
		t.Errorf("%d digests are kept, want 1", len(p.accepted))
	}
}

// Of one client one password is checked at a time; several requests with the same one share that.
func TestOneCheckForEachClient(t *testing.T) {
	c, p := users(t, "scraper", "secret"), newPasswords()
	p.hash <- struct{}{} // somebody else's is hashed
	var verdicts [2 * maxAsking]verdict
	var asking sync.WaitGroup
	for i := range verdicts {
		asking.Go(func() { verdicts[i] = p.check(t.Context(), c, "scraper", "secret", "one") })
	}
	await(t, "requests that wait", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, k := range p.checks {
			return k.asking == maxAsking
		}
		return false
	})
	if v := p.check(t.Context(), c, "scraper", "other", "one"); v != crowded {
		t.Errorf("a second password of a client: %v, want %v", v, crowded)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if v := p.check(gone, c, "scraper", "third", "two"); v != wrong {
		t.Errorf("a client that has gone: %v", v)
	}
	<-p.hash
	asking.Wait()
	let := map[verdict]int{}
	for _, v := range verdicts {
		let[v]++
	}
	if let[right] != maxAsking || let[crowded] != maxAsking {
		t.Errorf("%v, want %d right and as many refused", let, maxAsking)
	}
}

func TestClientOf(t *testing.T) {
	for _, c := range []struct{ remote, want string }{
		{"192.0.2.1:5000", "192.0.2.1"}, {"[::ffff:192.0.2.1]:5000", "192.0.2.1"},
		{"[2001:db8:1:2:3:4:5:6]:5000", "2001:db8:1:2::/64"}, {"[fe80::1%eth0]:5000", "fe80::/64"},
		{"@", ""}, {"", ""},
	} {
		if got := clientOf(c.remote); got != c.want {
			t.Errorf("%s: %q, want %q", c.remote, got, c.want)
		}
	}
}
