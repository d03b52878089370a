package preflight

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"aftershock/detector"
)

// The shapes of SARIF 2.1.0 that are used (docs.oasis-open.org/sarif/sarif/v2.1.0).
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Results    []sarifResult `json:"results"`
		ColumnKind string        `json:"columnKind"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations,omitempty"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region *sarifRegion `json:"region,omitempty"`
		} `json:"physicalLocation"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
)

// levels are SARIF's words for the severities.
var levels = map[string]string{detector.Blocker: "error", detector.Risk: "warning", detector.Note: "note"}

// WriteSARIF writes the report in the form that code hosts and editors show.
func (r Report) WriteSARIF(w io.Writer, version string) error {
	run := sarifRun{Results: []sarifResult{}, ColumnKind: "unicodeCodePoints"}
	run.Tool.Driver = sarifDriver{Name: "aftershock", Version: version, Rules: []sarifRule{}}
	index := map[string]int{}
	for _, f := range r.Findings {
		if _, ok := index[f.Rule]; !ok {
			index[f.Rule] = len(run.Tool.Driver.Rules)
			name := strings.ReplaceAll(strings.ReplaceAll(f.Rule, "/", ": "), "-", " ")
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{f.Rule, sarifText{name}})
		}
		result := sarifResult{
			RuleID: f.Rule, RuleIndex: index[f.Rule], Level: levels[f.Severity],
			Message:      sarifText{strings.TrimSpace(fmt.Sprintf("%s. %s %s", plain(f.What), plainLines(f.Why), plainLines(f.Do)))},
			Fingerprints: map[string]string{"aftershock/v1": f.Rule + " " + f.Place.File + " " + f.What},
		}
		if f.Place.File != "" {
			var l sarifLocation
			l.Physical.Artifact.URI = (&url.URL{Path: f.Place.File}).String()
			if f.Place.Line > 0 {
				l.Physical.Region = &sarifRegion{f.Place.Line}
			}
			result.Locations = []sarifLocation{l}
		}
		run.Results = append(run.Results, result)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}
