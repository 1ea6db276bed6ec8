// SPDX-License-Identifier: Apache-2.0

package cli

import "strings"

// input is one row of the one table of inputs: a flag, an OUTLAST_ variable
// and, when key is set, a key of outlast.yaml. An empty value means unset.
type input struct {
	name    string   // flag; the variable is OUTLAST_ and the name in capitals with _
	key     string   // in outlast.yaml, dots for nesting; empty: not there
	kind    kind     //
	choices []string // allowed words of a choice
	stages  string   // stages that read it, or "all"
	doc     string   // one line; the last words tell what unset means
	secret  bool
}

type kind string

const (
	text     kind = "text"
	choice   kind = "choice"
	duration kind = "duration"
	boolean  kind = "boolean"
	list     kind = "list" // repeat the flag; one item a line in the variable
)

// variable is the input's name in the environment.
func (in input) variable() string {
	return "OUTLAST_" + strings.ToUpper(strings.ReplaceAll(in.name, "-", "_"))
}

// inputs is the table.
var inputs = []input{
	{name: "config", kind: text, stages: "all", doc: "configuration file; unset: outlast.yaml here or in a parent folder up to the repository's top"},
	{name: "environment", kind: text, stages: "all", doc: "environment of outlast.yaml to deploy to; unset: the one whose branches match"},
	{name: "app", key: "app", kind: text, stages: "all", doc: "name of the application; unset: the name of the folder of outlast.yaml"},
	{name: "commit", kind: text, stages: "all", doc: "commit that is shipped; unset: what the CI or git says"},
	{name: "branch", kind: text, stages: "all", doc: "branch that is shipped; unset: what the CI or git says"},
	{name: "run-url", kind: text, stages: "all", doc: "address of this CI run, for the report; unset: what the CI says"},
	{name: "unmatched", key: "unmatched", kind: choice, choices: []string{"error", "skip"}, stages: "all", doc: "what a branch without an environment does; unset: error"},

	{name: "region", key: "region", kind: text, stages: "push apply gate", doc: "AWS region; unset: what the AWS SDK finds (AWS_REGION, profile)"},
	{name: "profile", key: "profile", kind: text, stages: "push apply gate", doc: "AWS profile; unset: the SDK's default"},
	{name: "role-arn", key: "roleArn", kind: text, stages: "push apply gate", doc: "AWS role to assume on top of the credentials found; unset: none"},
	{name: "external-id", key: "externalId", kind: text, stages: "push apply gate", doc: "external id for role-arn; unset: none"},
	{name: "cluster-name", key: "clusterName", kind: text, stages: "apply gate", doc: "EKS cluster; unset: the kubeconfig or the account of the pod is used"},
	{name: "kubeconfig", key: "kubeconfig", kind: text, stages: "apply gate", doc: "kubeconfig file, when cluster-name is unset; unset: KUBECONFIG, then ~/.kube/config, then the pod's account"},
	{name: "kube-context", key: "kubeContext", kind: text, stages: "apply gate", doc: "context of the kubeconfig; unset: its current one"},

	{name: "repository", key: "repository", kind: text, stages: "push", doc: "ECR repository (or registry/path of another registry) of a project with one image; unset: the image's own"},
	{name: "dockerfile", key: "dockerfile", kind: text, stages: "build", doc: "Dockerfile of a project with one image, relative to its context; unset: Dockerfile"},
	{name: "context", key: "context", kind: text, stages: "build", doc: "build context of a project with one image; unset: the folder of outlast.yaml"},
	{name: "build-arg", kind: list, stages: "build", doc: "build argument NAME=VALUE for every image; unset: none"},
	{name: "platform", key: "platform", kind: text, stages: "build", doc: "platform to build for, e.g. linux/arm64; unset: the builder's own"},
	{name: "builder", key: "builder", kind: choice, choices: []string{"buildkit", "docker"}, stages: "build", doc: "builder to use; unset: the first that answers"},
	{name: "no-cache", kind: boolean, stages: "build", doc: "build without cached steps; unset: false"},
	{name: "tag", kind: text, stages: "push", doc: "tag to push besides the digest; unset: the commit, or commit-dirty-content when the tree differs from it"},
	{name: "image", kind: list, stages: "render", doc: "image made elsewhere, NAME=REPOSITORY@DIGEST: it is pinned, not built; unset: none"},

	{name: "manifests", key: "manifests", kind: text, stages: "render", doc: "kustomization directory, YAML file or directory of YAML; unset: kustomization.yaml, deploy/ENVIRONMENT or deploy/overlays/ENVIRONMENT"},
	{name: "root", key: "root", kind: text, stages: "render", doc: "folder that rendering may read; unset: the repository's top"},
	{name: "drain-policy", key: "drain.policy", kind: choice, choices: []string{"fix", "warn", "enforce", "off"}, stages: "render", doc: "what to do with unsafe drain timings; unset: fix"},
	{name: "drain-mode", key: "drain.mode", kind: choice, choices: []string{"auto", "strict", "fast"}, stages: "render", doc: "strict keeps grace > preStop > deregistration delay; fast proves the inequalities behind it; unset: auto, strict when its grace fits the cap"},
	{name: "longest-request", key: "drain.longestRequest", kind: duration, stages: "render", doc: "longest request to protect, R of the formulas; unset: 30s"},
	{name: "shutdown", key: "drain.shutdown", kind: duration, stages: "render", doc: "time the idle application needs to end after SIGTERM, S of the formulas; unset: 5s"},
	{name: "on-sigterm", key: "drain.onSigterm", kind: choice, choices: []string{"graceful", "abrupt"}, stages: "render", doc: "graceful: the application finishes requests after SIGTERM; unset: abrupt, which is safe for both"},
	{name: "set", kind: list, stages: "render", doc: "symbol of the drain formulas, e.g. P=30 (drain.set in outlast.yaml); unset: the planning values"},
	{name: "gate-timeout", key: "gate.timeout", kind: duration, stages: "gate", doc: "longest wait of the gate; unset: computed from the timings and the replicas"},
	{name: "gate-interval", key: "gate.interval", kind: duration, stages: "gate", doc: "time between two polls of a target group; unset: 5s"},

	{name: "from", kind: choice, choices: stageNames(), stages: "all", doc: "first stage to run; unset: build"},
	{name: "to", kind: choice, choices: stageNames(), stages: "all", doc: "last stage to run; unset: gate"},
	{name: "report", kind: text, stages: "all", doc: "report.json of the job that ran the earlier stages, and where this run's is written; unset: report.json of output-dir"},
	{name: "output-dir", kind: text, stages: "all", doc: "folder for the report and its companions; unset: .outlast"},
	{name: "progress", kind: choice, choices: []string{"auto", "live", "plain"}, stages: "all", doc: "live table or plain lines; unset: auto, live in a terminal outside CI"},
}

// scalarKeys are the plain keys of outlast.yaml.
func scalarKeys() (keys []string) {
	for _, in := range inputs {
		if in.key != "" {
			keys = append(keys, in.key)
		}
	}
	return keys
}
