package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"tcp-stream-exporter/internal/certs"
	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

// secured is a folder with a file for -web.config.file, and what the file names.
type secured struct {
	dir       string
	authority *certs.Authority
}

const (
	scraper, secret = "prometheus", "open sesame"
	serverTLS       = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
	profilesAt      = "127.0.0.1:6060"
)

// newSecured writes the files. settings come behind those for TLS.
func newSecured(t *testing.T, settings string) *secured {
	t.Helper()
	s := &secured{t.TempDir(), certs.New(t)}
	pair := s.authority.Issue(t, "exporter")
	s.write(t, map[string][]byte{"cert.pem": pair.Cert, "key.pem": pair.Key, "ca.pem": s.authority.PEM, "web.yml": []byte(serverTLS + settings)})
	return s
}

func (s *secured) write(t *testing.T, files map[string][]byte) {
	t.Helper()
	certs.Write(t, s.dir, files)
}

func (s *secured) file() string { return filepath.Join(s.dir, "web.yml") }

// users returns the setting for the one user, of a bcrypt cost.
func users(t *testing.T, cost int) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), cost)
	if err != nil {
		t.Fatal(err)
	}
	return "basic_auth_users:\n  " + scraper + ": " + string(hash) + "\n"
}

// visitor is a client that trusts the authority, and may have a certificate of its own.
type visitor struct {
	*http.Client
	user, password string
}

func (s *secured) visitor(t *testing.T, ns *lab.NS, password string, own ...certs.Pair) *visitor {
	t.Helper()
	v := &visitor{Client: ns.HTTPClient(httpTimeout), user: scraper, password: password}
	transport := v.Transport.(*http.Transport)
	transport.DisableKeepAlives = true
	transport.TLSClientConfig = &tls.Config{RootCAs: s.authority.Pool()}
	for _, pair := range own {
		transport.TLSClientConfig.Certificates = append(transport.TLSClientConfig.Certificates, pair.TLS(t))
	}
	return v
}

// get asks for a URL through e, which checks metrics. Without a password it says none.
func (v *visitor) get(t *testing.T, e *lab.Exporter, url string) (status int, body string, err error) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.password != "" {
		req.SetBasicAuth(v.user, v.password)
	}
	resp, err := e.Send(v.Client, req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// await asks until the answer has the status; 0 stands for none.
func (v *visitor) await(t *testing.T, e *lab.Exporter, url string, want int) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		status, _, err := v.get(t, e, url)
		if status == want {
			return
		}
		if time.Now().After(end) || e.Ended() {
			t.Fatalf("%s: %d %v, want %d", url, status, err, want)
		}
	}
}

// Every path is behind TLS and the password, profiles too; certificates and passwords that are replaced are used
// without a restart, and a key that cannot be read changes nothing and is told of in one line.
func TestTLSAndPasswords(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	s := newSecured(t, users(t, bcrypt.MinCost))
	e := l.A.LaunchExporter(t, binary(t), "-interface", lab.IfName, "-web.config.file", s.file(), "-pprof", profilesAt, "-web.telemetry-path", "/tcp")
	const base = "https://" + lab.Address
	good := s.visitor(t, l.A, secret)
	good.await(t, e, base+"/tcp", 200)
	for _, url := range []string{base + "/tcp", base + "/", base + "/-/healthy", base + "/-/ready", base + "/nope", "https://" + profilesAt + "/debug/vars"} {
		want := 200
		if strings.HasSuffix(url, "nope") {
			want = 404
		}
		if status, _, err := good.get(t, e, url); status != want {
			t.Errorf("%s: %d %v, want %d", url, status, err, want)
		}
		for _, password := range []string{"", "wrong"} {
			if status, body, err := s.visitor(t, l.A, password).get(t, e, url); status != 401 || strings.Count(body, "\n") != 1 {
				t.Errorf("%s with the password %q: %d %q %v, want 401 and a line", url, password, status, body, err)
			}
		}
		if status, _, err := good.get(t, e, strings.Replace(url, "https", "http", 1)); status != 400 {
			t.Errorf("%s in plain text: %d %v, want 400", url, status, err)
		}
	}
	if status, body, _ := good.get(t, e, base+"/"); status != 200 || !strings.Contains(body, `href="/tcp"`) {
		t.Errorf("the page does not lead to /tcp: %d %.300q", status, body)
	}

	other := newSecured(t, "")
	pair := other.authority.Issue(t, "exporter")
	s.write(t, map[string][]byte{"key.pem": []byte("no key")})
	time.Sleep(time.Second)
	good.await(t, e, base+"/tcp", 200)
	if n := strings.Count(e.Output(), "the changed file cannot be used"); n != 1 {
		t.Errorf("%d lines tell of the key that is none, want 1:\n%s", n, e.Output())
	}
	s.write(t, map[string][]byte{"cert.pem": pair.Cert, "key.pem": pair.Key})
	other.visitor(t, l.A, secret).await(t, e, base+"/tcp", 200)
	if status, _, err := good.get(t, e, base+"/tcp"); status != 0 {
		t.Errorf("the old certificate is still used: %d %v", status, err)
	}
	if out := e.Output(); strings.Contains(out, "TLS handshake") || strings.Contains(out, secret) {
		t.Errorf("the log tells of clients' faults, or a password:\n%s", out)
	}
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	s := newSecured(t, "  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n")
	e := l.A.LaunchExporter(t, binary(t), "-interface", lab.IfName, "-web.config.file", s.file())
	const url = "https://" + lab.Address + "/metrics"
	s.visitor(t, l.A, "", s.authority.Issue(t, "prometheus")).await(t, e, url, 200)
	for name, v := range map[string]*visitor{
		"none": s.visitor(t, l.A, ""), "one of another authority": s.visitor(t, l.A, "", certs.New(t).Issue(t, "prometheus")),
	} {
		if status, _, err := v.get(t, e, url); status != 0 {
			t.Errorf("with the certificate %s: %d %v, want no answer", name, status, err)
		}
	}
}

