package top

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The user of an address and a file open the door, and no message shows the password.
func TestPassword(t *testing.T) {
	e := newExporter(t)
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		e.ServeHTTP(w, r)
	}))
	defer door.Close()
	address := strings.Replace(door.URL, "//", "//ann:secret@", 1)
	ask := func(address, file string) error {
		o := options(t, address)
		var err error
		if o.HTTP, err = NewHTTP(file); err != nil {
			t.Fatal(err)
		}
		return o.client().ask(t.Context(), question{limit: 1}).noTable
	}
	if err := ask(address, ""); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "http.yml")
	if err := os.WriteFile(file, []byte("basic_auth:\n  username: ann\n  password: secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ask(door.URL, file); err != nil {
		t.Error(err)
	}
	err := ask(strings.Replace(address, "secret", "guess", 1), "")
	if err == nil || strings.Contains(err.Error(), "guess") || !strings.Contains(err.Error(), door.URL+": no entry (status 401)") {
		t.Error(err)
	}
}

// Messages about TLS say what to do.
func TestTLS(t *testing.T) {
	e := newExporter(t)
	secure := httptest.NewUnstartedServer(e)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that go away
	secure.StartTLS()
	defer secure.Close()
	for address, want := range map[string]string{
		secure.URL: "unknown authority: name its file in -http.config.file",
		strings.Replace(secure.URL, "https", "http", 1): "begin -address with https://",
		strings.Replace(e.URL, "http", "https", 1):      "begin -address with http://",
		"http://no-such-host.invalid":                   "no address is known for no-such-host.invalid",
	} {
		if err := options(t, address).client().ask(t.Context(), question{limit: 1}).noTable; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}

// An address may have a path, as behind a proxy.
func TestPath(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.Path
		w.WriteHeader(404)
	}))
	defer s.Close()
	err := options(t, s.URL+"/router/").client().get(t.Context(), "api/v1/status", nil, nil)
	if got != "/router/api/v1/status" || !errors.Is(err, errAbsent) {
		t.Errorf("%s, %v", got, err)
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"router:9100": "http://router:9100", "[::1]:9100": "http://[::1]:9100", "https://r/p": "https://r/p",
		"ftp://r": "", "": "", ":9100": "", "http://": "", "http://r?x": "", "http://r#x": "", "a b": "",
	} {
		u, err := ParseAddress(text)
		if (err == nil) != (want != "") || err == nil && u.String() != want {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	}
}

func TestParseFilter(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		" 192.0.2.0/24  :443 finalized ": "addr=192.0.2.0/24 port=443 state=finalized",
		"2001:db8::1 group=a=b":          "addr=2001:db8::1 group=a=b",
		"src=192.0.2.1 min_bytes=5":      "src=192.0.2.1 min_bytes=5",
		"lan":                            "error lan: want an address",
		"sort=bytes":                     `error sort=bytes: no filter is called "sort"`,
		"65536":                          "error 65536: want an address",
		"80 port=443":                    "error port=443: there is a value for port already",
	} {
		f, err := parseFilter(text)
		got := f.String()
		if err != nil {
			got = "error " + err.Error()
		}
		if got != want && (err == nil || !strings.HasPrefix(got, want)) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if again, err2 := parseFilter(got); err == nil && (err2 != nil || again.String() != got) {
			t.Errorf("%q cannot be typed again: %v", got, err2)
		}
	}
}
