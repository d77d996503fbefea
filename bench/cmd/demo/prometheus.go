package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ruleFiles returns the files of a folder that are rules for Prometheus: those with a line that begins with "groups:".
// Configurations and tests of rules have none.
func ruleFiles(folder string) ([]string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	all, err := filepath.Glob(filepath.Join(folder, "*.yml"))
	if err != nil {
		return nil, fmt.Errorf("-rules %s: %w", folder, err)
	}
	var rules []string
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("-rules %s: %w", folder, err)
		}
		if strings.HasPrefix(string(text), "groups:") || strings.Contains(string(text), "\ngroups:") {
			rules = append(rules, file)
		}
	}
	return rules, nil
}

// configuration returns Prometheus' configuration.
func configuration(rules []string) string {
	var b strings.Builder
	b.WriteString("global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 5s}\n")
	if len(rules) > 0 {
		b.WriteString("rule_files:\n")
		for _, file := range rules {
			fmt.Fprintf(&b, "- '%s'\n", strings.ReplaceAll(file, "'", "''"))
		}
	}
	b.WriteString("scrape_configs:\n")
	for _, job := range []struct{ name, path, interval string }{{"tcp-summary", "/metrics/summary", "2s"}, {"tcp-streams", "/metrics/streams", "5s"}} {
		fmt.Fprintf(&b, "- job_name: %s\n  metrics_path: %s\n  scrape_interval: %s\n  static_configs:\n  - targets: ['%s']\n    labels: {router: demo}\n",
			job.name, job.path, job.interval, exporterInside)
	}
	return b.String()
}
