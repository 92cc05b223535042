package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/troupe-tracing/troupe/actors/overrides"
	"github.com/troupe-tracing/troupe/runtime/config"
)

// findContradictions names values that are valid by themselves and not together.
func (c Config) findContradictions() []error {
	all, errs := c.listenAddresses()
	errs = append(errs, findClashes(all)...)
	must := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	q, api, wal := c.QueryFrontend.Config, c.QueryFrontend.API, c.Storage.Trace.WAL
	must(api.Search.MaxLimit == 0 || api.Search.DefaultLimit <= api.Search.MaxLimit,
		"query_frontend.search.default_result_limit: %d is above max_result_limit, %d: "+
			"a search that names no limit would be refused",
		api.Search.DefaultLimit, api.Search.MaxLimit)
	must(api.Search.MaxSpansPerSet == 0 || api.Search.DefaultSpansPerSet <= api.Search.MaxSpansPerSet,
		"query_frontend.search.default_spans_per_span_set: %d is above max_spans_per_span_set, %d: "+
			"a search that names none would be refused",
		api.Search.DefaultSpansPerSet, api.Search.MaxSpansPerSet)
	must(q.MaxResult <= q.MaxResults,
		"query_frontend.max_result_bytes: one answer may have %d bytes, all together only %d (max_results_bytes)",
		q.MaxResult, q.MaxResults)
	must(q.JobTimeout <= q.MaxDuration,
		"query_frontend.job_timeout: a job may take %s, its query only %s (max_query_duration)",
		q.JobTimeout, q.MaxDuration)
	must(c.Scheduler.RetiredGrace > max(q.MaxDuration, c.BlockBuilder.BuildTimeout),
		"backend_scheduler.retired_grace: %s is too short: a query (query_frontend.max_query_duration, %s) "+
			"or a build (block_builder.build_timeout, %s) would find blocks gone that it reads",
		c.Scheduler.RetiredGrace, q.MaxDuration, c.BlockBuilder.BuildTimeout)
	must(wal.SegmentBytes <= wal.MaxBytes/2,
		"storage.trace.wal.segment_bytes: %s is more than half of max_bytes, %s: "+
			"the log could not let go of a file before it is full",
		wal.SegmentBytes, wal.MaxBytes)
	must(wal.Path != c.Storage.Trace.Local.Path,
		"storage.trace.wal.path, storage.trace.local.path: "+
			"the log and the blocks need folders of their own, both are %s",
		wal.Path)
	return errs
}

// checkFiles reads the files that the configuration names, as the start does, and returns the
// warnings of the tenants' file.
func (c Config) checkFiles() (warnings []config.Warning, errs []error) {
	for _, k := range config.Keys(c) {
		if t, ok := k.Value.Interface().(config.TLS); ok && t.Validate() == nil {
			if _, err := t.Server(); err != nil {
				errs = append(errs, fmt.Errorf("%s.%w", k.Path, err))
			}
		}
	}
	if c.Storage.Trace.Backend == "s3" {
		if _, err := c.Storage.Trace.S3.TLS.Client(); err != nil {
			errs = append(errs, fmt.Errorf("storage.trace.s3.%w", err))
		}
	}
	limits, err := overrides.ReadFile(c.Overrides)
	for _, e := range config.Errors(err) {
		errs = append(errs, fmt.Errorf("overrides.per_tenant_override_config: %w", e))
	}
	for _, w := range limits.Warnings {
		warnings = append(warnings, config.Warning{Key: c.Overrides.File + ": " + w.Key, Cause: w.Cause})
	}
	return warnings, errs
}

// checkFilesToo adds the errors of the files to err, the errors of the values. With -config.strict
// warnings are errors too.
func (c *command) checkFilesToo(err error) error {
	if !c.verify && !c.strict {
		return err
	}
	warnings, errs := c.cfg.checkFiles()
	c.warnings = append(c.warnings, warnings...)
	err = errors.Join(append([]error{err}, errs...)...)
	if err != nil || c.verify || len(c.warnings) == 0 {
		return err
	}
	causes, keys := config.GroupWarnings(c.warnings)
	for _, cause := range causes {
		errs = append(errs, fmt.Errorf("%s: %s", cause, strings.Join(keys[cause], ", ")))
	}
	return errors.Join(append(errs, errors.New("-config.strict refuses a configuration with warnings"))...)
}

// printReport prints what -config.verify has found, with the verdict as its last line, and returns
// the exit code.
func (c *command) printReport(out io.Writer, err error) int {
	problems := config.Errors(err)
	for _, e := range problems {
		fmt.Fprintln(out, "error:", e)
	}
	causes, keys := config.GroupWarnings(c.warnings)
	for _, cause := range causes {
		fmt.Fprintf(out, "warning: %s\n         %s\n", cause, strings.Join(keys[cause], "\n         "))
	}
	warnings := countOf(len(causes), "warning")
	switch {
	case len(problems) > 0:
		fmt.Fprintf(out, "verdict: the node cannot start with this configuration: %s, %s\n",
			countOf(len(problems), "error"), warnings)
		return 1
	case len(causes) > 0 && c.strict:
		fmt.Fprintf(out, "verdict: refused by -config.strict: no errors, %s\n", warnings)
		return 1
	}
	fmt.Fprintf(out, "verdict: the node can start with this configuration: no errors, %s\n", warnings)
	return 0
}

// countOf says how many there are of something, in words.
func countOf(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
