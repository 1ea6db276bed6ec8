// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

func hclBody(t *testing.T, name string, text []byte) *hclsyntax.Body {
	t.Helper()
	file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return file.Body.(*hclsyntax.Body)
}

func terraform(t *testing.T) ([]byte, *hclsyntax.Body) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "codebuild/terraform/main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	return text, hclBody(t, "main.tf", text)
}

// of gives the blocks of a kind by their labels, joined by points.
func of(b *hclsyntax.Body, kind string) map[string]*hclsyntax.Body {
	found := map[string]*hclsyntax.Body{}
	for _, block := range b.Blocks {
		if block.Type == kind {
			found[strings.Join(block.Labels, ".")] = block.Body
		}
	}
	return found
}

// Nothing is named that is not declared, nothing is declared that is not used,
// and no partition is written down.
func TestTheTerraformIsWhole(t *testing.T) {
	text, body := terraform(t)
	if formatted := hclwrite.Format(text); !bytes.Equal(formatted, text) {
		t.Errorf("terraform fmt would change it:\n%s", formatted)
	}
	for _, literal := range []string{"arn:aws", "amazonaws.com"} {
		if bytes.Contains(text, []byte(literal)) {
			t.Errorf("it holds %s, which is another one in China", literal)
		}
	}
	declared := map[string]bool{} // and whether it is used
	for name := range of(body, "variable") {
		declared["var."+name] = false
	}
	for name := range of(body, "data") {
		declared["data."+name] = false
	}
	for name := range of(body, "resource") {
		declared[name] = false
	}
	for name := range of(body, "locals")[""].Attributes {
		declared["local."+name] = false
	}
	diags := hclsyntax.VisitAll(body, func(node hclsyntax.Node) hcl.Diagnostics {
		e, ok := node.(*hclsyntax.ScopeTraversalExpr)
		if !ok {
			return nil
		}
		var words []string
		for _, step := range e.Traversal {
			switch s := step.(type) {
			case hcl.TraverseRoot:
				words = append(words, s.Name)
			case hcl.TraverseAttr:
				words = append(words, s.Name)
			}
		}
		n := 2
		switch words[0] {
		case "data":
			n = 3
		case "each", "statement", "auth", "b", "r", "c", "string", "list": // bound where they stand, and types
			return nil
		}
		name := strings.Join(words[:min(n, len(words))], ".")
		if _, known := declared[name]; !known {
			t.Errorf("%s: %s is not declared", e.Range(), name)
		}
		declared[name] = true
		return nil
	})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		ends := strings.HasPrefix(name, "aws_iam_role_policy.") || strings.HasPrefix(name, "aws_eks_access_entry.") || strings.HasPrefix(name, "aws_codebuild_webhook.")
		if !declared[name] && !ends {
			t.Errorf("%s is not used", name)
		}
	}
}

// inRegion is what the provider would answer in a region.
func inRegion(t *testing.T, partition, region string, given map[string]cty.Value) *hcl.EvalContext {
	t.Helper()
	object := func(name, value string) cty.Value {
		return cty.ObjectVal(map[string]cty.Value{name: cty.StringVal(value)})
	}
	arn := func(service, rest string) cty.Value {
		return object("arn", "arn:"+partition+":"+service+":"+region+":111122223333:"+rest)
	}
	ctx := &hcl.EvalContext{Functions: map[string]function.Function{"length": stdlib.LengthFunc}, Variables: map[string]cty.Value{
		"var": cty.ObjectVal(given),
		"data": cty.ObjectVal(map[string]cty.Value{
			"aws_partition":       cty.ObjectVal(map[string]cty.Value{"current": object("partition", partition)}),
			"aws_region":          cty.ObjectVal(map[string]cty.Value{"current": object("name", region)}),
			"aws_caller_identity": cty.ObjectVal(map[string]cty.Value{"current": object("account_id", "111122223333")}),
		}),
		"aws_cloudwatch_log_group":   cty.ObjectVal(map[string]cty.Value{"build": arn("logs", "log-group:/aws/codebuild/outlast-web")}),
		"aws_codebuild_report_group": cty.ObjectVal(map[string]cty.Value{"deploys": arn("codebuild", "report-group/outlast-web-outlast")}),
	}}
	_, body := terraform(t)
	locals := map[string]cty.Value{}
	for name, attr := range of(body, "locals")[""].Attributes {
		value, diags := attr.Expr.Value(ctx)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		locals[name] = value
	}
	ctx.Variables["local"] = cty.ObjectVal(locals)
	return ctx
}

func words(t *testing.T, attr *hclsyntax.Attribute, ctx *hcl.EvalContext) (all []string) {
	t.Helper()
	value, diags := attr.Expr.Value(ctx)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, v := range value.AsValueSlice() {
		all = append(all, v.AsString())
	}
	return all
}

