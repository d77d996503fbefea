package web

import (
	"net/http"
	"sync/atomic"
)

// streams follows the writes of handlers on one HTTP/2 connection. A client that does not read stops them by its
// windows (RFC 9113 section 5.2), not by the socket: nothing is being written to that then.
type streams struct {
	blocked  atomic.Int32 // handlers that write
	progress atomic.Int64 // when one of them began or ended a write, as sinceStart
}

// streamsStall reports whether all handlers of a connection wait for the client, and none has got on for stallTime.
func (c *conn) streamsStall(now int64) bool {
	blocked := c.blocked.Load()
	return blocked > 0 && blocked == c.handlers.Load() && now-c.progress.Load() >= int64(stallTime)
}

// streamWriter notes the writes to one stream.
type streamWriter struct {
	http.ResponseWriter
	conn *conn
}

// Unwrap lets http.ResponseController reach the writer below.
func (s *streamWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *streamWriter) Write(p []byte) (int, error) {
	s.conn.progress.Store(sinceStart())
	s.conn.blocked.Add(1)
	defer func() {
		s.conn.blocked.Add(-1)
		s.conn.progress.Store(sinceStart())
	}()
	return s.ResponseWriter.Write(p)
}
