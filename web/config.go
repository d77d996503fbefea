package web

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/time/rate"
)

// maxCost is the highest bcrypt cost that is taken: a password takes 4 s then, where 10, what htpasswd is usually told,
// takes 60 ms. Each step doubles that.
const maxCost = 16

// manual is where the file's settings are explained.
const manual = "see docs/operations.md"

// config is what a file of -web.config.file says.
type config struct {
	file    toolkit.Config
	tls     *tls.Config // nil: plain HTTP
	users   map[string]string
	decoy   string // the hash of the highest cost, which a user that does not exist is checked against
	limiter *rate.Limiter
}

// reads returns the files that a config is read from, besides its own.
func reads(c *toolkit.Config) map[string]string {
	all := map[string]string{"cert_file": c.TLSConfig.TLSCertPath, "key_file": c.TLSConfig.TLSKeyPath, "client_ca_file": c.TLSConfig.ClientCAs}
	maps.DeleteFunc(all, func(_, path string) bool { return path == "" })
	return all
}

// readConfig reads a file in the format of Prometheus' exporter-toolkit, and the certificates that it names. files are
// those that were to be read, also with an error. Errors are one line with the remedy, without the file's name.
func readConfig(path string) (c *config, files []string, err error) {
	files = []string{path}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, files, fmt.Errorf("%w: name a file that the exporter's user may read", cause(err))
	}
	// What is not in the file is as the toolkit has it.
	c = &config{file: toolkit.Config{
		TLSConfig:  toolkit.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13},
		HTTPConfig: toolkit.HTTPConfig{HTTP2: true},
	}}
	if err := yaml.UnmarshalStrict(text, &c.file); err != nil {
		return nil, files, fmt.Errorf("%s: %s", yamlError(err), manual)
	}
	c.file.TLSConfig.SetDirectory(filepath.Dir(path))
	named := reads(&c.file)
	for _, key := range slices.Sorted(maps.Keys(named)) {
		files = append(files, named[key])
	}
	if err := c.readCertificates(named); err != nil {
		return nil, files, err
	}
	if err := c.readUsers(); err != nil {
		return nil, files, err
	}
	if err := toolkit.Validate(path); err != nil { // the headers are left
		return nil, files, fmt.Errorf("%w: %s", err, manual)
	}
	if r := c.file.RateLimiterConfig; r.Interval != 0 {
		c.limiter = rate.NewLimiter(rate.Every(r.Interval), r.Burst)
	}
	return c, files, nil
}

// readCertificates makes the TLS configuration, if there is to be one.
func (c *config) readCertificates(named map[string]string) error {
	t := &c.file.TLSConfig
	if !t.IsEnabled() {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(named)) {
		if _, err := os.ReadFile(named[key]); err != nil {
			return fmt.Errorf("%s %s: %w: name a file that the exporter's user may read", key, named[key], cause(err))
		}
	}
	made, err := toolkit.ConfigToTLSConfig(t)
	if err != nil {
		return fmt.Errorf("%w: want certificate and key that belong together, in PEM; %s", err, manual)
	}
	if made.ClientCAs != nil && made.ClientCAs.Equal(x509.NewCertPool()) {
		return fmt.Errorf("client_ca_file %s: there is no certificate in it: want PEM", t.ClientCAs)
	}
	// The pair is read once, and not for each handshake: one that is half replaced must refuse nobody.
	pair, err := made.GetCertificate(nil)
	if err != nil {
		return fmt.Errorf("%w: %s", err, manual)
	}
	made.GetCertificate, made.Certificates = nil, []tls.Certificate{*pair}
	made.NextProtos = protocols(c.file.HTTPConfig.HTTP2)
	// A resumed session would not be checked against certificates and names that the file has now.
	made.SessionTicketsDisabled = true
	c.tls = made
	return nil
}

// protocols returns the names of HTTP's versions for ALPN (RFC 7301), the preferred one first.
func protocols(http2 bool) []string {
	if http2 {
		return []string{"h2", "http/1.1"}
	}
	return []string{"http/1.1"}
}

// readUsers checks the passwords' hashes.
func (c *config) readUsers() error {
	c.users = map[string]string{}
	highest := -1
	for _, user := range slices.Sorted(maps.Keys(c.file.Users)) {
		hash := string(c.file.Users[user])
		cost, err := bcrypt.Cost([]byte(hash))
		switch {
		case err != nil:
			return fmt.Errorf("basic_auth_users: %q has no bcrypt hash: make one with htpasswd -nBC 10, %s", user, manual)
		case cost > maxCost:
			return fmt.Errorf("basic_auth_users: %q has a bcrypt hash of cost %d, which takes seconds for each password: use 10 to %d", user, cost, maxCost)
		case cost > highest:
			highest, c.decoy = cost, hash
		}
		c.users[user] = hash
	}
	return nil
}

// cause returns an error of package os without the operation and the file's name.
func cause(err error) error {
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// yamlError returns what package yaml says in one line, without names of Go's types.
func yamlError(err error) string {
	lines := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if wrong := (*yaml.TypeError)(nil); errors.As(err, &wrong) {
		lines = wrong.Errors
	}
	for i, line := range lines {
		lines[i], _, _ = strings.Cut(line, " in type ")
	}
	return strings.Join(lines, ", ")
}
