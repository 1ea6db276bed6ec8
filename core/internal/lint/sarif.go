// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/outlast-ci/outlast/core/drain"
)

// The parts of SARIF 2.1.0 that are written; names and meaning are those of
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool                `json:"tool"`
		Bases   map[string]sarifArtifact `json:"originalUriBaseIds"`
		Results []sarifResult            `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string       `json:"id"`
		Name    string       `json:"name"`
		Short   sarifText    `json:"shortDescription"`
		Full    sarifText    `json:"fullDescription"`
		HelpURI string       `json:"helpUri"`
		Help    sarifText    `json:"help"`
		Default sarifDefault `json:"defaultConfiguration"`
		Bag     sarifRuleBag `json:"properties"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	// sarifRuleBag holds what GitHub reads beside the standard:
	// https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support-for-code-scanning
	sarifRuleBag struct {
		Tags      []string `json:"tags"`
		Precision string   `json:"precision"`
		Severity  string   `json:"problem.severity"`
		Fixable   bool     `json:"outlast.fixable"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    *int               `json:"ruleIndex,omitempty"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
		Bag          map[string]any     `json:"properties,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI         string     `json:"uri,omitempty"`
		BaseID      string     `json:"uriBaseId,omitempty"`
		Description *sarifText `json:"description,omitempty"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
)

const (
	sarifRoot   = "%SRCROOT%" // what code scanning takes for the root of the checkout
	sarifSchema = "https://json.schemastore.org/sarif-2.1.0.json"
	// sarifPrint is a name of ours: GitHub computes its primaryLocationLineHash
	// itself and warns, for each result, about one that it would not have computed.
	sarifPrint = "outlastFinding/v1"
)

func sarif(r Report, _ Options) ([]byte, error) {
	run := sarifRun{
		Tool:    sarifTool{sarifDriver{Name: "outlast", Version: r.Version, InformationURI: pages, Rules: []sarifRule{}}},
		Bases:   map[string]sarifArtifact{sarifRoot: sarifBase(r.Root)},
		Results: []sarifResult{},
	}
	index := map[string]int{}
	for i, rule := range r.Rules {
		index[rule.ID] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(rule))
	}
	prints := fingerprints(r.Findings)
	for i, f := range r.Findings {
		result := sarifResultOf(f, r.Findings)
		result.Fingerprints = map[string]string{sarifPrint: prints[i]}
		if at, known := index[f.Rule]; known {
			result.RuleIndex = &at
		}
		run.Results = append(run.Results, result)
	}
	return marshal(sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}})
}

// sarifBase is the folder that paths are relative to; without an address where
// that is not told.
func sarifBase(root string) sarifArtifact {
	base := sarifArtifact{Description: &sarifText{Text: "the folder that the paths are relative to"}}
	if filepath.IsAbs(root) {
		slashed := strings.TrimSuffix(filepath.ToSlash(root), "/") + "/"
		if !strings.HasPrefix(slashed, "/") { // a drive of Windows
			slashed = "/" + slashed
		}
		base.URI = (&url.URL{Scheme: "file", Path: slashed}).String()
	}
	return base
}

func sarifRuleOf(rule Rule) sarifRule {
	help := pages + "/blob/main/" + page(rule.ID)
	summary := strings.TrimSuffix(rule.Summary, ".") + "."
	severity := map[drain.Severity]string{drain.Error: "error", drain.Warning: "warning"}[rule.Severity]
	if severity == "" {
		severity = "recommendation"
	}
	return sarifRule{
		ID: rule.ID, Name: rule.Name, HelpURI: help,
		Short: sarifText{Text: summary},
		Full:  sarifText{Text: summary},
		Help: sarifText{
			Text:     fmt.Sprintf("%s See %s", summary, help),
			Markdown: fmt.Sprintf("%s\n\n[%s %s](%s): why, the evidence, the fix and an example.", summary, rule.ID, rule.Name, help),
		},
		Default: sarifDefault{sarifLevel(rule.Severity)},
		Bag:     sarifRuleBag{Tags: []string{"kubernetes", "aws", "reliability"}, Precision: "high", Severity: severity, Fixable: rule.Fixable},
	}
}

func sarifResultOf(f drain.Finding, all []drain.Finding) sarifResult {
	file, line := place(f, all)
	message := plain(f.Message)
	if f.Fix != "" {
		message += "\n\nFix: " + plain(f.Fix)
	}
	location := sarifLocation{Physical: sarifPhysical{
		Artifact: sarifArtifact{URI: strings.ReplaceAll((&url.URL{Path: file}).EscapedPath(), ":", "%3A"), BaseID: sarifRoot}, // a colon would end a scheme
		Region:   sarifRegion{line},
	}}
	if f.Object != "" {
		location.Logical = []sarifLogical{{plain(f.Object), "object"}}
	}
	result := sarifResult{RuleID: f.Rule, Level: sarifLevel(f.Severity), Message: sarifText{Text: message}, Locations: []sarifLocation{location}, Bag: map[string]any{}}
	if f.Suppressed != "" {
		result.Suppressions = []sarifSuppression{{Kind: "inSource", Status: "accepted", Justification: plain(f.Suppressed)}}
	}
	for key, text := range map[string]string{"outlast.inequality": f.Inequality, "outlast.field": plain(f.Field)} {
		if text != "" {
			result.Bag[key] = text
		}
	}
	if f.Want != 0 {
		result.Bag["outlast.wantSeconds"] = int(f.Want)
	}
	return result
}

func sarifLevel(s drain.Severity) string {
	switch s {
	case drain.Error:
		return "error"
	case drain.Warning:
		return "warning"
	}
	return "note"
}
