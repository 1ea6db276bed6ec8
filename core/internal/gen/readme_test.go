// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

// A user of any CI begins with at most 15 lines, and finds the same chapters.
func TestTheREADMEsOfTheWrappers(t *testing.T) {
	found := 0
	for path, text := range generated(t, inputs.Table) {
		if !strings.HasSuffix(path, "README.md") {
			continue
		}
		found++
		start := 0
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "    ") {
				start++
			} else if start > 0 && strings.TrimSpace(line) != "" {
				break
			}
		}
		if start == 0 || start > 15 {
			t.Errorf("%s begins with %d lines of configuration", path, start)
		}
		for _, words := range []string{"## Outputs", "## Moving from a hand-written pipeline", "docs/exit-codes.md", "docs/aws.md", "OUTLAST_ID_TOKEN"} {
			if !strings.Contains(string(text), words) {
				t.Errorf("%s does not have %q", path, words)
			}
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), link[1])); err != nil {
				t.Errorf("%s: a link leads nowhere: %v", path, err)
			}
		}
	}
	if found != 5 {
		t.Errorf("%d READMEs", found)
	}
}

// The Terraform of the buildspec's README is HCL, and works in every partition.
func TestTheTerraform(t *testing.T) {
	path := filepath.Join(root, "codebuild/terraform/main.tf")
	file, problems := hclparse.NewParser().ParseHCLFile(path)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		t.Fatalf("a body of type %T", file.Body)
	}
	made := map[string]bool{}
	for _, block := range body.Blocks {
		made[strings.Join(block.Labels, ".")] = true
	}
	for _, want := range []string{"aws_codebuild_project.deploy", "aws_iam_role.deploy", "aws_iam_role_policy.deploy", "aws_eks_access_entry.deploy", "aws_partition.current"} {
		if !made[want] {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(string(file.Bytes), "arn:aws") || strings.Contains(string(file.Bytes), `"*:*"`) {
		t.Error("a partition is written out, or everything is allowed")
	}
}
