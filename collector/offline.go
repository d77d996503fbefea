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
	defer s.snapshot.Close() // unmapping what was mapped cannot fail
	as := shapeOf(expfmt.FmtText, h.families, nil)
	if err := h.snapshot(ctx, s, as); err != nil {
		return err
	}
	if err := s.gather(h.registry, expfmt.FmtText, nil); err != nil {
		return fmt.Errorf("gathering: %w", err)
	}
	return s.text.write(w, s.head.Bytes(), &s.snapshot, as)
}
