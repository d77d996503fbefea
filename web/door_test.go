package web

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"tcp-stream-exporter/internal/certs"
)

// files are a folder with what a door needs.
type files struct {
	dir       string
	authority *certs.Authority
}

const overTLS = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"

// hashOf returns a password's hash of the least cost.
func hashOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// withUser returns the part of a file that has one user.
func withUser(t *testing.T, user, password string) string {
	return "basic_auth_users:\n  " + user + ": " + hashOf(t, password) + "\n"
}

func newFiles(t *testing.T, text string) *files {
	t.Helper()
	f := &files{t.TempDir(), certs.New(t)}
	pair := f.authority.Issue(t, "server")
	certs.Write(t, f.dir, map[string][]byte{"cert.pem": pair.Cert, "key.pem": pair.Key, "ca.pem": f.authority.PEM, "web.yml": []byte(text)})
	return f
}

func (f *files) path(name string) string { return filepath.Join(f.dir, name) }

// reports collects what a door reports.
type reports struct {
	mu  sync.Mutex
	all []string
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.all = append(r.all, "in force")
		return
	}
	r.all = append(r.all, err.Error())
}

func (r *reports) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.all, "\n")
}

// open serves h behind the door of the file until the test ends.
func (f *files) open(t *testing.T, h http.Handler, connections int) (b *Bounded, address string, r *reports) {
	t.Helper()
	srv := Server("", h)
	srv.ErrorLog = log.New(io.Discard, "", 0)
	return f.guard(t, srv, connections)
}

func (f *files) guard(t *testing.T, srv *http.Server, connections int) (b *Bounded, address string, r *reports) {
	t.Helper()
	r = &reports{}
	door, err := OpenDoor(f.path("web.yml"), r.add)
	if err != nil {
		t.Fatal(err)
	}
	door.Guard(srv)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b = Bound(srv, l, connections)
	go func() { _ = Serve(srv, b) }() // ends with http.ErrServerClosed
	t.Cleanup(func() { _ = srv.Close() })
	return b, l.Addr().String(), r
}

// client returns a client with a connection for each request, that trusts the authority.
func (f *files) client(t *testing.T, own ...certs.Pair) *http.Client {
	config := &tls.Config{RootCAs: f.authority.Pool()}
	for _, pair := range own {
		config.Certificates = append(config.Certificates, pair.TLS(t))
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: true}}
}

