package web

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

var testPage = Page{
	Name: "tcp-stream-exporter", Version: "1.2.3", Interface: "eth0", Filter: "tcp port 443",
	Packets: 123456, Drops: 789, Freezes: 12, Streams: 34, Metrics: "/metrics", Summary: "/metrics/summary", PerStream: "/metrics/streams", Uptime: 90*time.Minute + 1500*time.Millisecond,
}

var metricsHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "metrics of "+r.URL.RawQuery)
})

var apiHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "API of "+r.URL.Path)
})

var metricsRoute = []Route{{"/metrics", metricsHandler}, {"/metrics/summary", metricsHandler}, {"/api/", apiHandler}}

// serve runs srv on a loopback port until the test ends.
func serve(t *testing.T, srv *http.Server) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }() // ends with http.ErrServerClosed
	t.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

// raw sends a request as it is written and reads the answer.
func raw(t *testing.T, address, method, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestPaths(t *testing.T) {
	address := serve(t, Server("", Mux(metricsRoute, func() Page { return testPage })))
	for _, row := range []struct {
		method, target string
		status         int
		body           string // how it begins
	}{
		{"GET", "/", 200, "<!DOCTYPE html>"},
		{"GET", "/?x=/metrics", 200, "<!DOCTYPE html>"},
		{"HEAD", "/", 200, ""},
		{"GET", "/metrics", 200, "metrics of "},
		{"GET", "/metrics?name[]=up", 200, "metrics of name[]=up"},
		{"GET", "/%6detrics", 200, "metrics of "}, // the same path, RFC 3986 section 6.2.2.2
		{"GET", "http://elsewhere.example/metrics", 200, "metrics of "},
		{"GET", "/metrics/summary?name[]=up", 200, "metrics of name[]=up"},
		{"POST", "/metrics", 200, "metrics of "}, // the metrics handler's to refuse
		{"GET", "/api/v1/streams?limit=1", 200, "API of /api/v1/streams"},
		{"POST", "/api/v9/nothing", 200, "API of /api/v9/nothing"}, // likewise

		{"POST", "/", 405, "this page is read with GET or HEAD\n"},
		{"PUT", "/", 405, "this page"},
		{"OPTIONS", "/", 405, "this page"},

		{"GET", "//", 404, "not found"},
		{"GET", "///metrics", 404, "not found"},
		{"GET", "/metrics/", 404, "not found: there are /, /metrics, /metrics/summary and /api/\n"},
		{"GET", "/metrics/streams", 404, "not found"},
		{"GET", "/metrics//", 404, "not found"},
		{"GET", "/..%2f", 404, "not found"},
		{"GET", "/../metrics", 404, "not found"},
		{"GET", "/%2e%2e/metrics", 404, "not found"},
		{"GET", "/./", 404, "not found"},
		{"GET", "/metrics%00", 404, "not found"},
		{"GET", "/metrics%2f", 404, "not found"},
		{"GET", "/METRICS", 404, "not found"},
		{"GET", "/api", 404, "not found"},
		{"GET", "//api/v1/streams", 404, "not found"},
		{"GET", "/metrics;x=1", 404, "not found"},
		{"GET", "/index.html", 404, "not found"},
		{"GET", "/debug/pprof/", 404, "not found"},
		{"GET", "/<script>alert(1)</script>", 404, "not found"},
		{"GET", "/" + strings.Repeat("a", 8<<10), 404, "not found"},
		{"GET", "/" + strings.Repeat("../", 2000), 404, "not found"},
		{"POST", "/nowhere", 404, "not found"},
		{"HEAD", "/nowhere", 404, ""},
		{"OPTIONS", "*", 404, "not found"},
		{"CONNECT", "localhost:443", 404, "not found"},

		{"GET", "/" + strings.Repeat("a", 64<<10), 431, "431"},
		{"GET", "/%zz", 400, "400"},
		{"GET", "metrics", 400, "400"},
	} {
		name := row.method + " " + row.target[:min(len(row.target), 40)]
		resp, body := raw(t, address, row.method, row.method+" "+row.target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if resp.StatusCode != row.status || !strings.HasPrefix(body, row.body) || (row.body == "") != (body == "") {
			t.Errorf("%s: %d %.60q, want %d and %q", name, resp.StatusCode, body, row.status, row.body)
		}
		switch row.status {
		case 404, 405:
			if n := strings.Count(body, "\n"); row.method != "HEAD" && n != 1 {
				t.Errorf("%s: the answer has %d lines", name, n)
			}
			if strings.Contains(body, "script") {
				t.Errorf("%s: the path comes back in the answer", name)
			}
		}
		if allow := resp.Header.Get("Allow"); (allow == "GET, HEAD") != (row.status == 405) {
			t.Errorf("%s: Allow is %q", name, allow)
		}
		if resp.StatusCode >= 300 && resp.StatusCode < 400 {
			t.Errorf("%s redirects to %s", name, resp.Header.Get("Location"))
		}
	}
}

func TestPageShowsTheFigures(t *testing.T) {
	h := Mux(metricsRoute, func() Page { return testPage })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	body := w.Body.String()
	for _, want := range []string{
		`<script type="module" src="page/main.js"></script>`, "<h1>tcp-stream-exporter</h1>", "Version 1.2.3", `<a href="/metrics">`,
		`<th scope="row">Interface</th><td>eth0<`, ">Packet filter</th><td>tcp port 443<", ">Active streams</th><td>34<",
		">Packets processed</th><td>123456<", ">Packets dropped</th><td>789<", ">Queue freezes</th><td>12<", ">Uptime</th><td>1h30m1s<",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, foreign := range []string{"http:", "https:", "src=\"http", "src=\"/", "<script>", "@import", "url(", "onclick", "<style", " style="} {
		if strings.Contains(body, foreign) {
			t.Errorf("the page holds %s: nothing may come from elsewhere", foreign)
		}
	}
	if ct := w.Header().Get("Content-Type"); ct != "text/html; charset=utf-8" {
		t.Errorf("Content-Type is %q", ct)
	}

	head := httptest.NewRecorder()
	h.ServeHTTP(head, httptest.NewRequest("HEAD", "/", nil))
	if head.Code != 200 || head.Header().Get("Content-Length") != w.Header().Get("Content-Length") || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d with Content-Length %q, GET has %q", head.Code, head.Header().Get("Content-Length"), w.Header().Get("Content-Length"))
	}
}

// Every part that the page or another part names is there, as what it is, and asked for again only if it has changed.
func TestPageParts(t *testing.T) {
	h := Mux(metricsRoute, func() Page { return testPage })
	get := func(target, tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", target, nil)
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	queue, seen, size := []string{"/"}, map[string]bool{}, 0
	named := regexp.MustCompile(`(?:href|src|from)[= ]"(?:\./|page/)([\w.]+)"`)
	for len(queue) > 0 {
		target := queue[0]
		queue = queue[1:]
		if seen[target] {
			continue
		}
		seen[target] = true
		w := get(target, "")
		size += w.Body.Len()
		if w.Code != 200 || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Fatalf("%s: %d %v", target, w.Code, w.Header())
		}
		for ending, kind := range pageTypes {
			if strings.HasSuffix(target, ending) && w.Header().Get("Content-Type") != kind {
				t.Errorf("%s: %v", target, w.Header())
			}
		}
		if tag := w.Header().Get("ETag"); target != "/" && (tag == "" || get(target, tag).Code != 304 || get(target, `"other"`).Code != 200) {
			t.Errorf("%s: ETag %q is not asked by", target, tag)
		}
		for _, m := range named.FindAllStringSubmatch(w.Body.String(), -1) {
			queue = append(queue, "/page/"+m[1])
		}
		for _, unsafe := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("} {
			if strings.Contains(w.Body.String(), unsafe) {
				t.Errorf("%s has %s: data must not become markup", target, unsafe)
			}
		}
	}
	if len(seen) != 1+len(pageParts()) {
		t.Errorf("%d of %d parts are loaded: %v", len(seen)-1, len(pageParts()), seen)
	}
	if size > 60_000 {
		t.Errorf("page and parts have %d bytes", size)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/page/main.js", nil))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	if w := get("/page/index.html", ""); w.Code != 404 {
		t.Errorf("the template itself: %d", w.Code)
	}
}

func TestPageIsOfTheMomentOfTheRequest(t *testing.T) {
	packets := uint64(0)
	h := Mux(metricsRoute, func() Page {
		packets += 1000
		return Page{Packets: packets}
	})
	for _, want := range []string{"<td>1000<", "<td>2000<"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestHostileTextIsEscaped(t *testing.T) {
	evil := `"><script>alert(1)</script><a href='`
	h := Mux(metricsRoute, func() Page { return Page{Name: evil, Version: evil, Interface: evil, Filter: evil} })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if body := w.Body.String(); strings.Count(body, "<script") != 1 || strings.Count(body, "<a ") != 4 {
		t.Errorf("text from outside became markup:\n%s", body)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy is %q", csp)
	}
}
