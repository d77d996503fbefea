package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/web"
)

// Paths of the health checks, as Prometheus itself has them.
const (
	healthyPath = "/-/healthy"
	readyPath   = "/-/ready"
)

// turnTime is how long a worker may not have come by. It does so every second; the rest is for a machine with more to do
// than processors.
const turnTime = 10 * time.Second

// health answers health checks. It asks for no snapshot and waits for no worker, so that it answers while scrapes hang.
type health struct {
	sinceTurn  func() []time.Duration       // of each worker
	interfaces func() []collector.Interface // that are captured, and those that were named and are not there
	up         func() bool                  // the rings are open
}

// routes returns the health checks' routes.
func (h *health) routes() []web.Route {
	return []web.Route{{Path: healthyPath, Handler: web.Probe("healthy", h.healthy)}, {Path: readyPath, Handler: web.Probe("ready", h.ready)}}
}

// healthy returns an error that names the workers that are stuck.
func (h *health) healthy() error {
	var stuck []string
	for i, since := range h.sinceTurn() {
		if since > turnTime {
			stuck = append(stuck, fmt.Sprintf("worker %d for %v", i, since.Truncate(time.Second)))
		}
	}
	if len(stuck) > 0 {
		return fmt.Errorf("not healthy: stuck: %s", namesOf(stuck))
	}
	return nil
}

// ready returns an error that names the interfaces that are configured and not captured. What a pattern selects
// may come and go, and is not asked for.
func (h *health) ready() error {
	var missing []string
	for _, i := range h.interfaces() {
		switch {
		case i.Named && !i.Exists:
			missing = append(missing, i.Name+" does not exist")
		case i.Named && !i.Up:
			missing = append(missing, i.Name+" is down or cannot be captured")
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("not ready: %s", namesOf(missing))
	}
	if !h.up() {
		return errors.New("not ready: the capture is not open")
	}
	return nil
}

// namesOf returns the first of a list, and how many there are more.
func namesOf(list []string) string {
	if len(list) > maxNamed {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
	}
	return strings.Join(list, ", ")
}
