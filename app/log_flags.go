package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
)

// logFlags are the flags of the log. Each level has one meaning:
//
//   - error: something is no longer done until somebody acts
//   - warn: something needs a look, and the program goes on by itself
//   - info: what has changed, and the totals once a minute
//   - debug: what clients may cause at any rate, and tries that come again and again
type logFlags struct {
	levelName, formatName string
	debug                 bool // -debug
	level                 slog.Level
}

func (f *logFlags) register(fs *flag.FlagSet) {
	fs.BoolVar(&f.debug, "debug", false, "log debug messages; another name of -log.level debug")
	fs.StringVar(&f.levelName, "log.level", "info", "log messages of this `level` and above: debug, info, warn or error")
	fs.StringVar(&f.formatName, "log.format", logfmt, "`format` of the log's lines: logfmt or json")
}

// Formats of the log, as -log.format takes them.
const (
	logfmt  = "logfmt"
	logJSON = "json"
)

// logLevels are what -log.level takes.
var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// resolve validates the flags that were given. flag shows one as typed.
func (f *logFlags) resolve(given map[string]bool, flag func(string) string) error {
	var known bool
	if f.level, known = logLevels[f.levelName]; !known {
		return fmt.Errorf("%s: want debug, info, warn or error", flag("log.level"))
	}
	if f.formatName != logfmt && f.formatName != logJSON {
		return fmt.Errorf("%s: want %s or %s", flag("log.format"), logfmt, logJSON)
	}
	if f.debug && given["log.level"] && f.level != slog.LevelDebug {
		return fmt.Errorf("%s and %s: -debug is another name of -log.level debug, give only one", flag("debug"), flag("log.level"))
	}
	if f.debug {
		f.level = slog.LevelDebug
	}
	return nil
}

// handler returns what writes the log's lines to w.
func (f *logFlags) handler(w io.Writer) slog.Handler {
	o := &slog.HandlerOptions{Level: f.level}
	if f.formatName == logJSON {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// say writes one line that is in the log whatever the level. In logfmt it begins with the program's name, as the
// lines do that come before there is a log.
func (f *logFlags) say(w io.Writer, level slog.Level, text string) {
	if f.formatName == logJSON {
		slog.New(slog.NewJSONHandler(w, nil)).Log(context.Background(), level, oneLine(text))
		return
	}
	say(w, text)
}
