package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"tcp-stream-exporter/internal/netns"
)

// commandTimeout bounds every command that Run and New wait for.
const commandTimeout = 20 * time.Second

// NS is one network namespace.
type NS struct {
	Name string     // as "ip netns" lists it
	Addr netip.Addr // of its veth end
}

// Do runs f in the namespace, as netns.Do does.
func (n *NS) Do(f func() error) error { return netns.Do(n.Name, f) }

// Listen is net.Listen in the namespace.
func (n *NS) Listen(network, address string) (net.Listener, error) {
	var ln net.Listener
	err := n.Do(func() (err error) {
		ln, err = net.Listen(network, address)
		return err
	})
	return ln, err
}

// Dial is net.Dialer.DialContext in the namespace. The address must be numeric, so that the dialer
// stays on its thread: names would be looked up elsewhere.
func (n *NS) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("lab: dial needs a numeric address: %w", err)
	}
	var c net.Conn
	err := n.Do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// HTTPClient returns a client whose connections start in the namespace; it asks for no compression.
func (n *NS) HTTPClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:   timeout,
		Transport: &http.Transport{DialContext: n.Dial, DisableCompression: true},
	}
}

// Command is exec.Command in the namespace, /sys included. If the test binary is killed, the
// command is too, provided that it is started with Start of this package.
func (n *NS) Command(name string, args ...string) *exec.Cmd {
	return netns.Command(n.Name, append([]string{name}, args...)...)
}

// Run runs a command in the namespace and returns its standard output. The test ends if the
// command fails.
func (n *NS) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	return run(t, "ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
}

// Start starts cmd, as netns.Start does: it does not outlive the test binary.
func Start(cmd *exec.Cmd) (ended <-chan struct{}, err error) { return netns.Start(cmd) }

func command(name string, args ...string) *exec.Cmd { return exec.Command(name, args...) }

// run runs a command to its end and returns its standard output; a failure ends the test.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatalf("lab: %s %q: %v", name, args, err)
	}
	return string(out)
}