// texts is a list of Terraform's.
func texts(values ...string) cty.Value {
	all := []cty.Value{}
	for _, v := range values {
		all = append(all, cty.StringVal(v))
	}
	if len(all) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	return cty.ListVal(all)
}

// statements gives the bodies of a policy's statements, each with what its names mean
// there; of a dynamic one, those that it makes.
func statements(t *testing.T, document *hclsyntax.Body, ctx *hcl.EvalContext, found func(*hclsyntax.Body, *hcl.EvalContext)) {
	t.Helper()
	for _, block := range document.Blocks {
		if block.Type == "statement" {
			found(block.Body, ctx)
			continue
		}
		all, diags := block.Body.Attributes["for_each"].Expr.Value(ctx)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for _, value := range all.AsValueSlice() {
			child := ctx.NewChild()
			child.Variables = map[string]cty.Value{"statement": cty.ObjectVal(map[string]cty.Value{"value": value})}
			found(of(block.Body, "content")[""], child)
		}
	}
}

// What the module need not be given leaves out a statement: IAM refuses one
// without a resource.
func TestTheTerraformOfNothingIsAPolicy(t *testing.T) {
	_, body := terraform(t)
	ctx := inRegion(t, "aws", "eu-central-1", map[string]cty.Value{"repositories": texts(), "clusters": texts(), "image_repository": cty.StringVal("ci/outlast"), "source_type": cty.StringVal("GITHUB"),
		"connection": cty.NullVal(cty.String), "artifact_buckets": texts(), "deploy_roles": texts()})
	n := 0
	statements(t, of(body, "data")["aws_iam_policy_document.deploy"], ctx, func(b *hclsyntax.Body, ctx *hcl.EvalContext) {
		n++
		if len(words(t, b.Attributes["resources"], ctx)) == 0 {
			t.Errorf("no resource: %v", words(t, b.Attributes["actions"], ctx))
		}
	})
	if n != 4 { // log, report, build image, look
		t.Errorf("%d statements", n)
	}
}

// The role's policy, with the values that the provider gives in each partition.
func TestTheTerraformAllowsWhatADeployTakes(t *testing.T) {
	_, body := terraform(t)
	document := of(body, "data")["aws_iam_policy_document.deploy"]
	for partition, region := range map[string]string{"aws": "eu-central-1", "aws-cn": "cn-northwest-1"} {
		begin := "arn:" + partition + ":"
		ctx := inRegion(t, partition, region, map[string]cty.Value{"repositories": texts("web", "api"), "clusters": texts("dev", "prod"), "image_repository": cty.StringVal("ci/outlast"), "source_type": cty.StringVal("GITHUB"),
			"connection": cty.StringVal(begin + "codeconnections:" + region + ":111122223333:connection/c"), "artifact_buckets": texts("pipes"), "deploy_roles": texts(begin + "iam::444455556666:role/deploy")})
		want := map[string][]string{
			"ecr:PutImage":                              {begin + "ecr:" + region + ":111122223333:repository/web", begin + "ecr:" + region + ":111122223333:repository/api"},
			"ecr:GetDownloadUrlForLayer":                {begin + "ecr:" + region + ":111122223333:repository/ci/outlast"},
			"eks:DescribeCluster":                       {begin + "eks:" + region + ":111122223333:cluster/dev", begin + "eks:" + region + ":111122223333:cluster/prod"},
			"elasticloadbalancing:DescribeTargetGroups": {"*"},
			"logs:PutLogEvents":                         {begin + "logs:" + region + ":111122223333:log-group:/aws/codebuild/outlast-web:*"},
			"codeconnections:UseConnection":             {begin + "codeconnections:" + region + ":111122223333:connection/c"},
			"s3:GetObject":                              {begin + "s3:::pipes/*"},
			"sts:AssumeRole":                            {begin + "iam::444455556666:role/deploy"},
			"codebuild:BatchPutTestCases":               {begin + "codebuild:" + region + ":111122223333:report-group/outlast-web-outlast"},
		}
		statements(t, document, ctx, func(b *hclsyntax.Body, ctx *hcl.EvalContext) {
			actions, resources := words(t, b.Attributes["actions"], ctx), words(t, b.Attributes["resources"], ctx)
			for _, action := range actions {
				if strings.Contains(action, "*") {
					t.Errorf("a pattern of actions: %s", action)
				}
				if w, ok := want[action]; ok && !slices.Equal(resources, w) {
					t.Errorf("%s in %s: %q, want %q", action, partition, resources, w)
				}
				delete(want, action)
			}
			if slices.Contains(resources, "*") && slices.ContainsFunc(actions, func(a string) bool {
				return a != "ecr:GetAuthorizationToken" && !strings.HasPrefix(a, "elasticloadbalancing:Describe") && a != "cloudwatch:DescribeAlarms"
			}) {
				t.Errorf("allowed on everything: %q", actions)
			}
		})
		for action := range want {
			t.Errorf("%s is not allowed", action)
		}
	}
}
