package web

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lookEvery is how often the files are looked at for changes, at most: a flood of clients reads no more of them.
const lookEvery = 250 * time.Millisecond

// Door stands before every path of a server: TLS, client certificates, passwords, headers and the rate limit of a file
// in the format of Prometheus' exporter-toolkit. Files that change are read again when the next client comes. While they
// cannot be used, what they said before stays in force. Its methods may be called from any goroutine; a nil *Door lets
// everybody in.
//
// The toolkit's own server is not used. It hashes passwords outside of the handler, so that Bound would take clients
// that wait there for silent ones, with no bound on their number, and a flood of wrong passwords pushes right ones out of
// its cache; serving a second listener puts its handler around itself.
type Door struct {
	path      string
	report    func(error)
	passwords *passwords
	http2     bool // fixed at the start, as whether there is TLS is

	now  atomic.Pointer[config]
	look sync.Mutex // held while the files are looked at; guards the rest
	last time.Time  // when they were
	seen []stamp
	said string // the reason why they cannot be used, as reported
}

// OpenDoor reads the file. report is called with the reason when a changed file cannot be used, once for each reason,
// and with nil when changed files are in force. Errors are one line with the remedy, without the file's name.
func OpenDoor(path string, report func(error)) (*Door, error) {
	c, files, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	d := &Door{path: path, report: report, passwords: newPasswords(), http2: c.file.HTTPConfig.HTTP2}
	d.seen, d.last = stamps(files), time.Now()
	d.now.Store(c)
	return d, nil
}

// HasTLS reports whether clients have to come by TLS.
func (d *Door) HasTLS() bool { return d != nil && d.now.Load().tls != nil }

// HasPasswords reports whether the file has users at the moment.
func (d *Door) HasPasswords() bool { return d != nil && len(d.now.Load().users) > 0 }

// Guard puts the door before srv, which must not be serving yet. Serve serves it then.
func (d *Door) Guard(srv *http.Server) {
	if d == nil {
		return
	}
	srv.Handler = d.handler(srv.Handler)
	if !d.HasTLS() {
		return
	}
	srv.TLSConfig = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if c := connOf(hello.Conn); c != nil {
			c.setState(fresh) // what it has sent is the beginning: the request's time begins now
		}
		return d.current().tls, nil
	}}
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(d.http2)
}

// Serve serves srv on l, by TLS if a door asks for it. It returns http.ErrServerClosed after a shutdown.
func Serve(srv *http.Server, l net.Listener) error {
	if srv.TLSConfig != nil {
		return srv.ServeTLS(l, "", "")
	}
	return srv.Serve(l)
}

// handler returns a handler that leaves requests which may come in to h.
func (d *Door) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := d.current()
		if c.limiter != nil && !c.limiter.Allow() {
			http.Error(w, "more requests than the rate limit of -web.config.file lets pass", http.StatusTooManyRequests)
			return
		}
		for name, value := range c.file.HTTPConfig.Header {
			w.Header().Set(name, value)
		}
		if len(c.users) == 0 {
			h.ServeHTTP(w, r)
			return
		}
		user, password, given := r.BasicAuth()
		verdict := wrong
		if given {
			verdict = d.passwords.check(r.Context(), c, user, password, clientOf(r.RemoteAddr))
		}
		switch verdict {
		case right:
			h.ServeHTTP(w, r)
		case crowded:
			w.Header().Set("Retry-After", "1")
			w.Header().Set("Connection", "close") // another client needs it more
			http.Error(w, "too many passwords wait to be checked: try again in a second", http.StatusServiceUnavailable)
		case wrong:
			w.Header().Set("WWW-Authenticate", `Basic realm="tcp-stream-exporter", charset="UTF-8"`) // RFC 7617
			http.Error(w, "a user and a password are needed", http.StatusUnauthorized)
		}
	})
}

// current returns what the files say, or said when they last could be used.
func (d *Door) current() *config {
	if !d.look.TryLock() {
		return d.now.Load() // somebody else is looking
	}
	defer d.look.Unlock()
	if time.Since(d.last) < lookEvery {
		return d.now.Load()
	}
	d.last = time.Now()
	if slices.Equal(d.seen, stamps(pathsOf(d.seen))) {
		return d.now.Load()
	}
	// The stamps are from before the reading, so that a change in its midst is seen the next time.
	before := stamps(pathsOf(d.seen))
	c, files, err := readConfig(d.path)
	d.seen = before
	if !slices.Equal(pathsOf(before), files) {
		d.seen = stamps(files)
	}
	if err == nil && (c.tls != nil) != (d.now.Load().tls != nil) {
		err = errors.New("it turns TLS on or off: restart the exporter for that, the files from before stay in force")
	}
	if err != nil {
		if said := err.Error(); said != d.said {
			d.said = said
			d.report(err)
		}
		return d.now.Load()
	}
	if c.tls != nil {
		c.tls.NextProtos = protocols(d.http2)
	}
	d.said = ""
	d.now.Store(c)
	d.report(nil)
	return c
}

// stamp tells one state of a file from others.
type stamp struct {
	path           string
	err            syscall.Errno
	dev, ino       uint64
	size           int64
	mtime, changed unix.Timespec
}

// stamps looks at files.
func stamps(files []string) []stamp {
	all := make([]stamp, 0, len(files))
	for _, file := range files {
		s, st := stamp{path: file}, unix.Stat_t{}
		if err := unix.Stat(file, &st); err != nil {
			errors.As(err, &s.err)
		} else {
			s.dev, s.ino, s.size, s.mtime, s.changed = uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim
		}
		all = append(all, s)
	}
	return all
}

// pathsOf returns the stamped files.
func pathsOf(all []stamp) []string {
	paths := make([]string, 0, len(all))
	for _, s := range all {
		paths = append(paths, s.path)
	}
	return paths
}
