package app

import (
	"log"
	"log/slog"
	"strings"
)

// serverLog returns the log of an HTTP server: debug lines for what a client can cause, warnings for
// everything else, such as a handler's panic and a connection that could not be accepted.
func serverLog(to *slog.Logger) *log.Logger { return log.New(serverLines{to}, "", 0) }

type serverLines struct{ log *slog.Logger }

// clientsFaults lists the beginnings of net/http's lines that a client causes, for example by hanging up.
var clientsFaults = []string{"http: TLS handshake error", "http2: server", "http: URL query contains semicolon"}

func (l serverLines) Write(line []byte) (int, error) {
	text, say := strings.TrimSuffix(string(line), "\n"), l.log.Warn
	for _, fault := range clientsFaults {
		if strings.HasPrefix(text, fault) {
			say = l.log.Debug
		}
	}
	say(text)
	return len(line), nil
}
