package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// maxChecks bounds the passwords that are being checked or wait for it, each of another client. The last of them
	// waits two seconds at bcrypt's usual cost, less than a scrape does.
	maxChecks = 8
	// maxAsking bounds the requests that wait for one of them. A scraper may begin with several at once.
	maxAsking = 4
	// restFactor is how long no password is hashed after one was, in times of its own duration: a flood of wrong
	// passwords takes a quarter of one processor. A lower priority of the thread instead would hold up the garbage
	// collector, and by it the capture, whenever others have the processor.
	restFactor = 3
)

// verdict is the answer to a user and password.
type verdict int

const (
	wrong   verdict = iota
	right           // they are in the file
	crowded         // too many wait to be checked
)

// passwords checks users' passwords: one at a time, of each client one, and those that were right before at once. It
// keeps no password, only the digest of the last right one of each user, under a key that is in no other place.
type passwords struct {
	key  [sha256.Size]byte
	hash chan struct{} // held while one is hashed, and after that

	mu       sync.Mutex // guards the rest
	accepted map[string]digest
	checks   map[digest]*check
}

// digest is of a user, the hash in the file and a password.
type digest [sha256.Size]byte

// check is one that is under way or waits for it.
type check struct {
	client string
	asking int           // requests that wait for it
	done   chan struct{} // closed when right is set
	right  bool
}

func newPasswords() *passwords {
	p := &passwords{hash: make(chan struct{}, 1), accepted: map[string]digest{}, checks: map[digest]*check{}}
	_, _ = rand.Read(p.key[:]) // never fails (crypto/rand)
	return p
}

// check compares a user's password with the hash in c. It waits for the hashing as long as ctx lasts.
func (p *passwords) check(ctx context.Context, c *config, user, password, client string) verdict {
	hash, known := c.users[user]
	if !known {
		hash = c.decoy // takes as long as a user that exists
	}
	d := p.digest(user, hash, password)
	p.mu.Lock()
	if last, there := p.accepted[user]; there && hmac.Equal(last[:], d[:]) {
		p.mu.Unlock()
		return right
	}
	k := p.checks[d]
	if k == nil {
		if len(p.checks) >= maxChecks || p.isAsking(client) {
			p.mu.Unlock()
			return crowded
		}
		k = &check{client: client, done: make(chan struct{})}
		p.checks[d] = k
		go p.work(k, d, c, user, hash, password, known)
	}
	if k.asking >= maxAsking {
		p.mu.Unlock()
		return crowded
	}
	k.asking++
	p.mu.Unlock()
	select {
	case <-k.done:
	case <-ctx.Done():
		p.mu.Lock()
		k.asking--
		p.mu.Unlock()
		return wrong // nobody reads the answer
	}
	if k.right {
		return right
	}
	return wrong
}

// isAsking reports whether a password of the client is being checked. mu is held.
func (p *passwords) isAsking(client string) bool {
	for _, k := range p.checks {
		if k.client == client {
			return true
		}
	}
	return false
}

// work hashes a password when it is its turn, and rests.
func (p *passwords) work(k *check, d digest, c *config, user, hash, password string, known bool) {
	p.hash <- struct{}{}
	begin := time.Now()
	k.right = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil && known
	took := time.Since(begin)
	p.mu.Lock()
	delete(p.checks, d)
	if k.right {
		for old := range p.accepted {
			if _, still := c.users[old]; !still {
				delete(p.accepted, old)
			}
		}
		p.accepted[user] = d
	}
	p.mu.Unlock()
	close(k.done)
	time.Sleep(restFactor * took)
	<-p.hash
}

// digest returns the digest of a user, a hash and a password.
func (p *passwords) digest(user, hash, password string) (d digest) {
	h := hmac.New(sha256.New, p.key[:])
	for _, part := range []string{user, hash, password} {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	h.Sum(d[:0])
	return d
}

// clientOf returns by what a client is told from others: its IPv4 address, or the /64 of its IPv6 address, all of which
// one machine may have. Those of a Unix socket are one.
func clientOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}
