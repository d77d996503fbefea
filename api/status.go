package api

import (
	"context"
	"errors"
)

// errNoStatus is the error of a request for the status where there is none.
var errNoStatus = errors.New(StatusPath + ": there is no status here: " + StreamsPath + " has the streams")

// status answers a request for the status.
func (h *Handler) status(_ context.Context, raw string) ([]byte, error) {
	if h.options.Status == nil {
		return nil, errNoStatus
	}
	points := 0
	if err := readAll(raw, []parameter{{"history", wholeNumber(&points, 0, h.options.StatusPoints)}}); err != nil {
		return nil, badRequest{err}
	}
	return h.options.Status(points), nil
}
