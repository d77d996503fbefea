package top

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

const (
	// patience is how long an answer may take. The exporter ends requests that wait longer for their turn.
	patience = 10 * time.Second
	// maxAnswer bounds an answer in bytes. A thousand rows of groups take 3 MB.
	maxAnswer = 16 << 20
)

// Doer sends requests, as http.Client does.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// requestError is an answer that says what is wrong with the request: asking again does not help.
type requestError struct{ text string }

func (e requestError) Error() string { return e.text }

// errAbsent says that the exporter has no such path, or nothing to show on it.
var errAbsent = errors.New("not found")

// client asks one exporter.
type client struct {
	http Doer
	base *url.URL
	name string // base without a password, for messages
}

// get asks for a path below the base and decodes the answer into v. An error is one line; errAbsent and requestError among
// others.
func (c *client) get(ctx context.Context, path string, query url.Values, v any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %s", c.name, reason(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: the answer broke off: %s", c.name, reason(err))
	}
	if resp.StatusCode != http.StatusOK {
		return c.refused(resp.StatusCode, body)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s: %s answers with something else than the API's JSON: is there a tcp-stream-exporter on this address?", c.name, u.Path)
	}
	return nil
}

// refused returns the error of an answer that is none.
func (c *client) refused(status int, body []byte) error {
	var said struct{ Error string }
	_ = json.Unmarshal(body, &said) // an answer in other words says nothing
	switch status {
	case http.StatusBadRequest:
		if said.Error != "" {
			return requestError{said.Error}
		}
		if c.base.Scheme == "http" && bytes.Contains(body, []byte("HTTPS server")) { // as net/http answers
			return fmt.Errorf("%s: the exporter speaks TLS: begin -address with https://", c.name)
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s: no entry (status %d): give the user and the password in a file: -http.config.file FILE", c.name, status)
	case http.StatusNotFound:
		if said.Error != "" {
			return fmt.Errorf("%w: %s", errAbsent, said.Error)
		}
		return errAbsent
	}
	if said.Error != "" {
		return fmt.Errorf("%s: %s (status %d)", c.name, said.Error, status)
	}
	return fmt.Errorf("%s: status %d %s", c.name, status, http.StatusText(status))
}

// reason returns why a request failed, without what the reader knows: the address.
func reason(err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused: is the exporter running there?"
	case errors.As(err, &dns):
		return "no address is known for " + dns.Name
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "the certificate is of an unknown authority: name its file in -http.config.file (tls_config: ca_file)"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the exporter speaks no TLS: begin -address with http://"
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v", patience)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the connection was closed"
	}
	if inner := (*url.Error)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	if inner := (*net.OpError)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	return err.Error()
}

// question says what is asked for.
type question struct {
	view   view
	filter filter
	sort   order
	limit  int // rows
}

// answer holds what came back. Errors are apart: the status may be there without the table, and the other way round.
type answer struct {
	number   int // of the question
	question question
	at       time.Time
	status   *status
	noStatus error
	streams  *streams
	groups   *groups
	noTable  error
}

// ask asks for the status and one table.
func (c *client) ask(ctx context.Context, q question) (a answer) {
	a.question = q
	s := &status{}
	if a.noStatus = c.get(ctx, "api/v1/status", nil, s); a.noStatus == nil {
		a.status = s
	} else if !errors.Is(a.noStatus, errAbsent) {
		a.noTable, a.at = a.noStatus, time.Now() // the same again would come after the same time
		return a
	}
	if q.view == ofStreams {
		t := &streams{}
		if a.noTable = c.get(ctx, "api/v1/streams", q.filter.streams(q.sort, q.limit), t); a.noTable == nil {
			a.streams = t
		}
	} else {
		t := &groups{}
		if a.noTable = c.get(ctx, "api/v1/groups", q.filter.groups(), t); a.noTable == nil {
			sortGroups(t.Rows, q.sort)
			a.groups = t
		}
	}
	if a.noTable == errAbsent { // in no words of the exporter's
		a.noTable = fmt.Errorf("%s: no /api/v1/%s: is there a tcp-stream-exporter on this address?", c.name, q.view)
	}
	a.at = time.Now()
	return a
}