// Passwords without TLS are taken, and warned about once.
func TestPasswordsInPlainText(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	s := newSecured(t, "")
	s.write(t, map[string][]byte{"web.yml": []byte(users(t, bcrypt.MinCost))})
	e := l.A.LaunchExporter(t, binary(t), "-interface", lab.IfName, "-web.config.file", s.file(),
		"-web.listen-address", lab.Address, "-web.listen-address", "127.0.0.1:9200")
	for _, at := range []string{lab.Address, "127.0.0.1:9200"} {
		s.visitor(t, l.A, secret).await(t, e, "http://"+at+"/metrics", 200)
		s.visitor(t, l.A, "wrong").await(t, e, "http://"+at+"/metrics", 401)
	}
	if n := strings.Count(e.Output(), "level=WARN msg=\"passwords are asked for without TLS"); n != 1 || !strings.Contains(e.Output(), "address="+lab.Address+",127.0.0.1:9200 ") {
		t.Errorf("%d warnings, want 1, and both addresses:\n%s", n, e.Output())
	}
}

// A file that cannot be used ends the start with status 2, also where the user may not read the key.
func TestWebConfigThatCannotBe(t *testing.T) {
	l := lab.New(t)
	for name, c := range map[string]struct {
		settings, want string
		wrapper        string
	}{
		"an unknown setting":       {"basic_auth_user:\n  a: b\n", "line 4: field basic_auth_user not found", ""},
		"a password in clear":      {"basic_auth_users:\n  a: b\n", `"a" has no bcrypt hash`, ""},
		"a key that is unreadable": {"", "key.pem: permission denied: name a file", "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecured(t, c.settings)
			if c.wrapper != "" {
				need.Tool(t, "setpriv")
				for dir := s.dir; dir != os.TempDir(); dir = filepath.Dir(dir) {
					if err := os.Chmod(dir, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Chmod(filepath.Join(s.dir, "key.pem"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			refused(t, l.A, c.wrapper, []string{"-interface", lab.IfName, "-web.config.file", s.file()}, "-web.config.file "+s.file()+": ", c.want)
		})
	}
}

// Wrong passwords from many addresses, as fast as they are answered, cost the capture no packet, and keep out nobody
// who has been let in before.
func TestAFloodOfWrongPasswords(t *testing.T) {
	const clients, length = 30, "6s"
	l := lab.New(t)
	s := newSecured(t, users(t, 10))
	e := l.A.LaunchExporter(t, binary(t), "-interface", lab.IfName, "-web.config.file", s.file(), "-process-metrics")
	const url = "https://" + lab.Address + "/metrics"
	good := s.visitor(t, l.A, secret)
	good.await(t, e, url, 200)

	flooding, stop := context.WithCancel(t.Context())
	var answers [600]atomic.Int64
	var flood sync.WaitGroup
	defer flood.Wait()
	defer stop()
	for i := range clients {
		v := s.visitor(t, l.A, "")
		from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i+1))}
		transport := v.Transport.(*http.Transport)
		transport.DisableKeepAlives = false
		transport.DialContext = func(ctx context.Context, network, address string) (c net.Conn, err error) {
			err = l.A.Do(func() error {
				c, err = (&net.Dialer{LocalAddr: from}).DialContext(ctx, network, address)
				return err
			})
			return c, err
		}
		flood.Go(func() {
			defer v.CloseIdleConnections()
			for n := 0; flooding.Err() == nil; n++ {
				v.password = fmt.Sprintf("guess %d of %d", n, i)
				status, _, err := v.get(t, e, url)
				if err != nil && !errors.Is(err, io.EOF) { // a connection that was closed to make room
					time.Sleep(10 * time.Millisecond)
				}
				answers[status].Add(1)
			}
		})
	}
	tcpgen := buildGenerator(t)
	busy := processor(t, e.PID())
	g := generateConnections(t, l.B, tcpgen, 100, 30_000, "-duration", length)
	var slowest time.Duration
	for !g.ended() {
		begin := time.Now()
		if status, body, err := good.get(t, e, url); status != 200 {
			t.Errorf("a scrape in the flood: %d %.100q %v", status, body, err)
		}
		slowest = max(slowest, time.Since(begin))
		time.Sleep(200 * time.Millisecond)
	}
	sent, share := g.wait(t), busy()
	stop()
	flood.Wait()
	t.Logf("%v packets beside %d wrong passwords that were checked and %d that were not; scrapes took %v at most; %.0f%% of a processor",
		sent, answers[401].Load(), answers[503].Load(), slowest, 100*share)
	if answers[401].Load() == 0 || answers[503].Load() == 0 || answers[200].Load() != 0 {
		t.Errorf("%d checked, %d not, %d let in", answers[401].Load(), answers[503].Load(), answers[200].Load())
	}
	var m lab.Metrics
	for end := time.Now().Add(5 * time.Second); m["capture_packets_processed_total"] != sent; time.Sleep(100 * time.Millisecond) {
		_, body, err := good.get(t, e, url)
		if err != nil {
			t.Fatal(err)
		}
		if m, err = lab.ParseMetrics(strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("%v packets, want %v", m["capture_packets_processed_total"], sent)
		}
	}
	nothingDropped(t, m)
}
