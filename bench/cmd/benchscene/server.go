package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"

	"tcp-stream-exporter/bench/lab"
)

const serverAddress = "127.0.0.1:8080"

// serve answers every request with a random number of bytes up to the longest. The returned function
// stops it.
func serve(at lab.End, longest int) (stop func(), err error) {
	var l net.Listener
	err = at.Do(func() (err error) {
		// The address is a number: the socket is made on the calling thread.
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", serverAddress)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("web server: %w", err)
	}
	text := make([]byte, longest)
	for i := range text {
		text[i] = 'a' + byte(i%26)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(text[:1+rand.IntN(longest)]) // fails when the client is cut off
	})}
	go func() { _ = server.Serve(l) }() // ends with ErrServerClosed
	return func() { _ = server.Close() }, nil
}
