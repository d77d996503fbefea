package top

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/config"
)

// Limits of Options.
const (
	MinInterval = 500 * time.Millisecond
	MaxInterval = time.Hour
	MaxRows     = 1000 // that the API answers with at most
)

// Options say whom to ask for what. Make the fields with the functions below, whose errors are one line with the remedy.
type Options struct {
	Address  *url.URL
	HTTP     Doer
	Interval time.Duration // between two questions
	Rows     int           // of Once; a screen has as many as it has space for
	View     view
	Sort     order
	Filter   filter
}

// ParseAddress reads the address of an exporter: a URL, or host:port for http.
func ParseAddress(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("want a URL such as http://localhost:9100")
	}
	return u, nil
}

// ParseView reads the name of a view.
func ParseView(name string) (view, error) {
	for _, v := range []view{ofStreams, ofGroups} {
		if v.String() == name {
			return v, nil
		}
	}
	return 0, errors.New("want streams or groups")
}

// ParseSort reads the name of what rows are ranked by, as the API has it.
func ParseSort(name string) (order, error) {
	for o := range numOrders {
		if o.name() == name {
			return o, nil
		}
	}
	return 0, errors.New("want bytes, bitrate, packets, retransmits, delay or health")
}

// ParseFilter reads a filter, as it may be typed on the screen.
func ParseFilter(text string) (filter, error) { return parseFilter(text) }

// NewHTTP returns a client with the password and the TLS settings of a file in the format of Prometheus' http_config; an
// empty name: without any.
func NewHTTP(file string) (*http.Client, error) {
	c := config.DefaultHTTPClientConfig
	if file != "" {
		loaded, _, err := config.LoadHTTPConfigFile(file)
		if err != nil {
			return nil, err
		}
		c = *loaded
	}
	return config.NewClientFromConfig(c, "top")
}

func (o *Options) client() *client {
	shown := *o.Address
	shown.User = nil
	return &client{http: o.HTTP, base: o.Address, name: strings.TrimSuffix(shown.String(), "/")}
}