// get asks and returns the status, 0 for none.
func get(t *testing.T, c *http.Client, url, user, password string) (status int, resp *http.Response) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	resp, err = c.Do(req)
	if err != nil {
		return 0, nil
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode, resp
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in\n") })

func TestPasswordsByTLS(t *testing.T) {
	for _, http2 := range []string{"", "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n"} {
		f := newFiles(t, overTLS+withUser(t, "scraper", "secret")+http2)
		_, address, _ := f.open(t, ok, 8)
		for _, c := range []struct {
			scheme, user, password string
			want                   int
		}{
			{"http", "", "", 400}, // what net/http says to plain text
			{"https", "", "", 401},
			{"https", "scraper", "secret", 200},
			{"https", "scraper", "secret", 200}, // remembered
			{"https", "scraper", "Secret", 401},
			{"https", "scraper", "", 401},
			{"https", "nobody", "secret", 401},
			{"https", "", "secret", 401},
		} {
			status, resp := get(t, f.client(t), c.scheme+"://"+address+"/any", c.user, c.password)
			if status != c.want {
				t.Errorf("%+v: %d", c, status)
				continue
			}
			if c.scheme != "https" {
				continue
			}
			if (resp.ProtoMajor == 2) != (http2 == "") || (resp.Header.Get("X-Frame-Options") == "deny") != (http2 != "") {
				t.Errorf("%+v: %s, headers %v", c, resp.Proto, resp.Header)
			}
			if (resp.Header.Get("WWW-Authenticate") != "") != (status == 401) {
				t.Errorf("%+v: headers %v", c, resp.Header)
			}
		}
	}
}

func TestClientCertificates(t *testing.T) {
	f := newFiles(t, overTLS+"  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [prometheus]\n")
	_, address, _ := f.open(t, ok, 8)
	for name, c := range map[string]struct {
		own  []certs.Pair
		want int
	}{
		"none":                 {nil, 0},
		"its own":              {[]certs.Pair{f.authority.Issue(t, "prometheus")}, 200},
		"another name":         {[]certs.Pair{f.authority.Issue(t, "stranger")}, 0},
		"of another authority": {[]certs.Pair{certs.New(t).Issue(t, "prometheus")}, 0},
	} {
		if status, _ := get(t, f.client(t, c.own...), "https://"+address, "", ""); status != c.want {
			t.Errorf("%s: %d, want %d", name, status, c.want)
		}
	}
}

// Files that are replaced are used for the next client. What cannot be used is told of once and changes nothing, and
// half of a pair refuses nobody.
func TestFilesAreReplaced(t *testing.T) {
	f := newFiles(t, overTLS+withUser(t, "scraper", "secret"))
	_, address, r := f.open(t, ok, 8)
	url := "https://" + address
	awaitGet := func(what string, authority *files, password string, want int) {
		t.Helper()
		await(t, what, func() bool {
			status, _ := get(t, authority.client(t), url, "scraper", password)
			return status == want
		})
	}
	awaitGet("the first password", f, "secret", 200)
	certs.Write(t, f.dir, map[string][]byte{"web.yml": []byte(overTLS + withUser(t, "scraper", "changed"))})
	awaitGet("the changed password", f, "changed", 200)
	awaitGet("the end of the first one", f, "secret", 401)

	other := newFiles(t, "")
	pair := other.authority.Issue(t, "server")
	certs.Write(t, f.dir, map[string][]byte{"cert.pem": pair.Cert})
	await(t, "a report of half a pair", func() bool {
		awaitGet("the old certificate", f, "changed", 200)
		return strings.Contains(r.String(), "private key does not match public key")
	})
	certs.Write(t, f.dir, map[string][]byte{"key.pem": pair.Key})
	awaitGet("the new certificate", other, "changed", 200)

	before := strings.Count(r.String(), "\n")
	for _, c := range []struct{ name, text, want string }{
		{"web.yml", "basic_auth_users: [", "did not find expected node content"},
		{"web.yml", withUser(t, "scraper", "x"), "restart the exporter"},
		{"web.yml", "", "restart the exporter"},
	} {
		certs.Write(t, f.dir, map[string][]byte{c.name: []byte(c.text)})
		await(t, "a report of "+c.want, func() bool {
			awaitGet("what was in force", other, "changed", 200)
			return strings.Contains(r.String(), c.want)
		})
	}
	if err := os.Remove(f.path("web.yml")); err != nil {
		t.Fatal(err)
	}
	await(t, "a report of the missing file", func() bool {
		awaitGet("what was in force", other, "changed", 200)
		return strings.Contains(r.String(), "no such file")
	})
	time.Sleep(2 * lookEvery)
	awaitGet("what was in force", other, "changed", 200)
	if n := strings.Count(r.String(), "\n") - before; n != 3 { // turning TLS off twice is one reason
		t.Errorf("%d reports of three reasons:\n%s", n, r)
	}
}

// TestFilesThatCannotBe is the inventory of them: one line that names the setting and the remedy.
func TestFilesThatCannotBe(t *testing.T) {
	other := certs.New(t).Issue(t, "server")
	hash := hashOf(t, "x")
	for _, c := range []struct{ name, text, want, remedy string }{
		{"not YAML", "basic_auth_users: [", "did not find expected node content", "see docs"},
		{"a tab", "tls_server_config:\n\tcert_file: x\n", "line 2", "see docs"},
		{"an unknown setting", "tls_config:\n  cert_file: cert.pem\n", "line 1: field tls_config not found", "see docs"},
		{"a number for a file", "tls_server_config:\n  cert_file: [1]\n", "line 2: cannot unmarshal", "see docs"},
		{"no key", "tls_server_config:\n  cert_file: cert.pem\n", "missing one of key or key_file", "see docs"},
		{"no certificate", "tls_server_config:\n  key_file: key.pem\n", "missing one of cert or cert_file", "see docs"},
		{"a key that is not there", "tls_server_config:\n  cert_file: cert.pem\n  key_file: no.pem\n", "no.pem: no such file", "name a file"},
		{"a folder for a certificate", "tls_server_config:\n  cert_file: /\n  key_file: key.pem\n", "cert_file /: is a directory", "name a file"},
		{"a key of another certificate", "tls_server_config:\n  cert_file: cert.pem\n  key_file: other.pem\n", "does not match", "belong together"},
		{"a certificate that is none", "tls_server_config:\n  cert_file: web.yml\n  key_file: key.pem\n", "failed to find any PEM data", "want certificate"},
		{"an authority that is none", overTLS + "  client_ca_file: web.yml\n  client_auth_type: RequireAndVerifyClientCert\n", "no certificate in it", "want PEM"},
		{"an authority nobody asks for", overTLS + "  client_ca_file: ca.pem\n", "without a Client Auth Policy", "see docs"},
		{"an unknown demand", overTLS + "  client_auth_type: Please\n", "invalid ClientAuth: Please", "see docs"},
		{"an unknown version", overTLS + "  min_version: TLS14\n", "unknown TLS version: TLS14", "see docs"},
		{"a password in clear", "basic_auth_users:\n  scraper: secret\n", `"scraper" has no bcrypt hash`, "htpasswd"},
		{"a hash that takes hours", "basic_auth_users:\n  scraper: " + strings.Replace(hash, "$04$", "$25$", 1) + "\n", "cost 25", "use 10 to 16"},
		{"a header of its own", "http_server_config:\n  headers:\n    X-Own: a\n", `"X-Own" can not be configured`, "see docs"},
		{"a header's value", "http_server_config:\n  headers:\n    X-Frame-Options: perhaps\n", "X-Frame-Options", "see docs"},
		{"a rate that is none", "rate_limit:\n  interval: often\n", "often", "see docs"},
	} {
		f := newFiles(t, c.text)
		certs.Write(t, f.dir, map[string][]byte{"other.pem": other.Key})
		_, err := OpenDoor(f.path("web.yml"), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.remedy) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "web.Config") {
			t.Errorf("%s: %v, want one line with %q and %q", c.name, err, c.want, c.remedy)
		}
	}
	if _, err := OpenDoor(t.TempDir()+"/no.yml", nil); err == nil || err.Error() != "no such file or directory: name a file that the exporter's user may read" {
		t.Error(err)
	}
}

func TestRateLimit(t *testing.T) {
	f := newFiles(t, "rate_limit:\n  interval: 1h\n  burst: 2\n")
	_, address, _ := f.open(t, ok, 8)
	for i, want := range []int{200, 200, 429, 429} {
		if status, _ := get(t, f.client(t), "http://"+address, "", ""); status != want {
			t.Errorf("request %d: %d, want %d", i, status, want)
		}
	}
}

// Profiles are behind the same door.
func TestProfilesBehindTheDoor(t *testing.T) {
	f := newFiles(t, overTLS+withUser(t, "scraper", "secret"))
	door, err := OpenDoor(f.path("web.yml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ServeProfiles(l, 4, door, log.New(io.Discard, "", 0))()
	url := "https://" + l.Addr().String() + "/debug/vars"
	for password, want := range map[string]int{"secret": 200, "wrong": 401} {
		if status, _ := get(t, f.client(t), url, "scraper", password); status != want {
			t.Errorf("%s: %d, want %d", password, status, want)
		}
	}
}
