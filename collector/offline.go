package collector

import (
	"context"
	"fmt"
	"io"

	"github.com/prometheus/common/expfmt"
)

// WriteText writes what a scrape would get now to w, in the text format, version 0.0.4: for a
// program that serves no HTTP. The error is ctx's, a registered collector's, or w's.
func (h *Handler) WriteText(ctx context.Context, w io.Writer) error {
	s := newScrape()
	if err := h.src.Snapshot(ctx, &s.snapshot); err != nil {
		return fmt.Errorf("no snapshot of the streams: %w", err)
	}
	s.figures = figures{stats: s.snapshot.Stats}
	if err := s.gather(h.registry, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
		return fmt.Errorf("gathering: %w", err)
	}
	return s.text.write(w, s.head.Bytes(), &s.snapshot)
}
