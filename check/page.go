package check

import (
	"fmt"
	"io"
	"strings"
	"time"

	"tcp-stream-exporter/printable"
)

// page writes lines of a name and what is to be said of it, aligned.
type page struct {
	to  io.Writer
	err error // the first that writing has had
}

// nameWidth is the width of the column of names.
const nameWidth = 15

// line writes one line. An empty name goes on with the one before.
func (p *page) line(name, format string, args ...any) {
	p.write(fmt.Sprintf("%-*s  %s\n", nameWidth, name, printable.Text(fmt.Sprintf(format, args...))))
}

func (p *page) write(text string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.to, text)
	}
}

// size returns a number of bytes for people.
func size(bytes uint64) string {
	const step = 1024
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	v, unit := float64(bytes), 0
	for v >= step && unit < len(units)-1 {
		v /= step
		unit++
	}
	if unit == 0 || v >= 10 {
		return fmt.Sprintf("%.0f %s", v, units[unit])
	}
	return fmt.Sprintf("%.1f %s", v, units[unit])
}

// bitRate returns bits per second for people.
func bitRate(v float64) string {
	const step = 1000
	units := []string{"bit/s", "kbit/s", "Mbit/s", "Gbit/s"}
	unit := 0
	for v >= step && unit < len(units)-1 {
		v /= step
		unit++
	}
	if v >= 10 || unit == 0 {
		return fmt.Sprintf("%.0f %s", v, units[unit])
	}
	return fmt.Sprintf("%.1f %s", v, units[unit])
}

// grouped returns a whole number with commas between thousands.
func grouped(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// percent returns a share of a whole.
func percent(part, whole float64) string {
	switch share := 100 * part / whole; {
	case whole <= 0 || part <= 0:
		return "0%"
	case share < 0.1:
		return "under 0.1%"
	case share < 9.95: // rounded, 10.0 would follow
		return fmt.Sprintf("%.1f%%", share)
	default:
		return fmt.Sprintf("%.0f%%", share)
	}
}

// counted returns a number of things, whose plural takes an s.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%s %ss", grouped(float64(n)), thing)
}

// onOff returns how a switch stands.
func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// seconds returns a time for people.
func seconds(d time.Duration) string {
	switch {
	case d > time.Hour:
		return "more than an hour"
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// listed joins words as a sentence does.
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
