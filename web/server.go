package web

import (
	"net/http"
	"time"
)

const (
	// headerTimeout bounds a request's header. A scraper sends it in one packet; a client that takes longer
	// only holds a connection open (slowloris).
	headerTimeout = 5 * time.Second
	// readTimeout bounds a whole request. No request here has a body worth waiting for. It does not bound
	// the answer.
	readTimeout = 10 * time.Second
	// idleTimeout is how long a kept connection may rest between two requests: longer than the
	// usual scrape intervals of up to a minute, so that a scraper need not connect anew each time.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes holds a request line and header many times over: Prometheus sends below 1 KiB.
	maxHeaderBytes = 16 << 10
	// pieceTimeout is how long a client may take to accept one piece of an answer. A full socket
	// takes the next piece when a third of its buffer has left (sk_stream_is_writeable in
	// net/sock.h), and the buffer may grow to 4 MiB (tcp_wmem): in the worst case that asks for
	// 1.4 MiB in 30 s, 47 KiB/s. Any answer, however big, runs to its end for a faster client.
	pieceTimeout = 30 * time.Second
)

// Server returns a server for h on addr (host:port, or :port for all addresses), with every limit
// set. Its caller listens, serves and shuts it down.
func Server(addr string, h http.Handler) *http.Server {
	return server(addr, h, pieceTimeout)
}

func server(addr string, h http.Handler, timeout time.Duration) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           withPieceTimeout(h, timeout),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		// WriteTimeout is the deadline of the first piece, and of what net/http answers without
		// asking the handler; withPieceTimeout moves it on.
		WriteTimeout:   timeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		HTTP2:          limitsOfHTTP2(timeout),
		// "OPTIONS *" is answered as any other path that does not exist.
		DisableGeneralOptionsHandler: true,
	}
}

// maxStreams bounds the requests at a time on one connection of HTTP/2. A scraper has one; a browser a few.
const maxStreams = 8

// limitsOfHTTP2 returns the limits of HTTP/2, which is spoken behind TLS alone: few streams, the least buffers for what
// clients send (no request has a body), and an end for those that let the socket fill and take nothing. One that lets
// its windows fill loses the stream by the piece's deadline.
func limitsOfHTTP2(timeout time.Duration) *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          maxStreams,
		MaxReceiveBufferPerConnection: 64 << 10,
		MaxReceiveBufferPerStream:     64 << 10,
		WriteByteTimeout:              timeout,
	}
}

// withPieceTimeout gives each write of h's answer a deadline of its own. One deadline for the whole answer
// would have to be long enough for the biggest scrape over the slowest line, and a client that reads
// nothing could hold its scrape for as long.
func withPieceTimeout(h http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &pieceWriter{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
		h.ServeHTTP(s, r)
		s.extend() // for what net/http still holds in its buffers
	})
}

// pieceWriter moves the deadline of a connection on before each write.
type pieceWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

// Unwrap lets http.ResponseController reach the writer below.
func (s *pieceWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *pieceWriter) Write(p []byte) (int, error) {
	s.extend()
	return s.ResponseWriter.Write(p)
}

// extend moves the deadline on. It fails where there is no connection to have one, as of a recorder in a
// test, or the connection has gone; the write then fails by itself.
func (s *pieceWriter) extend() {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout))
}
