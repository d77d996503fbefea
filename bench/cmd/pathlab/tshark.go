package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// tsharkVerdict returns tshark's counts of the sender's segments in a capture file, nil if there is no
// tshark.
func tsharkVerdict(ctx context.Context, file string) (*verdict, error) {
	// A folder without settings: the user's own must not change the figures.
	settings, err := os.MkdirTemp("", "tshark-settings")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(settings)
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "tshark", "-n", "-r", file, "-Y", "tcp && ip.src == "+senderAddr,
		"-T", "fields", "-E", "separator=;", "-e", "tcp.analysis.retransmission", "-e", "tcp.analysis.out_of_order")
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+settings, "LC_ALL=C")
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tshark: %w: %s", err, lastLine(complaint.String()))
	}
	v := &verdict{}
	for line := range strings.Lines(string(out)) {
		again, overtaken, _ := strings.Cut(strings.TrimSpace(line), ";")
		if again != "" {
			v.again++
		}
		if overtaken != "" {
			v.overtaken++
		}
	}
	return v, nil
}
