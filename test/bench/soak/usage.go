package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// usage is what the node takes and reports at one moment.
type usage struct {
	rss, peak int64   // bytes
	cpu       float64 // seconds
	live      float64 // bytes that the live-stores hold
	uncovered float64 // records
	refused   float64 // requests
}

// clockTicks is how many there are in a second of a process's time in /proc.
const clockTicks = 100

func readUsage(pid int, url string) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	u.cpu = (user + system) / clockTicks
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			u.rss = kb << 10
		case "VmHWM":
			u.peak = kb << 10
		}
	}
	return u, u.readMetrics(url)
}

func (u *usage) readMetrics(url string) error {
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sum := map[string]float64{} // over labels
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 64<<20))
	for lines.Scan() {
		name, _, _ := strings.Cut(lines.Text(), "{")
		at := strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 || strings.HasPrefix(name, "#") {
			continue
		}
		value, _ := strconv.ParseFloat(lines.Text()[at+1:], 64)
		name, _, _ = strings.Cut(name, " ")
		sum[name] += value
	}
	u.live = sum["troupe_live_store_bytes"]
	u.uncovered = sum["troupe_live_store_next_offset"] - sum["troupe_live_store_covered_offset"]
	u.refused = sum["troupe_distributor_requests_refused_total"]
	return lines.Err()
}
